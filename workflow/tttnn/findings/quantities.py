"""What can be measured of a run's methods: a number with its interval for each model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np

from tttnn.findings.evidence import MAIN, Evidence, Measured, Samples
from tttnn.pile import TASKS


class Cells(NamedTuple):
    """A model's cells with some methods: the tasks that all of these have."""

    run: Evidence
    model: str
    methods: tuple[str, ...]
    tasks: list[str]

    @property
    def points(self) -> list[int]:
        """The numbers of neighbours above 0 at which all of the methods were evaluated."""
        return self.run.points(self.model, *self.methods)

    def mean(self, method: str, point: int, column: str = "bits_per_byte") -> Samples:
        """A method's weighted mean over the tasks."""
        return self.run.mean(self.model, method, point, self.tasks, column)

    def gain(self, method: str, point: int) -> Samples:
        """By how much a method's mean is lower than before."""
        return self.mean(method, 0) - self.mean(method, point)

    def ratio(self, method: str, point: int) -> Samples:
        """A method's mean by that before."""
        return self.mean(method, point) / self.mean(method, 0)

    def measured(self, label: str, samples: Samples, method: str) -> Measured:
        """The number, its documents and tasks those of this method."""
        return self.run.measured(label, samples, self.model, method, self.tasks)


def cells_of(run: Evidence, *methods: str) -> Iterator[Cells]:
    """The cells of each model that was evaluated with all of these methods on a common task."""
    for model in run.models_with(*methods):
        yield Cells(run, model, methods, run.tasks(model, *methods))


def share(part: Samples, whole: Samples, confidence: float) -> Samples:
    """Part by whole; NaN where the whole is not certainly above 0: a share of nothing is none."""
    if not np.quantile(whole, (1 - confidence) / 2) > 0:
        return np.full_like(whole, math.nan)
    return part / whole


Points = tuple[int | None, int | None]
"""Numbers of neighbours of one method and of another; None is the largest that it has."""


def _compared_at(cells: Cells, points: Points | None) -> list[int]:
    """The numbers of neighbours of the one method and the other; none where they lack them."""
    if points is None:
        return cells.points[-1:] * 2
    first, second = (cells.run.points(cells.model, method) for method in cells.methods)
    if points[0] not in (None, *first) or points[1] not in (None, *second):
        return []
    return [known[-1] if k is None else k for known, k in ((first, points[0]), (second, points[1]))]


def against(
    run: Evidence,
    method: str,
    base: str = MAIN,
    relative: bool = False,
    column: str = "bits_per_byte",
    points: Points | None = None,
) -> list[Measured]:
    """A method minus another at the largest number of neighbours of both, for each model.

    `relative`: divided by the other, minus 1. `points` are numbers of neighbours of the one and of
    the other instead.
    """
    pair = run.called(method), run.called(base)
    if pair[0] == pair[1] and points is None:  # the method is what stands for the main one
        return []
    found = []
    for cells in cells_of(run, *pair):
        at = _compared_at(cells, points)
        if not at:
            continue
        one, other = (cells.mean(name, k, column) for name, k in zip(pair, at, strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):  # then there is no interval
            samples = one / other - 1 if relative else one - other
        label = f"{cells.model}, {' and '.join(dict.fromkeys(map(str, at)))} neighbours"
        found.append(cells.measured(label, samples, pair[0]))
    return found


def against_after(run: Evidence, method: str, neighbors: int) -> list[Measured]:
    """A method at its most, minus the main one after so many neighbours, for each model.

    Where the main method stops before, the one that is called after both, `ttt_20`, stands for it.
    """
    points = (None, neighbors)
    return against(run, method, points=points) or against(
        run, method, f"{run.main}_{neighbors}", points=points
    )


def several(run: Evidence, methods: tuple[str, ...]) -> list[Measured]:
    """Each of these methods minus the main one."""
    rows = [(method, row) for method in methods for row in against(run, method)]
    return [row._replace(label=f"{method}: {row.label}") for method, row in rows]


def gain(run: Evidence, method: str = MAIN, relative: bool = False) -> list[Measured]:
    """After the most neighbours minus before, for each model."""
    method, found = run.called(method), []
    for cells in cells_of(run, method):
        last = cells.points[-1]
        change = cells.ratio(method, last) - 1 if relative else -cells.gain(method, last)
        found.append(cells.measured(f"{cells.model}, {last} neighbours", change, method))
    return found


def clean_gain(run: Evidence) -> list[Measured]:
    """From `differences.csv`: the gain on documents that no neighbour nearly copies."""
    table = run.tables["differences"]
    rows = table.query("documents_kind == 'clean' and method == @run.main and task == 'pile_all'")
    return [
        Measured(
            label=f"{row.model}, {row.num_neighbors} neighbours",
            value=row.difference,
            low=row.low,
            high=row.high,
            documents=row.documents,
            tasks=row.tasks,
        )
        for row in rows.itertuples()
        if row.num_neighbors == rows["num_neighbors"].max() and row.model in run.models
    ]


def share_of_gain(run: Evidence, method: str) -> list[Measured]:
    """A method's gain by that of the nearest neighbours, for each model."""
    found = []
    for cells in cells_of(run, method, run.main):
        if cells.points:
            last = cells.points[-1]
            part, whole = cells.gain(method, last), cells.gain(run.main, last)
            samples = share(part, whole, run.confidence)
            found.append(cells.measured(f"{cells.model}, {last} neighbours", samples, run.main))
    return found


def ratio_points(run: Evidence, method: str) -> list[Measured]:
    """The ratio after/before of a method minus that of the main one, on the same documents."""
    found = []
    for cells in cells_of(run, method, run.main):
        if cells.points:
            last = cells.points[-1]
            samples = cells.ratio(method, last) - cells.ratio(run.main, last)
            found.append(cells.measured(f"{cells.model}, {last} neighbours", samples, run.main))
    return found


def share_of_task(run: Evidence, method: str, task: str) -> list[Measured]:
    """How much of a method's weighted gain is one task's, for each model that has others too."""
    found = []
    for cells in cells_of(run, method):
        if task not in cells.tasks or len(cells.tasks) == 1:
            continue
        last = cells.points[-1]
        part = cells._replace(tasks=[task]).gain(method, last)
        part = part * TASKS[task].weight / math.fsum(TASKS[t].weight for t in cells.tasks)
        samples = share(part, cells.gain(method, last), run.confidence)
        found.append(cells.measured(f"{cells.model}, {last} neighbours", samples, method))
    return found


def _seen(run: Evidence, model: str) -> tuple[set[str], set[str]]:
    """The tasks whose subsets a model was and was not trained on; empty where nobody says."""
    trained = run.config["models"][model]
    if trained["kind"] != "train":
        return set(), set()
    names = {task: subset.pile_set_name for task, subset in TASKS.items()}
    among = names.values() if trained["subsets"] is None else trained["subsets"]
    seen = {t for t, name in names.items() if name in among and name not in trained["exclude"]}
    return seen, set(names) - seen


def _relative_gain(cells: Cells, tasks: list[str]) -> Samples:
    """Of the main method after all neighbours, over these tasks."""
    return 1 - cells._replace(tasks=tasks).ratio(cells.run.main, cells.points[-1])


def unseen_minus_seen(run: Evidence) -> list[Measured]:
    """The relative gain on subsets a model was not trained on, minus that on the others."""
    found = []
    for cells in cells_of(run, run.main):
        seen, unseen = ([t for t in cells.tasks if t in known] for known in _seen(run, cells.model))
        if seen and unseen:
            samples = _relative_gain(cells, unseen) - _relative_gain(cells, seen)
            label = f"{cells.model}, {len(unseen)} tasks against {len(seen)}"
            found.append(cells.measured(label, samples, run.main))
    return found


def unseen_minus_trained(run: Evidence) -> list[Measured]:
    """On the same subsets: the relative gain of a model that saw none, minus one's that saw all."""
    found = []
    for cells in cells_of(run, run.main):
        for other in cells_of(run, run.main):
            shared = _seen(run, cells.model)[1] & _seen(run, other.model)[0] & set(other.tasks)
            tasks = [t for t in cells.tasks if t in shared]
            if tasks:
                samples = _relative_gain(cells, tasks) - _relative_gain(other, tasks)
                label = f"{cells.model} against {other.model}"
                found.append(cells._replace(tasks=tasks).measured(label, samples, run.main))
    return found


def early_share(run: Evidence, part: float) -> list[Measured]:
    """The gain after this part of the neighbours, by the whole gain.

    On the line between the two evaluated numbers about it, where it is none itself: the curve bends
    down there, so that the gain is rather more.
    """
    found = []
    for cells in cells_of(run, run.main):
        last = cells.points[-1]
        wanted = part * last
        early = [point for point in cells.points if point <= wanted]
        if not early:
            continue
        before, after = early[-1], min(point for point in cells.points if point >= wanted)
        reached, where = cells.gain(run.main, before), ""
        if after > before:
            more = cells.gain(run.main, after) - reached
            reached = reached + more * (wanted - before) / (after - before)
            where = f", between {before} and {after}"
        samples = share(reached, cells.gain(run.main, last), run.confidence)
        label = f"{cells.model}, {wanted:g} of {last} neighbours{where}"
        found.append(cells.measured(label, samples, run.main))
    return found


def flattening(run: Evidence) -> list[Measured]:
    """The gain per neighbour up to half of the neighbours, minus that of those that follow."""
    found = []
    for cells in cells_of(run, run.main):
        last = cells.points[-1]
        early = [point for point in cells.points if point <= last / 2]
        if early:
            half = early[-1]
            begin, middle, end = (cells.mean(run.main, point) for point in (0, half, last))
            samples = (begin - middle) / half - (middle - end) / (last - half)
            label = f"{cells.model}, up to {half} and up to {last}"
            found.append(cells.measured(label, samples, run.main))
    return found


def worse_tasks(run: Evidence, than_before: bool) -> list[Measured]:
    """Tasks that end above where they began, or else above their best number of neighbours.

    Counted are those whose paired interval lies above 0; the count has no spread of its own.
    """
    found = []
    for cells in cells_of(run, run.main):
        worse, tested, documents = [], 0, 0
        for task in cells.tasks:
            curve = run.curve(cells.model, run.main, task)
            if curve.documents == 1 or (len(curve.points) == 2 and not than_before):
                continue
            bits = curve.bits_per_byte
            best = 0 if than_before else 1 + int(bits[0, 1:-1].argmin())
            change = run.measured(task, bits[:, -1] - bits[:, best], cells.model, run.main, [task])
            if change.low > 0:
                worse.append(task if than_before else f"{task} after {curve.points[best]}")
            tested, documents = tested + 1, documents + curve.documents
        if tested:
            label = f"{cells.model}: {', '.join(worse) or 'none'}"
            count = float(len(worse))
            found.append(Measured(label, count, count, count, documents, tested))
    return found


def gap_closed(run: Evidence) -> list[Measured]:
    """How much of the distance to each later model of the run training closes."""
    found = []
    for pair in combinations(cells_of(run, run.main), 2):
        tasks = [task for task in pair[0].tasks if task in pair[1].tasks]
        if not tasks:
            continue
        small, large = (cells._replace(tasks=tasks) for cells in pair)
        gap = small.mean(run.main, 0) - large.mean(run.main, 0)
        samples = share(small.gain(run.main, small.points[-1]), gap, run.confidence)
        found.append(small.measured(f"{small.model} to {large.model}", samples, run.main))
    return found
