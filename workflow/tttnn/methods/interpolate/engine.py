"""The paper's interpolation baseline (section 5): the neighbours' unigrams mixed into predictions.

p(token) = alpha * sum_i softmax(-d_i) hist_i(token) + (1 - alpha) * p_LM(token | context)

where hist_i is the unigram distribution of neighbour i's tokens, and d_i its Euclidean distance to
the query, not squared: the released code (`baseline_interpolation.py`, `_filter_retrieved`) takes
the norm of the embeddings' difference.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.clock import clock
from tttnn.methods.interpolate.settings import Interpolate
from tttnn.methods.likelihood import (
    prefix_token,
    rolling_windows,
    size,
    token_log_probabilities,
)
from tttnn.methods.measure import Adapted, Measurement, Query, check_neighbors
from tttnn.methods.mixing import mixtures
from tttnn.models.tokens import tokens


def histogram(neighbor: Sequence[int], vocabulary: npt.NDArray[np.int64]) -> npt.NDArray:
    """Of each token in `vocabulary`, (v,), its share among the neighbour's tokens; float64.

    NaN for a neighbour without tokens.
    """
    counts = np.bincount(np.array(neighbor, dtype=np.int64), minlength=vocabulary.max() + 1)
    with np.errstate(invalid="ignore"):
        return counts[vocabulary] / np.float64(len(neighbor))


def unigrams(
    histograms: npt.NDArray[np.float64], distances: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64] | None:
    """Mixture of the histograms (k, v), weighted by softmax(-distance), as probabilities (v,).

    A neighbour without tokens has no distribution: the weights are those of the others alone, and
    None if there are none.
    """
    known = ~np.isnan(histograms).any(axis=1)
    if not known.any():
        return None
    weights = np.exp(distances[known].min() - distances[known])
    return weights @ histograms[known] / weights.sum()


def _distances(query: Query, count: int) -> npt.NDArray[np.float64]:
    """Euclidean distances of the first `count` neighbours; raises `ValueError`."""
    squared = np.array(query.distances[:count], dtype=np.float64)
    if len(squared) < count or not np.all((squared >= 0) & (squared < np.inf)):
        raise ValueError(
            f"query {query.id} has {count} neighbours with the squared distances "
            f"{squared.tolist()}: interpolation weighs neighbours by their distance, so it needs "
            "one for each, finite and not negative"
        )
    return np.sqrt(squared)


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Interpolate,
    window: int,
) -> Iterator[Adapted]:
    """Measure each query for each k of `recipe.evaluate_at`, and beyond 0 for each alpha.

    `window` is the model's context length in tokens. At k = 0 alpha is 0. The model reads a query
    once, which is `evaluate_seconds` at k = 0; elsewhere that is reading and mixing.
    `train_seconds` is for tokenising and counting neighbours, `train_tokens` how many were counted.
    While no neighbour has a token there is nothing to mix, and every alpha gives the model's own
    prediction. Under `recipe.as_released` the same is computed; what differs is how alpha is chosen
    from the measurements.

    Raises `ValueError` if a query has fewer neighbours than the recipe uses, or a neighbour's
    distance is missing, negative or not finite.
    """
    prefix = prefix_token(tokenizer)
    for query in queries:
        check_neighbors(query, recipe.num_neighbors)
        used = query.neighbors[: recipe.num_neighbors]
        distances = _distances(query, len(used))
        document = tokens(tokenizer, query.text)
        windows = rolling_windows(document, prefix, window)
        started = clock(model.device)
        plain = token_log_probabilities(model, windows)
        seconds = clock(model.device) - started
        base = Measurement(0, plain.total, math.nan, 0, 0, 0.0, seconds, alpha=0.0)
        vocabulary, places = np.unique(document, return_inverse=True)
        histograms: list[npt.NDArray[np.float64]] = []
        train_tokens, seconds = 0, 0.0
        measurements = [base]
        for count in recipe.evaluate_at[1:]:
            started = time.perf_counter()
            for text in used[len(histograms) : count]:
                ids = tokens(tokenizer, text)
                histograms.append(histogram(ids, vocabulary))
                train_tokens += len(ids)
            shares = unigrams(np.array(histograms), distances[: len(histograms)])
            with np.errstate(divide="ignore"):
                neighbors = None if shares is None else np.log(shares)[places]
            seconds += time.perf_counter() - started
            here = replace(
                base, num_neighbors=count, train_tokens=train_tokens, train_seconds=seconds
            )
            measurements += mixtures(here, plain, neighbors, recipe.alphas)
        yield Adapted(query, size(query.text, document), measurements)
