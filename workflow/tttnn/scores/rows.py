"""Rows of the tables of scores: values, differences from before, and between methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tttnn.pile import ALL, TASKS
from tttnn.scores.bootstrap import weighted_mean
from tttnn.scores.cells import Name
from tttnn.scores.estimates import METRICS, Scores, pile_weights
from tttnn.sections.score import Score

SCORE_COLUMNS = [
    "run",
    "model",
    "method",
    "task",
    "num_neighbors",
    "metric",
    "value",
    "low",
    "high",
    "documents",
]
"""Of `scores.csv` and `clean.csv`: others read them, so these columns stay."""

COMPARISON_COLUMNS = [
    "run",
    "model",
    "method",
    "against",
    "task",
    "num_neighbors",
    "documents_kind",
    "before",
    "value",
    "against_value",
    "difference",
    "low",
    "high",
    "confidence",
    "documents",
    "tasks",
    "unchanged",
]


class ScoreSpec(Score):
    """The section `score`, the run's name, and what there is to score."""

    run: str
    # method -> an index of the catalogue, a selection, or `random`; null: it has no neighbours
    candidates: dict[str, str | None]
    searched: dict[str, list[str]]  # candidates -> the indexes that they are found in
    selections: list[str]  # candidates that are chosen among others
    cells: list[tuple[str, str, str, int]]  # model, method, task and its number of parts
    mixtures: dict[str, bool]  # method with an alpha -> whether it is chosen as released
    halves: list[str]  # methods evaluated on the second halves of documents
    windows: tuple[str, ...] = ()  # and window by window, with the context that a window has
    budgets: dict[str, float]  # method that leaves out neighbours -> seconds a document


def score_rows(scores: Scores, spec: ScoreSpec) -> Iterator[list[Any]]:
    """Of `SCORE_COLUMNS`."""
    for (model, method), tasks in scores.items():
        for task, metrics in tasks.items():
            for metric, part in metrics.items():
                bounds = part.interval(spec.confidence)
                for point, *value in zip(part.points, part.value, *bounds, strict=True):
                    yield [spec.run, model, method, task, point, metric, *value, part.documents]


def difference_rows(scores: Scores, kind: str, spec: ScoreSpec) -> Iterator[dict[str, Any]]:
    """Bits per byte after each number of neighbours against before, paired."""
    for (model, method), tasks in scores.items():
        for task, metrics in tasks.items():
            part = metrics[METRICS[0]]
            before, resampled = part.value[:1], part.samples[:, :1]
            difference = part._replace(value=part.value - before, samples=part.samples - resampled)
            ratio = part._replace(value=part.value / before, samples=part.samples / resampled)
            low, high = difference.interval(spec.confidence)
            ratio_low, ratio_high = ratio.interval(spec.confidence)
            for k in range(1, len(part.points)):
                yield {
                    "run": spec.run,
                    "model": model,
                    "method": method,
                    "candidates": spec.candidates[method],
                    "task": task,
                    "num_neighbors": part.points[k],
                    "documents_kind": kind,
                    "before": before[0],
                    "after": part.value[k],
                    "difference": difference.value[k],
                    "low": low[k],
                    "high": high[k],
                    "ratio": ratio.value[k],
                    "ratio_low": ratio_low[k],
                    "ratio_high": ratio_high[k],
                    "confidence": spec.confidence,
                    "documents": part.documents,
                    "tasks": part.tasks,
                }


def _text(method: str, spec: ScoreSpec) -> tuple[bool, bool]:
    """What of a document a method evaluates, and how: only equal ones can be compared."""
    return method in spec.halves, method in spec.windows


def comparison_rows(
    scores: Scores, kind: str, spec: ScoreSpec, unchanged: Mapping[Name, npt.NDArray[np.int64]]
) -> Iterator[dict[str, Any]]:
    """Each method against the first one that was evaluated on the same text.

    `unchanged` counts documents as `near_copies.unchanged_documents` does: a method that could do
    nothing with a document did not lose there.
    """
    methods = list(dict.fromkeys(method for _, method, _, _ in spec.cells))
    for (model, method), tasks in scores.items():
        alike = [
            name
            for name in methods
            if _text(name, spec) == _text(method, spec) and (model, name) in scores
        ]
        if method == alike[0]:
            continue
        others = scores[model, alike[0]]
        shared = [task for task in TASKS if task in tasks and task in others]
        weights = pile_weights(shared)
        for task in [*shared, *([ALL] if shared else [])]:
            if task == ALL:  # over the tasks of both
                own, other = (
                    weighted_mean((weights[t], metrics[t][METRICS[0]]) for t in shared)
                    for metrics in (tasks, others)
                )
            else:
                own, other = tasks[task][METRICS[0]], others[task][METRICS[0]]
            for point in np.intersect1d(own.points, other.points)[1:]:
                i, j = (int(np.flatnonzero(e.points == point)[0]) for e in (own, other))
                difference = own._replace(
                    value=own.value[[i]] - other.value[[j]],
                    samples=own.samples[:, [i]] - other.samples[:, [j]],
                )
                low, high = difference.interval(spec.confidence)
                yield {
                    "run": spec.run,
                    "model": model,
                    "method": method,
                    "against": alike[0],
                    "task": task,
                    "num_neighbors": point,
                    "documents_kind": kind,
                    "before": own.value[0],
                    "value": own.value[i],
                    "against_value": other.value[j],
                    "difference": difference.value[0],
                    "low": low[0],
                    "high": high[0],
                    "confidence": spec.confidence,
                    "documents": own.documents,
                    "tasks": own.tasks,
                    "unchanged": sum(
                        unchanged[Name(model, method, part)][i]
                        for part in (shared if task == ALL else [task])
                    ),
                }
