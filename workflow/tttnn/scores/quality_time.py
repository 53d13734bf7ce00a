"""Bits per byte against seconds: the table of what each method takes, and of what none is better.

Seconds of a document are those of selection, training and evaluation. Selection is the search of
each index that its neighbours come from, for one query alone (the index's `rates.csv`), and the
choosing among candidates: that stage's whole job by the documents it was of, its start included
(Snakemake's benchmark file). What nobody measured is not counted, and named. Embedding the query
is not counted: its job is mostly the start of the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tttnn.pile import TASKS
from tttnn.reading import read_csv, reading
from tttnn.scores.bootstrap import Estimate, resample_counts, weighted_mean
from tttnn.scores.cells import Cell, Name
from tttnn.scores.estimates import METRICS, Scores, pile_weights
from tttnn.scores.rows import ScoreSpec

QUALITY_COLUMNS = [
    "run",
    "model",
    "method",
    "num_neighbors",
    "documents",
    "tasks",
    "alike",
    "before",
    "bits_per_byte",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "selection_seconds",
    "not_counted",
    "train_seconds",
    "evaluate_seconds",
    "seconds",
    "seconds_low",
    "seconds_high",
    "train_tokens",
    "front",
    "front_share",
    "confidence",
]
"""Of `quality_time.csv`."""

SAME = 1e-3
"""Relative difference between methods' bits per byte before training that is rounding alone."""

Array = npt.NDArray[np.float64]


class Selection(NamedTuple):
    """Seconds of selection a document, as far as they are known, and the parts that are not."""

    seconds: float
    unknown: list[str]


class _Curve(NamedTuple):
    """A model's method over some tasks, at K numbers of neighbours."""

    bits: Estimate
    train: Array  # [K]
    evaluate: Array  # [K]
    seconds: Array  # [1 + R, K], with those of selection
    tokens: Array  # [K]
    selection: Selection


def read_selection_seconds(
    rates: list[Path], benchmarks: Path, documents: int, spec: ScoreSpec
) -> dict[str, Selection]:
    """Of each method; `benchmarks` is the run's folder of Snakemake's benchmark files."""
    tables = [read_csv(path, ["index", "single_per_second"]) for path in rates]
    single = pd.concat(tables).set_index("index")["single_per_second"]
    searching = {index: 1 / rate for index, rate in single.items() if rate > 0}
    choosing = {
        name: seconds / documents
        for name in spec.selections
        if (seconds := _wall(benchmarks / f"choose_neighbors/test/{name}.tsv")) is not None
    }
    return {
        method: selection_of(candidates, spec, searching, choosing)
        for method, candidates in spec.candidates.items()
    }


def _wall(path: Path) -> float | None:
    """The job's seconds; None where Snakemake wrote none."""
    if not path.is_file():
        return None
    with reading(path, "remove it, and what its job chose is not counted"):
        return float(pd.read_csv(path, sep="\t")["s"].iloc[-1])


def selection_of(
    candidates: str | None,
    spec: ScoreSpec,
    searching: Mapping[str, float],
    choosing: Mapping[str, float],
) -> Selection:
    """What it takes to find a document's neighbours: `searching` by index, `choosing` by selection.

    Neighbours that are drawn at random, and methods without any, take nothing.
    """
    seconds, unknown = 0.0, []
    for index in spec.searched.get(candidates or "", []):
        seconds += searching.get(index, 0.0)
        if index not in searching:
            unknown.append(f"searching {index}")
    if candidates in spec.selections:
        seconds += choosing.get(candidates, 0.0)
        if candidates not in choosing:
            unknown.append(f"choosing {candidates}")
    return Selection(seconds, unknown)


def _alike(names: list[str], main: str, scores: Scores, model: str) -> list[str]:
    """The methods that start where the main one does, on the tasks that most of these have.

    A method on fewer tasks is left out, or the others were measured on these alone.
    """
    if (model, main) not in scores:
        return []
    of_main = scores[model, main]
    shared = {name: {*TASKS} & {*of_main} & {*scores[model, name]} for name in names}
    starting = [
        name
        for name, tasks in shared.items()
        if tasks and all(_is_same_start(scores[model, name], of_main, task) for task in tasks)
    ]
    having = Counter(task for name in starting for task in shared[name])
    least = min(max(having.values()), len(starting) // 2 + 1)
    wanted = {task for task, count in having.items() if count >= least}
    return [name for name in starting if wanted <= shared[name]]


def _is_same_start(one: Mapping[str, Any], other: Mapping[str, Any], task: str) -> bool:
    own, its = (part[task][METRICS[0]].value[0] for part in (one, other))
    return bool(abs(own - its) <= SAME * its)


def _curve(
    cells: list[Cell], scores: Scores, seconds: Mapping[Name, Array], selection: Selection
) -> _Curve:
    """A model's method over the tasks of these cells."""
    weights = pile_weights(cell.name.task for cell in cells)
    parts = [(weights[cell.name.task], cell) for cell in cells]
    bits = weighted_mean((w, scores[c.name[:2]][c.name.task][METRICS[0]]) for w, c in parts)
    took = np.sum([w * seconds[cell.name] for w, cell in parts], axis=0)
    train, evaluate, tokens = (
        np.sum([w * getattr(cell, column).mean(axis=0) for w, cell in parts], axis=0)
        for column in ("train_seconds", "evaluate_seconds", "train_tokens")
    )
    selected = selection.seconds * (bits.points > 0)
    return _Curve(bits, train, evaluate, took + selected, tokens, selection)


def _seconds(cells: list[Cell], spec: ScoreSpec) -> dict[Name, Array]:
    """[1 + R, K] each: means of training and one evaluation, of the documents and of resamples."""
    found = {}
    for cell in sorted(cells, key=lambda cell: cell.name.task):  # a task's share their resamples
        n = len(cell.documents)
        counts = resample_counts(n, spec.resamples, spec.seed, cell.name.task)
        seconds = cell.train_seconds + cell.evaluate_seconds
        found[cell.name] = np.vstack([seconds.mean(axis=0), counts @ seconds / n])
    return found


def front(bits: Array, seconds: Array, before: Array) -> npt.NDArray[np.bool_]:
    """[…, P]: which of P points no other that is as cheap is as good as, nor `before` […].

    Of equal ones the first is on the front.
    """
    order = np.lexsort((bits, seconds), axis=-1)
    ranked = np.take_along_axis(bits, order, -1)
    start = np.broadcast_to(np.asarray(before)[..., None], (*ranked.shape[:-1], 1))
    best = np.minimum.accumulate(np.concatenate([start, ranked], axis=-1), axis=-1)[..., :-1]
    found = np.empty(bits.shape, bool)
    np.put_along_axis(found, order, ranked < best, -1)
    return found


def _fronts(curves: dict[str, _Curve], main: str) -> dict[tuple[str, int], tuple[bool, float]]:
    """Of each method and place in its curve: whether it is on the front, in what part of resamples.

    Before training is no point of it.
    """
    places = [(name, k) for name, c in curves.items() for k in range(1, len(c.bits.points))]
    if not places:
        return {}
    bits = np.column_stack(
        [np.r_[curves[m].bits.value[k], curves[m].bits.samples[:, k]] for m, k in places]
    )
    seconds = np.column_stack([curves[m].seconds[:, k] for m, k in places])
    start = curves[main].bits
    on = front(bits, seconds, np.r_[start.value[0], start.samples[:, 0]])
    return {place: (bool(on[0, p]), float(on[1:, p].mean())) for p, place in enumerate(places)}


def quality_rows(
    cells: list[Cell], scores: Scores, selections: Mapping[str, Selection], spec: ScoreSpec
) -> Iterator[dict[str, Any]]:
    """A row for each model, method and number of neighbours.

    Methods that are `alike` start where the first one does, and are measured on the tasks that all
    of these were evaluated on; the front is theirs. Others, which evaluate other text or lack some
    of these tasks, are on their own. Bounds of `difference`, from before, are paired.
    """
    main = next(iter(dict.fromkeys(method for _, method, _, _ in spec.cells)))
    by_name, seconds = {cell.name: cell for cell in cells}, _seconds(cells, spec)
    for model in dict.fromkeys(cell.name.model for cell in cells):
        names = list(dict.fromkeys(c.name.method for c in cells if c.name.model == model))
        alike = _alike(names, main, scores, model)
        tasks_of = {
            name: [task for task in TASKS if Name(model, name, task) in by_name] for name in names
        }
        shared = [task for task in TASKS if alike and all(task in tasks_of[n] for n in alike)]
        curves = {}
        for name in names:
            tasks = shared if name in alike else tasks_of[name]
            own = [by_name[Name(model, name, task)] for task in tasks]
            curves[name] = _curve(own, scores, seconds, selections[name])
        fronts = _fronts({name: curves[name] for name in alike}, main)
        for name, curve in curves.items():
            yield from _rows(model, name, curve, name in alike, fronts, spec)


def _rows(
    model: str,
    method: str,
    curve: _Curve,
    alike: bool,
    fronts: dict[tuple[str, int], tuple[bool, float]],
    spec: ScoreSpec,
) -> Iterator[dict[str, Any]]:
    bits = curve.bits
    before, resampled = bits.value[:1], bits.samples[:, :1]
    change = bits._replace(value=bits.value - before, samples=bits.samples - resampled)
    took = bits._replace(value=curve.seconds[0], samples=curve.seconds[1:])
    bounds = [part.interval(spec.confidence) for part in (bits, change, took)]
    for k, point in enumerate(bits.points):
        on, share = fronts.get((method, k), (False, 0.0))
        yield {
            "run": spec.run,
            "model": model,
            "method": method,
            "num_neighbors": point,
            "documents": bits.documents,
            "tasks": bits.tasks,
            "alike": alike,
            "before": bits.value[0],
            "bits_per_byte": bits.value[k],
            "low": bounds[0][0][k],
            "high": bounds[0][1][k],
            "difference": change.value[k],
            "difference_low": bounds[1][0][k],
            "difference_high": bounds[1][1][k],
            "selection_seconds": curve.selection.seconds if point else 0.0,
            "not_counted": "; ".join(curve.selection.unknown),
            "train_seconds": curve.train[k],
            "evaluate_seconds": curve.evaluate[k],
            "seconds": took.value[k],
            "seconds_low": bounds[2][0][k],
            "seconds_high": bounds[2][1][k],
            "train_tokens": curve.tokens[k],
            "front": on,
            "front_share": share,
            "confidence": spec.confidence,
        }
