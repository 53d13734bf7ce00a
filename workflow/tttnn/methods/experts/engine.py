"""Merging experts for each document (Bertolissi et al. 2025, arXiv 2505.14136), and training on.

For each query: the experts whose centroids are nearest to its vector are merged into the weights,
measured, perhaps trained on neighbours; then the weights are put back.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.clock import clock
from tttnn.methods.experts.merging import Merged, merging_weights
from tttnn.methods.experts.settings import Merging
from tttnn.methods.likelihood import Window, log_likelihood, prefix_token, rolling_windows, size
from tttnn.methods.measure import Adapted, Measurement, Query, check_neighbors
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.tokens import tokens
from tttnn.retrieval.clusters import read_clusters, unit
from tttnn.retrieval.targets import Targets

Train = Callable[[Query], list[Measurement]]
"""What trains the model as it is now on a query's neighbours, and then puts the weights back."""


class Equipped(Merging):
    """The settings, with what there is to merge: paths, and the digests of what they lead to."""

    clusters_at: str
    adapters_at: list[str]
    vectors_at: str
    digests: list[str]
    trained_by: Recipe | None = None  # what `then` names


class _Similarities:
    """Cosines of queries' vectors and the experts' centroids, both without the passages' mean."""

    def __init__(self, recipe: Equipped) -> None:
        clusters, targets = (
            read_clusters(Path(recipe.clusters_at)),
            Targets(Path(recipe.vectors_at)),
        )
        if targets.embedder != clusters.embedder:
            raise ValueError(
                f"{recipe.vectors_at} is of another embedder than {recipe.clusters_at}: remove the "
                "one that is not the experts', and run again"
            )
        if len(clusters.centroids) != len(recipe.adapters_at):
            raise ValueError(
                f"{recipe.clusters_at} has {len(clusters.centroids)} clusters, and "
                f"{len(recipe.adapters_at)} experts are given: one for each, in their order"
            )
        self._vectors = unit(targets[:], clusters.center, targets.ids, "query")
        self._places = {int(query): place for place, query in enumerate(targets.ids)}
        self._centroids = clusters.centroids

    def of(self, query: Query) -> np.ndarray:
        """To each centroid, (experts,)."""
        if query.id not in self._places:
            raise ValueError(f"query {query.id} has no vector: embed the queries again")
        return self._centroids @ self._vectors[self._places[int(query.id)]]


def _measure(
    model: PreTrainedModel, count: int, windows: list[Window], merging: float
) -> Measurement:
    """The log-likelihood under the weights as they are now, after so many seconds of merging."""
    started = clock(model.device)
    total = log_likelihood(model, windows)
    spent = clock(model.device) - started
    return Measurement(count, total, math.nan, 0, 0, merging, spent)


def _merges(
    model: PreTrainedModel,
    merged: Merged,
    similarities: np.ndarray,
    windows: list[Window],
    recipe: Equipped,
) -> Iterator[Measurement]:
    """The merges of growing numbers of experts; one that is as the last is not measured again."""
    before: dict[int, float] = {}
    measured: Measurement | None = None
    for count in recipe.evaluate_at[1:]:
        shares = merging_weights(similarities, recipe.beta, recipe.tau, min(count, recipe.most))
        if measured is None or shares != before:
            merging = _merge(model, merged, shares)
            measured = _measure(model, count, windows, merging)
        before = shares
        yield replace(measured, num_neighbors=count)


def _merge(model: PreTrainedModel, merged: Merged, shares: dict[int, float]) -> float:
    """Merge, and say how many seconds it took with the experts in memory."""
    merged.load([*shares])
    started = clock(model.device)
    merged.merge(shares)
    return clock(model.device) - started


def _training(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, recipe: Equipped, window: int
) -> Train | None:
    """By the method that `then` names, measured where this one is."""
    if recipe.trained_by is None:
        return None
    points = recipe.evaluate_at[1:]  # the row of 0 is that of the model without experts
    wanted = {"evaluate_at": points, "num_neighbors": recipe.num_neighbors}
    trained_by = recipe.trained_by.model_copy(update=wanted)
    # by name, so that another engine is no other code; `lean`, because a graph is of one document
    engines = importlib.import_module("tttnn.methods.engines")
    _, adapt = engines.choose("lean", model, trained_by, model.device.type)

    def train(query: Query) -> list[Measurement]:
        (adapted,) = adapt(model, tokenizer, [query], trained_by, window)
        return adapted.measurements

    return train


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Equipped,
    window: int,
) -> Iterator[Adapted]:
    """Measure each query under the model as it was, then with its experts merged.

    `window` is the model's context length in tokens. The row of 0 is the model as it was. Without
    `recipe.then` that of k is the merge of the k nearest experts, fewer where others are not above
    tau; its `train_seconds` are those of this one merge, with the experts in memory. With it, that
    of k is the merge of all, trained on k neighbours; its `train_seconds` are of both.

    After each query, and when the generator is closed, the weights are bit for bit what they were.

    Raises `ValueError` if a query has no vector, or too few neighbours, if vectors and clusters are
    of two embedders, and for experts of other layers than the model has.
    """
    prefix = prefix_token(tokenizer)
    nearness = _Similarities(recipe)
    merged = Merged(model, [Path(folder) for folder in recipe.adapters_at])
    train = _training(model, tokenizer, recipe, window)
    try:
        for query in queries:
            document = tokens(tokenizer, query.text)
            windows = rolling_windows(document, prefix, window)
            similarities = nearness.of(query)
            model.eval()
            measurements = [_measure(model, 0, windows, 0.0)]
            if train is None:
                measurements += _merges(model, merged, similarities, windows, recipe)
            elif len(recipe.evaluate_at) > 1:
                check_neighbors(query, recipe.num_neighbors)
                shares = merging_weights(similarities, recipe.beta, recipe.tau, recipe.most)
                merging = _merge(model, merged, shares)
                for measured in train(query):
                    seconds = measured.train_seconds + merging
                    measurements.append(replace(measured, train_seconds=seconds))
            merged.put_back()
            yield Adapted(query, size(query.text, document), measurements)
    finally:
        merged.put_back()
