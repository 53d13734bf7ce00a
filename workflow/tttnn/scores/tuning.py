"""Choose a method's settings by its bits per byte on validation documents.

No test document has a part in it: what is read is below `validation/`, of documents of the split
`val` and their neighbours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from tttnn.digests import read_record, write_record
from tttnn.files import replacing
from tttnn.pile import ALL
from tttnn.scores.bootstrap import Estimate
from tttnn.scores.cells import read_cells, read_left_out
from tttnn.scores.estimates import METRICS, estimate_all
from tttnn.scores.inventory import read_selection
from tttnn.sections.base import Section
from tttnn.sections.score import Score
from tttnn.sections.tune import KEYS, Chosen

CHOICE_COLUMNS = [
    "run",
    "model",
    "method",
    "task",
    "key",
    "value",
    "chosen",
    "edge",
    "bits_per_byte",
    "difference",
    "low",
    "high",
    "confidence",
    "documents",
    "tasks",
]
"""Of `tuning.csv`."""

NONE = "none"  # in a table, of `stop`: no stop at all
LIMITS: dict[str, tuple[float | None, ...]] = {"stop": (None, 1.0), "num_neighbors": (0,)}
"""Values that nothing lies beyond: at the end of a grid they are no edge."""


class Point(Section):
    """A point of the grid, without its number of neighbours: a variant of the method."""

    method: str
    candidates: str | None
    settings: dict[str, float | None]


class ChoiceSpec(Score):
    """The section `score`, for the bootstrap; the run's name; and the grid of one method."""

    run: str
    by: Literal["all", "task"]
    tasks: list[str]
    points: list[Point]
    num_neighbors: list[int] | None  # null: not chosen, it is as many as are measured


class _Tried(NamedTuple):
    """One point of the grid with its number of neighbours: what it is, and how good."""

    settings: dict[str, float | None]
    candidates: str | None
    bits: float
    samples: np.ndarray  # [resamples], the same documents for all
    estimate: Estimate


def _paths(spec: ChoiceSpec, results: Path, model: str) -> list[Path]:
    return [
        results / "validation" / model / point.method / task / "0.parquet"
        for point in spec.points
        for task in spec.tasks
    ]


def _tried(spec: ChoiceSpec, estimates: dict[str, Estimate]) -> list[_Tried]:
    """All points of the grid, in its order; `estimates` are of one task, by variant."""
    found = []
    for point in spec.points:
        estimate = estimates[point.method]
        counts = spec.num_neighbors or [int(estimate.points[-1])]
        for count in counts:
            places = np.flatnonzero(estimate.points == count)
            if not len(places):
                raise ValueError(
                    f"{point.method} was not measured at {count} neighbours: add it to its "
                    "evaluate_at, or take it out of tune.num_neighbors"
                )
            place = int(places[0])
            settings = dict(point.settings)
            if spec.num_neighbors is not None:
                settings["num_neighbors"] = count
            found.append(
                _Tried(
                    settings,
                    point.candidates,
                    float(estimate.value[place]),
                    estimate.samples[:, place],
                    estimate,
                )
            )
    return found


def _beside(tried: list[_Tried], best: _Tried, key: str) -> list[_Tried]:
    """The points that differ from the best in one key at most, by the key's values."""
    others = {name: value for name, value in best.settings.items() if name != key}
    return [one for one in tried if others.items() <= one.settings.items()]


def _edge(along: list[_Tried], best: _Tried, key: str) -> str | None:
    """At which end of the grid the best one is, if values beyond could be better still."""
    if len(along) == 1 or best.settings[key] in LIMITS.get(key, ()):
        return None
    return "lower" if best is along[0] else "upper" if best is along[-1] else None


def _interval(one: _Tried, best: _Tried, confidence: float) -> tuple[float | None, float | None]:
    difference = one.estimate._replace(samples=(one.samples - best.samples)[:, None])
    low, high = difference.interval(confidence)
    return (float(low[0]), float(high[0])) if difference.spread else (None, None)


def _rows(
    spec: ChoiceSpec, tried: list[_Tried], best: _Tried, names: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """A row for each value of each key, the others as they were chosen."""
    for key in (key for key in KEYS if key in best.settings):
        along = _beside(tried, best, key)
        edge = _edge(along, best, key)
        if edge is not None:
            print(
                f"warning: {names['model']}/{names['method']}: the best {key} for {names['task']}, "
                f"{best.settings[key]}, is at the {edge} end of the values of tune.{key}: a value "
                "beyond may be better",
                file=sys.stderr,
            )
        for one in along:
            low, high = (None, None) if one is best else _interval(one, best, spec.confidence)
            yield {
                "run": spec.run,
                **names,
                "key": key,
                "value": one.settings[key],
                "chosen": one is best,
                "edge": edge if one is best else None,
                "bits_per_byte": one.bits,
                "difference": one.bits - best.bits,
                "low": low,
                "high": high,
                "confidence": spec.confidence,
                "documents": one.estimate.documents,
                "tasks": one.estimate.tasks,
            }


def choose_settings(
    spec: ChoiceSpec, results: Path, selection: Path, model: str, method: str, output: Path
) -> None:
    """Choose one method's settings for one model: the point of its grid with least bits per byte.

    For each task, or for all by the mean that the Pile's weights give, over the tasks that have
    validation documents; of equal points the first of the grid, which has the smallest values.

    `results` is the folder of `validation/{model}/{variant}/{task}/0.parquet`, `selection` that of
    the validation documents. `output` is a record: under `chosen`, by task or for `pile_all`, a
    `tttnn.sections.tune.Chosen`; under `grid` bits per byte of every point; under `rows` those of
    `list_choices`. What was chosen is the best of many on few documents, so its bits per byte there
    are better than it is: the test documents say how good.

    A choice at the end of its values, where there could be better ones beyond, is a warning.

    Raises `ValueError` as `read_cells` does, and where there are no documents to choose on.
    """
    paths = _paths(spec, results, model)
    counts = {task: count["selected"] for task, count in read_selection(selection).items()}
    whole = read_left_out(paths)
    held = {task: counts[task] - len(whole.get(task, ())) for task in spec.tasks}
    estimates = estimate_all(read_cells(paths, held), spec)
    chosen: dict[str, dict[str, Any]] = {}
    grid: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for task in [ALL] if spec.by == "all" else spec.tasks:
        by_variant = {
            name: tasks[task][METRICS[0]] for (_, name), tasks in estimates.items() if task in tasks
        }
        if not by_variant:
            raise ValueError(
                f"{selection}: {task} has no validation documents to choose {method}'s settings "
                "on: raise validation.count, set tune.by: all, or leave the task out"
            )
        tried = _tried(spec, by_variant)
        best = min(tried, key=lambda one: one.bits)
        chosen[task] = {"candidates": best.candidates, **best.settings}
        Chosen.model_validate(chosen[task])  # as who uses it will read it
        grid.extend({"task": task, **one.settings, "bits_per_byte": one.bits} for one in tried)
        names = {"model": model, "method": method, "task": task}
        rows.extend(_rows(spec, tried, best, names))
    write_record(
        output,
        {"model": model, "method": method, "chosen": chosen, "grid": grid, "rows": rows},
    )


def list_choices(records: list[Path], table: Path) -> None:
    """Write all methods' choices as a table.

    `records` are `tuned/{model}/{method}.json`. A row is a value of a setting, the others as they
    were chosen: its bits per byte on validation documents, and by how much more that is than the
    chosen value's, with the interval of a paired bootstrap over these documents.
    """
    rows = pd.DataFrame(
        [row for path in records for row in read_record(path)["rows"]], columns=CHOICE_COLUMNS
    )
    rows["value"] = [NONE if pd.isna(value) else f"{value:g}" for value in rows["value"]]
    with replacing(table) as beside:
        rows.to_csv(beside, index=False, lineterminator="\n")
