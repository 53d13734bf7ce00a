"""From evaluation rows to tables: bits per byte with paired bootstrap intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tttnn.bootstrap import Estimate, resample_counts, weighted_mean
from tttnn.cells import Cell, read_cells
from tttnn.config.methods import Score
from tttnn.files import replacing
from tttnn.latex import summary_tabulars
from tttnn.pile import ALL, SPLITS, TASKS

METRICS = ("bits_per_byte", "byte_perplexity", "word_perplexity")
SCORE_COLUMNS = [
    *("run", "model", "method", "task", "num_neighbors"),
    *("metric", "value", "low", "high", "documents"),
]
"""Of `scores.csv` and `clean.csv`: others read them, so these columns stay."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Scores = dict[tuple[str, str], dict[str, dict[str, Estimate]]]
"""(model, method) -> task -> metric -> estimate."""


class ScoreSpec(Score):
    """The section `score`, the run's name, and where each method's neighbors come from."""

    run: str
    candidates: dict[str, str]  # method -> an index of the catalogue, or `random`
    cells: list[tuple[str, str, str, int]]  # model, method, task and its number of parts


def pile_weights(tasks: Iterable[str]) -> dict[str, float]:
    """The Pile's weights of these tasks, renormalised so that they sum to 1."""
    tasks = list(tasks)
    total = math.fsum(TASKS[task].weight for task in tasks)
    return {task: TASKS[task].weight / total for task in tasks}


def estimate(cell: Cell, keep: npt.NDArray[np.bool_], spec: Score) -> dict[str, Estimate]:
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


def estimate_all(cells: list[Cell], spec: Score, *, clean: bool) -> Scores:
    """Every cell's metrics, and `pile_all` over the tasks of each model and method.

    With `clean`, only of documents that overlap less than `spec.clean_below` with each of their
    neighbors; a cell without such documents is left out. `pile_all` has bits per byte only.
    """
    scores: Scores = {cell.name[:2]: {} for cell in cells}
    for task in TASKS:  # outermost, for all of a task's cells share its resamples
        for cell in cells:
            keep = cell.overlap < spec.clean_below if clean else np.full(len(cell.documents), True)
            if cell.name.task == task and keep.any():
                scores[cell.name[:2]][task] = estimate(cell, keep, spec)
    for tasks in scores.values():
        if tasks:
            parts = [(w, tasks[t][METRICS[0]]) for t, w in pile_weights(tasks).items()]
            tasks[ALL] = {METRICS[0]: weighted_mean(parts)}
    return scores


def _score_rows(scores: Scores, spec: ScoreSpec) -> Iterator[list[Any]]:
    for (model, method), tasks in scores.items():
        for task, metrics in tasks.items():
            for metric, part in metrics.items():
                bounds = part.interval(spec.confidence)
                for point, *value in zip(part.points, part.value, *bounds, strict=True):
                    yield [spec.run, model, method, task, point, metric, *value, part.documents]


def _difference_rows(scores: Scores, kind: str, spec: ScoreSpec) -> Iterator[dict[str, Any]]:
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


def _cost_rows(cells: list[Cell], spec: ScoreSpec) -> Iterator[dict[str, Any]]:
    for cell in cells:
        neighbors = cell.points[-1]
        if neighbors == 0:
            continue
        seconds = cell.train_seconds / neighbors
        trained = cell.train_seconds.sum()
        quantiles = np.quantile(seconds, QUANTILES)
        yield {
            "run": spec.run,
            **cell.name._asdict(),
            "num_neighbors": neighbors,
            "documents": len(cell.documents),
            "seconds_mean": seconds.mean(),
            **{f"seconds_p{q * 100:02.0f}": s for q, s in zip(QUANTILES, quantiles, strict=True)},
            "evaluate_seconds": np.median(cell.evaluate_seconds),
            "tokens_per_second": cell.train_tokens.sum() / trained if trained else math.nan,
            "train_seconds_total": trained,
            "evaluate_seconds_total": cell.evaluate_seconds.sum() * len(cell.points),
        }


def _corpus_rows(manifests: list[Path], run: str) -> Iterator[dict[str, Any]]:
    for path in manifests:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        reasons = manifest["rejected"]
        yield {
            "run": run,
            "shard": path.stem,
            "documents": manifest["documents"],
            "rejected": sum(reasons.values()),
            "reasons": "; ".join(f"{reason}: {count}" for reason, count in reasons.items()),
            "subsets": manifest["subsets"],
        }


def _task_rows(
    selection: dict[str, dict[str, int]], corpus: pd.DataFrame, cells: list[Cell], run: str
) -> Iterator[dict[str, Any]]:
    train = corpus.loc[~corpus["shard"].isin(SPLITS), "subsets"]
    evaluated = {cell.name.task for cell in cells}
    weights = pile_weights(task for task in TASKS if task in evaluated)
    for task, subset in TASKS.items():
        counts = selection[task]
        if task in evaluated:
            status = "evaluated"
        elif not counts["test_documents"]:
            status = "no documents"
        else:
            status = "not evaluated" if counts["selected"] else "none selected"
        yield {
            "run": run,
            "task": task,
            "pile_set_name": subset.pile_set_name,
            "weight": subset.weight,
            "weight_renormalised": 100 * weights.get(task, 0.0),
            "train_documents": sum(shard.get(subset.pile_set_name, 0) for shard in train),
            "test_documents": counts["test_documents"],
            "selected": counts["selected"],
            "status": status,
        }


def _read_selection(path: Path) -> dict[str, dict[str, int]]:
    selection = json.loads(path.read_text(encoding="utf-8"))["tasks"]
    missing = [task for task in TASKS if task not in selection]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}: select the documents again")
    return selection


def _write(path: Path, table: pd.DataFrame) -> None:
    with replacing(path) as beside:
        table.to_csv(beside, index=False, lineterminator="\n")


def score(
    spec: ScoreSpec,
    evaluation: Path,
    selection: Path,
    manifests: list[Path],
    recalls: list[Path],
    scores: Path,
    clean: Path,
    differences: Path,
    costs: Path,
    tasks: Path,
    corpus: Path,
    recall: Path,
    latex: Path,
) -> None:
    """Tables of all cells, in the order of `spec.cells`: the first method there is the main one.

    `evaluation` is the folder of `{model}/{method}/{task}/{part}.parquet`. (A run may have more of
    these files than fit into a command line.)

    bits per byte is minus the sum of log-likelihoods by the sum of UTF-8 bytes over a task's
    documents, by ln 2; byte and word perplexity are exp of minus the sum by that of bytes or words.
    `pile_all` weights the tasks as the Pile does (paper section 5), renormalised over the tasks
    that a model and method were evaluated on. Bounds are a bootstrap's percentiles, and empty for
    a single document.

    - `scores`, `clean`: a row a number; of all documents, and of those with less overlap than
      `spec.clean_below` at the largest number of neighbors. A task without any has no row.
    - `differences`: bits per byte after against before, with the interval of the paired difference
      and ratio, and over how many tasks a `pile_all` is.
    - `costs`: seconds of training per neighbor, without the evaluations; quantiles over documents.
    - `tasks`, `corpus`: what was there, was rejected and was evaluated; per task, per shard.
    - `recall`: every index's, from `recalls`.
    - `latex`: before, after and ratio at the largest number of neighbors.

    Raises `ValueError` as `tttnn.cells.read_cells` does, and where nothing was evaluated at all.
    """
    selected = _read_selection(selection)
    files = [
        evaluation / model / method / task / f"{part}.parquet"
        for model, method, task, parts in spec.cells
        for part in range(parts)
    ]
    cells = read_cells(files, {task: count["selected"] for task, count in selected.items()})
    if not cells:
        raise ValueError(f"{selection}: no document of any evaluated task was selected")

    rows: list[dict[str, Any]] = []
    for kind, path in (("raw", scores), ("clean", clean)):
        estimates = estimate_all(cells, spec, clean=kind == "clean")
        _write(path, pd.DataFrame(_score_rows(estimates, spec), columns=SCORE_COLUMNS))
        rows.extend(_difference_rows(estimates, kind, spec))
    if not rows:
        raise ValueError("every method was evaluated at 0 neighbors only: extend an evaluate_at")
    difference_table = pd.DataFrame(rows)
    _write(differences, difference_table)
    _write(costs, pd.DataFrame(_cost_rows(cells, spec)))

    corpus_table = pd.DataFrame(_corpus_rows(manifests, spec.run))
    task_table = pd.DataFrame(_task_rows(selected, corpus_table, cells, spec.run))
    _write(corpus, corpus_table.drop(columns="subsets"))
    _write(tasks, task_table)
    _write(recall, pd.concat([pd.read_csv(path) for path in recalls]))
    with replacing(latex) as beside:
        beside.write_text(summary_tabulars(difference_table, task_table), encoding="utf-8")
