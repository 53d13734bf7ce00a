"""Bits per byte and perplexities of a run's cells, each with its resamples."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from tqdm import tqdm

from tttnn.pile import ALL, TASKS
from tttnn.scores.bootstrap import Estimate, resample_counts, weighted_mean
from tttnn.scores.cells import Cell
from tttnn.scores.near_copies import Mask
from tttnn.sections.score import Score

METRICS = ("bits_per_byte", "byte_perplexity", "word_perplexity")

Scores = dict[tuple[str, str], dict[str, dict[str, Estimate]]]
"""(model, method) -> task -> metric -> estimate."""


def pile_weights(tasks: Iterable[str]) -> dict[str, float]:
    """The Pile's weights of these tasks, renormalised so that they sum to 1."""
    tasks = list(tasks)
    total = math.fsum(TASKS[task].weight for task in tasks)
    return {task: TASKS[task].weight / total for task in tasks}


def estimate(cell: Cell, keep: Mask, spec: Score) -> dict[str, Estimate]:
    """The metrics of the documents in `keep`, summed before dividing (micro average)."""
    columns = np.column_stack([cell.loglikelihood, cell.bytes, cell.words])[keep]
    n = len(columns)
    counts = resample_counts(n, spec.resamples, spec.seed, cell.name.task)
    sums = np.vstack([columns.sum(axis=0), counts @ columns])  # the documents, then the resamples
    loglikelihood, size, words = sums[:, :-2], sums[:, -2:-1], sums[:, -1:]
    with np.errstate(over="ignore"):  # a perplexity may be infinite
        values = (
            -loglikelihood / size / math.log(2),
            np.exp(-loglikelihood / size),
            np.exp(-loglikelihood / words),
        )
    return {
        metric: Estimate(cell.points, value[0], value[1:], documents=n, spread=n > 1)
        for metric, value in zip(METRICS, values, strict=True)
    }


def estimate_all(cells: list[Cell], spec: Score, keep: dict[str, set[int]] | None = None) -> Scores:
    """Every cell's metrics, and `pile_all` over the tasks of each model and method.

    With `keep`, only of those documents of each task; a cell without any is left out. `pile_all`
    has bits per byte only.
    """
    scores: Scores = {cell.name[:2]: {} for cell in cells}
    # by task, for all of a task's cells share its resamples
    by_task = [cell for task in TASKS for cell in cells if cell.name.task == task]
    for cell in tqdm(by_task, desc="resampling", unit=" cells", mininterval=5, delay=5):
        mask = np.full(len(cell.documents), True)
        if keep is not None:
            mask = np.isin(cell.documents, list(keep[cell.name.task]))
        if mask.any():
            scores[cell.name[:2]][cell.name.task] = estimate(cell, mask, spec)
    for tasks in scores.values():
        if tasks:
            parts = [(w, tasks[t][METRICS[0]]) for t, w in pile_weights(tasks).items()]
            tasks[ALL] = {METRICS[0]: weighted_mean(parts)}
    return scores
