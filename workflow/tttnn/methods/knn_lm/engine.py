"""kNN-LM (Khandelwal et al. 2020, arXiv 1911.00172) over a document's own neighbours.

The datastore holds every token of the neighbours' texts: its key is the state from which the
language-model head predicts it, its value the token. Where the document's next token is predicted,
the nearest keys vote for their values, with weights softmax(-d / temperature), d being squared
Euclidean; the vote is mixed into the model's prediction. The paper takes its keys one step earlier,
at the input of the last feed-forward layer; the final state is what every architecture has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.clock import clock
from tttnn.methods.knn_lm.settings import KnnLm
from tttnn.methods.likelihood import (
    Window,
    padded,
    prefix_token,
    rolling_windows,
    size,
    token_log_probabilities,
)
from tttnn.methods.measure import Adapted, Measurement, Query, check_neighbors
from tttnn.methods.mixing import mixtures
from tttnn.models.tokens import tokens

POSITIONS_AT_ONCE = 1024  # of the document, whose distances to a batch of keys are in memory


class Found(NamedTuple):
    """Of each of n positions the nearest keys so far: squared distances and hits, both (n, m).

    A hit is a key whose value is the token that the position must predict.
    """

    distances: torch.Tensor
    hits: torch.Tensor


@torch.inference_mode()
def states(
    model: PreTrainedModel, windows: Sequence[Window], batch_tokens: int = 8192
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batch by batch, the windows' targets in order, (n,), and the states before each, (n, d).

    A state is the input of the language-model head: the last block's output after the final norm.
    """
    for inputs, targets in padded(windows, batch_tokens):
        output = model.base_model(input_ids=inputs.to(model.device), use_cache=False)
        chosen = (targets != -100).to(model.device)
        yield targets.to(model.device)[chosen], output.last_hidden_state[chosen]


def search(
    found: Found,
    targets: torch.Tensor,
    queries: torch.Tensor,
    values: torch.Tensor,
    keys: torch.Tensor,
    nearest: int,
) -> Found:
    """The `nearest` of what was found for the queries (n, d) and of the keys (m, d).

    `targets` (n,) are what the queries must predict, `values` (m,) what the keys predicted. Which
    of equally near keys are the last to count is left open.
    """
    # norms of states are large beside their differences, which a product in float32 would lose
    keys = keys.double()
    key_norms = keys.square().sum(1)
    parts = []
    for first in range(0, len(queries), POSITIONS_AT_ONCE):
        rows = slice(first, first + POSITIONS_AT_ONCE)
        block = queries[rows].double()
        products = block @ keys.T
        distances = (block.square().sum(1)[:, None] + key_norms - 2 * products).clamp_(min=0)
        distances = torch.cat([found.distances[rows], distances], dim=1)
        hits = torch.cat([found.hits[rows], targets[rows, None] == values], dim=1)
        if distances.shape[1] > nearest:
            distances, order = distances.topk(nearest, dim=1, largest=False, sorted=False)
            hits = hits.gather(1, order)
        parts.append(Found(distances, hits))
    return Found(*map(torch.cat, zip(*parts, strict=True)))


def log_votes(found: Found, temperature: float) -> npt.NDArray[np.float64] | None:
    """Log-probability of each position's token by its nearest keys, (n,); None without keys."""
    if found.distances.shape[1] == 0:
        return None
    weights = found.distances / -temperature
    hits = weights.masked_fill(~found.hits, -math.inf)
    return (hits.logsumexp(1) - weights.logsumexp(1)).cpu().numpy()


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: KnnLm,
    window: int,
) -> Iterator[Adapted]:
    """Measure each query for each k of `recipe.evaluate_at`, and beyond 0 for each alpha.

    `window` is the model's context length in tokens. The neighbours' states are made as the
    query's: by rolling windows after a prefix token, so that every token is a value once. At k = 0
    alpha is 0. Reading the query is `evaluate_seconds` at k = 0; elsewhere that is reading and
    mixing. `train_seconds` is for reading and searching, `train_tokens` the size of the datastore.
    While that is empty every alpha gives the model's own prediction.

    The neighbours pass by in batches and are read once; what is kept grows with the query alone, by
    a state and `recipe.nearest` distances (9 bytes each) a token.

    Raises `ValueError` if a query has fewer neighbours than the recipe uses.
    """
    prefix = prefix_token(tokenizer)
    for query in queries:
        check_neighbors(query, recipe.num_neighbors)
        document = tokens(tokenizer, query.text)
        windows = rolling_windows(document, prefix, window)
        started = clock(model.device)
        plain = token_log_probabilities(model, windows)
        seconds = clock(model.device) - started
        base = Measurement(0, plain.total, math.nan, 0, 0, 0.0, seconds, alpha=0.0)

        started = clock(model.device)
        targets, positions = map(torch.cat, zip(*states(model, windows), strict=True))
        none = torch.empty(len(targets), 0, dtype=torch.float64, device=model.device)
        found = Found(none, none.bool())
        measurements = [base]
        train_tokens, seconds = 0, clock(model.device) - started
        for before, count in zip(recipe.evaluate_at, recipe.evaluate_at[1:], strict=False):
            started = clock(model.device)
            texts = [tokens(tokenizer, text) for text in query.neighbors[before:count]]
            pieces = [rolling_windows(ids, prefix, window) for ids in texts]
            cut = list(chain.from_iterable(pieces))
            for values, keys in states(model, cut) if cut else ():
                found = search(found, targets, positions, values, keys, recipe.nearest)
            neighbors = log_votes(found, recipe.temperature)
            train_tokens += sum(map(len, texts))
            seconds += clock(model.device) - started
            here = replace(
                base, num_neighbors=count, train_tokens=train_tokens, train_seconds=seconds
            )
            measurements += mixtures(here, plain, neighbors, recipe.alphas)
        yield Adapted(query, size(query.text, document), measurements)
