"""Bits per byte by position in the document, of methods that read it window by window.

All numbers of a row are of the same documents: those that have a window at its position. Intervals
are of resamples of these documents, the same for every method, so that differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tttnn.files import replacing
from tttnn.pile import ALL, TASKS
from tttnn.scores.bootstrap import Estimate, resample_counts, weighted_mean
from tttnn.scores.estimates import pile_weights
from tttnn.sections.score import Score
from tttnn.tables import read_table

FIFTHS = 5
LONG = 5
"""Windows that a long document has at least: more than four."""

KINDS = {"all": 1, "long": LONG}
"""Which documents a row is of: by name, the windows that they have at least."""

COLUMNS = [
    "run",
    "model",
    "method",
    "query",
    "carry",
    "chunk_tokens",
    "task",
    "windows_kind",
    "by",
    "position",
    "num_neighbors",
    "before",
    "value",
    "low",
    "high",
    "change",
    "change_low",
    "change_high",
    "against",
    "against_num_neighbors",
    "against_value",
    "difference",
    "difference_low",
    "difference_high",
    "confidence",
    "documents",
    "windows",
    "left_out",
    "tasks",
]
HOW = ["query", "carry", "chunk_tokens"]


class PositionsSpec(Score):
    """The section `score`, the run's name, and what was read window by window."""

    run: str
    cells: list[tuple[str, str, str, int]]  # model, method, task and its number of parts


class Method(NamedTuple):
    """A model's windows with one method, and how it reads."""

    model: str
    name: str
    rows: pd.DataFrame

    @property
    def how(self) -> dict[str, Any]:
        return self.rows.iloc[0][HOW].to_dict()

    @property
    def points(self) -> list[int]:
        """Numbers of neighbours."""
        return sorted(self.rows["num_neighbors"].unique())


class Place(NamedTuple):
    """Which windows a row is of: `by` window, fifth or document; and the number, from 1."""

    by: str
    position: int


def _read(results: Path, spec: PositionsSpec) -> list[Method]:
    """Raises `ValueError` for files of windows of other methods than they should be."""
    frames: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for model, method, task, parts in spec.cells:
        for part in range(parts):
            path = results / "windows" / model / method / task / f"{part}.parquet"
            frame = read_table(path).to_pandas()
            if not (frame[["model", "method", "task"]] == [model, method, task]).all(axis=None):
                raise ValueError(
                    f"{path} holds windows of another model, method or task: was it copied from "
                    "elsewhere?"
                )
            frames.setdefault((model, method), []).append(frame)
    methods = []
    for name, some in frames.items():
        rows = pd.concat([frame for frame in some if len(frame)] or some[:1], ignore_index=True)
        if rows.empty:
            continue
        evaluated = rows.groupby(["task", "document_id"])["window"].transform("max") + 1
        fifth = rows["window"] * FIFTHS // evaluated + 1
        methods.append(Method(*name, rows.assign(evaluated=evaluated, fifth=fifth)))
    return methods


def _at(rows: pd.DataFrame, place: Place) -> pd.DataFrame:
    """The rows of windows at a place."""
    if place.by == "document":
        return rows
    if place.by == "fifth":
        return rows[rows["fifth"] == place.position]
    return rows[rows["window"] == place.position - 1]


def _places(rows: pd.DataFrame) -> Iterator[Place]:
    yield Place("document", 1)
    yield from (Place("fifth", number) for number in range(1, FIFTHS + 1))
    yield from (Place("window", number) for number in range(1, int(rows["evaluated"].max()) + 1))


def _estimate(rows: pd.DataFrame, task: str, spec: Score) -> Estimate:
    """Bits per byte at each number of neighbours, with its resamples, of a task's rows."""
    sums = rows.groupby(["document_id", "num_neighbors"])[["loglikelihood", "bytes"]].sum()
    table = sums.unstack("num_neighbors").sort_index()
    likelihood, size = table["loglikelihood"].to_numpy(), table["bytes"].to_numpy()[:, :1]
    n = len(table)
    counts = resample_counts(n, spec.resamples, spec.seed, task)
    drawn = np.vstack([np.ones((1, n)), counts])
    bits = -(drawn @ likelihood) / (drawn @ size) / math.log(2)
    points = table["loglikelihood"].columns.to_numpy(np.int64)
    return Estimate(points, bits[0], bits[1:], documents=n, spread=n > 1)


def _estimates(rows: pd.DataFrame, spec: Score) -> dict[str, Estimate]:
    """By task, and of all of them with the Pile's weights, renormalised."""
    found = {
        task: _estimate(own, task, spec) for task in TASKS if len(own := rows[rows["task"] == task])
    }
    weights = pile_weights(found)
    return found | {ALL: weighted_mean((weights[task], part) for task, part in found.items())}


def _column(part: Estimate, point: int) -> npt.NDArray[np.float64]:
    """[1 + resamples], the value and its resamples at a number of neighbours."""
    (place,) = np.flatnonzero(part.points == point)
    return np.concatenate([part.value[[place]], part.samples[:, place]])


def _bounds(values: npt.NDArray[np.float64], part: Estimate, spec: Score) -> list[float]:
    """A value with its interval; without one where no task has a second document."""
    if not part.spread:
        return [values[0], math.nan, math.nan]
    tail = (1 - spec.confidence) / 2
    return [values[0], *np.quantile(values[1:], [tail, 1 - tail])]


def _against(method: Method, methods: Sequence[Method], point: int) -> tuple[Method, int] | None:
    """The method with one search a document, and its number of neighbours to compare with.

    As many as the method's own; all of them, for one that has none.
    """
    others = (
        other
        for other in methods
        if other.model == method.model and other.how["query"] == "document"
    )
    other = next(others, None)
    if other is None or other.name == method.name:
        return None
    if method.how["query"] == "none":
        return other, other.points[-1]
    return (other, point) if point in other.points else None


def _rows(methods: list[Method], spec: PositionsSpec) -> Iterator[dict[str, Any]]:
    for method in methods:
        for kind, least in KINDS.items():
            rows = method.rows[method.rows["evaluated"] >= least]
            if rows.empty:
                continue
            for place in _places(rows):
                own = _at(rows, place)
                if not own.empty:
                    yield from _rows_at(method, methods, kind, place, own, spec)


def _rows_at(
    method: Method,
    methods: list[Method],
    kind: str,
    place: Place,
    own: pd.DataFrame,
    spec: PositionsSpec,
) -> Iterator[dict[str, Any]]:
    estimates = _estimates(own, spec)
    compared: dict[str, dict[str, Estimate]] = {}
    for point in method.points[1:]:
        against = _against(method, methods, point)
        if against is not None and against[0].name not in compared:
            other = against[0].rows
            shared = other["task"].isin(own["task"]) & (other["evaluated"] >= KINDS[kind])
            theirs = _at(other[shared], place)
            _check_same(method, against[0], own, theirs)
            compared[against[0].name] = _estimates(theirs, spec)
        for task, part in estimates.items():
            some = own if task == ALL else own[own["task"] == task]
            one = some[some["num_neighbors"] == point]
            before, after = _column(part, 0), _column(part, point)
            value, change = (_bounds(v, part, spec) for v in (after, after - before))
            difference, said = [math.nan] * 3, {}
            if against is not None:
                theirs_at = _column(compared[against[0].name][task], against[1])
                difference = _bounds(after - theirs_at, part, spec)
                said = {"against": against[0].name, "against_num_neighbors": against[1]}
                said |= {"against_value": theirs_at[0]}
            last = one.drop_duplicates(["task", "document_id"])
            yield {
                "run": spec.run,
                "model": method.model,
                "method": method.name,
                **method.how,
                "task": task,
                "windows_kind": kind,
                **place._asdict(),
                "num_neighbors": point,
                "before": before[0],
                **dict(zip(("value", "low", "high"), value, strict=True)),
                **dict(zip(("change", "change_low", "change_high"), change, strict=True)),
                **said,
                **dict(
                    zip(
                        ("difference", "difference_low", "difference_high"), difference, strict=True
                    )
                ),
                "confidence": spec.confidence,
                "documents": part.documents,
                "windows": len(one),
                "left_out": int((last["windows"] - last["evaluated"]).sum()),
                "tasks": part.tasks,
            }


def _check_same(method: Method, other: Method, own: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Raises `ValueError` where two methods did not read the same windows."""
    columns = ["task", "document_id", "window", "bytes"]
    mine, yours = (
        frame[frame["num_neighbors"] == 0][columns].sort_values(columns).to_numpy().tolist()
        for frame in (own, theirs)
    )
    if mine != yours:
        raise ValueError(
            f"{method.model}: {method.name} and {other.name} were not evaluated on the same "
            "windows: give the first no more tasks than the second, or evaluate both again"
        )


def score_windows(spec: PositionsSpec, results: Path, table: Path) -> None:
    """Write bits per byte by position, a row for each number of neighbours above 0.

    `results` has `windows/{model}/{method}/{task}/{part}.parquet`, as
    `tttnn.methods.evaluate_windows` wrote them. `by` is what `position` counts, from 1: windows,
    fifths of what was evaluated of a document, or documents as a whole. `change` is against the
    model as it was, `difference` against the first method with one search a document (`query:
    document`), at as many neighbours. `left_out` is how many windows of these documents were not
    evaluated.

    Raises `ValueError` where methods that are compared did not read the same windows.
    """
    made = pd.DataFrame(_rows(_read(results, spec), spec), columns=COLUMNS)
    whole = ["chunk_tokens", "against_num_neighbors"]
    made[whole] = made[whole].astype("Int64")
    with replacing(table) as beside:
        made.to_csv(beside, index=False, lineterminator="\n")
