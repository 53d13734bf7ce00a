"""The paper's in-context baseline (section 5): neighbours in front of the document.

A prompt fills one window of the model's context length. A document that leaves no room in it, or
takes several, is evaluated without neighbours, as in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.clock import clock
from tttnn.methods.in_context.settings import InContext
from tttnn.methods.likelihood import Window, log_likelihood, prefix_token, rolling_windows, size
from tttnn.methods.measure import Adapted, Measurement, Query, check_neighbors
from tttnn.models.tokens import tokens


def filled_window(
    neighbors: Sequence[Sequence[int]], document: Sequence[int], prefix: int, length: int
) -> Window:
    """The document behind the neighbours, nearest first, each text after a prefix token.

    Neighbours are whole while they fit; of the first that does not, the beginning is kept, and the
    rest are left out. `document` has at most `length` tokens, and `length` inputs are the most.
    """
    inputs: list[int] = []
    room = length - len(document)
    for neighbor in neighbors:
        kept = neighbor[: room - 1] if room > 1 else []
        if kept:
            inputs += [prefix, *kept]
            room -= 1 + len(kept)
    return Window([*inputs, prefix, *document[:-1]], list(document))


def released_window(
    neighbors: Sequence[Sequence[int]], document: Sequence[int], prefix: int, length: int
) -> Window:
    """The prompt of the paper's released code, `lm_eval/base.py`, `loglikelihood_rolling`.

    All neighbours, nearest first and with nothing between them, are put in front of the document
    and the whole is cut on the left: the farthest stay. They take the prefix token's place. (The
    code also drops neighbours at a Euclidean distance of 2.3 or more between its embeddings; here
    that is for whoever chooses the neighbours.)
    """
    context = list(chain.from_iterable(neighbors)) or [prefix]
    return Window([*context, *document[:-1]][-length:], list(document))


def _inputs(windows: Sequence[Window]) -> int:
    return sum(len(window.inputs) for window in windows)


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: InContext,
    window: int,
) -> Iterator[Adapted]:
    """Evaluate each query behind its first k neighbours, for each k of `recipe.evaluate_at`.

    `window` is the model's context length in tokens. With `recipe.as_released` prompts are those
    of `released_window`, else of `filled_window`; a query of more than `window` tokens is evaluated
    as it is for k = 0, by rolling windows. `train_tokens` counts the inputs beyond those for k = 0,
    and `train_seconds` the making of prompts; a prompt that another k leaves as it was is not
    evaluated again, and keeps its `evaluate_seconds`.

    Raises `ValueError` if a query has fewer neighbours than the recipe uses.
    """
    prefix = prefix_token(tokenizer)
    make_window = released_window if recipe.as_released else filled_window
    for query in queries:
        check_neighbors(query, recipe.num_neighbors)
        document = tokens(tokenizer, query.text)
        windows = plain = rolling_windows(document, prefix, window)
        started = clock(model.device)
        loglikelihood = log_likelihood(model, plain)
        spent = clock(model.device) - started
        measurements = [Measurement(0, loglikelihood, math.nan, 0, 0, 0.0, spent)]
        neighbors: list[list[int]] = []
        seconds = 0.0
        for count in recipe.evaluate_at[1:]:
            started = clock(model.device)
            prompt = plain
            if len(document) <= window:
                texts = query.neighbors[len(neighbors) : count]
                neighbors += [tokens(tokenizer, text) for text in texts]
                prompt = [make_window(neighbors, document, prefix, window)]
            made = clock(model.device)
            seconds += made - started
            if prompt != windows:
                windows = prompt
                loglikelihood = log_likelihood(model, windows)
                spent = clock(model.device) - made
            measurements.append(
                Measurement(
                    num_neighbors=count,
                    loglikelihood=loglikelihood,
                    train_loss=math.nan,
                    steps=0,
                    train_tokens=_inputs(windows) - _inputs(plain),
                    train_seconds=seconds,
                    evaluate_seconds=spent,
                )
            )
        yield Adapted(query, size(query.text, document), measurements)
