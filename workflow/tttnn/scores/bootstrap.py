"""Percentile intervals from resampled documents, paired by construction.

A score is a ratio of sums over documents (log-likelihood by bytes), so a resample is a count of how
often each document was drawn, and all scores of a resample are one matrix product. Equal counts for
every model, method and number of neighbours make differences paired (Efron & Tibshirani, *An
Introduction to the Bootstrap*, 1993, chapters 8 and 13).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BLOCK = 2**22
"""Draws made at once: bounds the memory of a resample of a large task."""


class Estimate(NamedTuple):
    """A score at each number of neighbours, and what it would have been in each resample."""

    points: npt.NDArray[np.int64]  # [K], numbers of neighbours
    value: Array  # [K]
    samples: Array  # [resamples, K]
    documents: int
    tasks: int = 1
    spread: bool = True  # False: no task has a second document, so there is no interval

    def interval(self, confidence: float) -> tuple[Array, Array]:
        """Lower and upper bound at each point; NaN where one document was all there was."""
        if not self.spread:
            return np.full_like(self.value, np.nan), np.full_like(self.value, np.nan)
        tail = (1 - confidence) / 2
        low, high = np.quantile(self.samples, [tail, 1 - tail], axis=0)
        return low, high


@lru_cache(maxsize=2)  # a task's documents and its clean ones, over all models and methods
def resample_counts(documents: int, resamples: int, seed: int, task: str) -> Array:
    """How often each document is drawn, `[resamples, documents]`; rows sum to `documents`.

    Depends on the arguments alone, so whoever asks for the same task gets the same resamples.
    """
    generator = np.random.default_rng([seed, zlib.crc32(task.encode())])
    counts = np.empty((resamples, documents))
    rows = max(1, BLOCK // documents)
    for start in range(0, resamples, rows):
        block = counts[start : start + rows]
        drawn = generator.integers(documents, size=block.shape)
        drawn += documents * np.arange(len(block))[:, None]
        block[:] = np.bincount(drawn.ravel(), minlength=block.size).reshape(block.shape)
    counts.flags.writeable = False
    return counts


def weighted_mean(estimates: Iterable[tuple[float, Estimate]]) -> Estimate:
    """Sum of weight times estimate, each task resampled within itself (stratified).

    A task with one document has no spread of its own, so it adds none to the interval.
    """
    pairs = list(estimates)
    return Estimate(
        points=pairs[0][1].points,
        value=sum((weight * part.value for weight, part in pairs), start=np.zeros(())),
        samples=sum((weight * part.samples for weight, part in pairs), start=np.zeros(())),
        documents=sum(part.documents for _, part in pairs),
        tasks=len(pairs),
        spread=any(part.spread for _, part in pairs),
    )
