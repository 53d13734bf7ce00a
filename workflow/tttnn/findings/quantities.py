"""What can be measured of a run's methods: a number with its interval for each model."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from tttnn.findings.evidence import Evidence, Measured, Samples
from tttnn.pile import TASKS

MAIN = "ttt"
"""The method that others are held against."""


def _share(part: Samples, whole: Samples, confidence: float) -> Samples:
    """Part by whole; NaN where the whole is not certainly above 0: a share of nothing is none."""
    if not np.quantile(whole, (1 - confidence) / 2) > 0:
        return np.full_like(whole, math.nan)
    return part / whole


def against(
    run: Evidence,
    method: str,
    base: str = MAIN,
    relative: bool = False,
    column: str = "bits_per_byte",
    points: tuple[int, int | None] | None = None,
) -> list[Measured]:
    """A method minus another at the largest number of neighbours of both, for each model.

    `relative`: divided by the other, minus 1. `points` are numbers of neighbours of the one and of
    the other instead, None the other's largest.
    """
    found = []
    for model in run.models_with(method, base):
        tasks = run.tasks(model, method, base)
        mine, others, both = (
            run.points(model, *names) for names in ((method,), (base,), (method, base))
        )
        if points is None and both:
            at = both[-1], both[-1]
        elif points is not None and points[0] in mine and points[1] in (None, *others):
            at = points[0], others[-1] if points[1] is None else points[1]
        else:
            continue
        one, other = (
            run.mean(model, name, point, tasks, column)
            for name, point in zip((method, base), at, strict=True)
        )
        with np.errstate(divide="ignore", invalid="ignore"):  # then there is no interval
            samples = one / other - 1 if relative else one - other
        of = f"{model}, {' and '.join(dict.fromkeys(map(str, at)))} neighbours"
        found.append(run.measured(of, samples, model, method, tasks))
    return found


def gain(run: Evidence, method: str = MAIN, relative: bool = False) -> list[Measured]:
    """After the most neighbours minus before, for each model."""
    found = []
    for model in run.models_with(method):
        tasks, last = run.tasks(model, method), run.points(model, method)[-1]
        before, after = (run.mean(model, method, point, tasks) for point in (0, last))
        change = after / before - 1 if relative else after - before
        of = f"{model}, {last} neighbours"
        found.append(run.measured(of, change, model, method, tasks))
    return found


def clean_gain(run: Evidence) -> list[Measured]:
    """From `differences.csv`: the gain on documents that no neighbour nearly copies."""
    table = run.tables["differences"]
    rows = table.query("documents_kind == 'clean' and method == @MAIN and task == 'pile_all'")
    return [
        Measured(
            f"{row.model}, {row.num_neighbors} neighbours",
            *(row.difference, row.low, row.high, row.documents, row.tasks),
        )
        for row in rows.itertuples()
        if row.num_neighbors == rows["num_neighbors"].max()
    ]


def share_of_gain(run: Evidence, method: str) -> list[Measured]:
    """A method's gain by that of the nearest neighbours, for each model."""
    found = []
    for model in run.models_with(method, MAIN):
        tasks, points = run.tasks(model, method, MAIN), run.points(model, method, MAIN)
        if not points:
            continue
        before = run.mean(model, MAIN, 0, tasks)
        gains = [before - run.mean(model, m, points[-1], tasks) for m in (method, MAIN)]
        of = f"{model}, {points[-1]} neighbours"
        found.append(run.measured(of, _share(*gains, run.confidence), model, MAIN, tasks))
    return found


def share_of_task(run: Evidence, method: str, task: str) -> list[Measured]:
    """How much of a method's weighted gain is one task's, for each model that has others too."""
    found = []
    for model in run.models_with(method):
        tasks, last = run.tasks(model, method), run.points(model, method)[-1]
        if task not in tasks or len(tasks) == 1:
            continue
        part, whole = (
            run.mean(model, method, 0, some) - run.mean(model, method, last, some)
            for some in ([task], tasks)
        )
        part = part * TASKS[task].weight / math.fsum(TASKS[t].weight for t in tasks)
        samples = _share(part, whole, run.confidence)
        found.append(run.measured(f"{model}, {last} neighbours", samples, model, method, tasks))
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


def _relative_gain(run: Evidence, model: str, tasks: list[str]) -> Samples:
    last = run.points(model, MAIN)[-1]
    return 1 - run.mean(model, MAIN, last, tasks) / run.mean(model, MAIN, 0, tasks)


def unseen_minus_seen(run: Evidence) -> list[Measured]:
    """The relative gain on subsets a model was not trained on, minus that on the others."""
    found = []
    for model in run.models_with(MAIN):
        tasks = run.tasks(model, MAIN)
        seen, unseen = ([t for t in tasks if t in some] for some in _seen(run, model))
        if seen and unseen:
            samples = _relative_gain(run, model, unseen) - _relative_gain(run, model, seen)
            of = f"{model}, {len(unseen)} tasks against {len(seen)}"
            found.append(run.measured(of, samples, model, MAIN, tasks))
    return found


def unseen_minus_trained(run: Evidence) -> list[Measured]:
    """On the same subsets: the relative gain of a model that saw none, minus one's that saw all."""
    found = []
    for model in run.models_with(MAIN):
        for other in run.models_with(MAIN):
            unseen, trained = _seen(run, model)[1], _seen(run, other)[0]
            tasks = [t for t in run.tasks(model, MAIN) if t in unseen & trained]
            tasks = [t for t in tasks if t in run.tasks(other, MAIN)]
            if tasks:
                samples = _relative_gain(run, model, tasks) - _relative_gain(run, other, tasks)
                found.append(run.measured(f"{model} against {other}", samples, model, MAIN, tasks))
    return found


def early_share(run: Evidence, part: float) -> list[Measured]:
    """The gain of the largest evaluated number up to this part of the neighbours, by the whole."""
    found = []
    for model in run.models_with(MAIN):
        tasks, points = run.tasks(model, MAIN), run.points(model, MAIN)
        early = [point for point in points if point <= part * points[-1]]
        if early:
            before = run.mean(model, MAIN, 0, tasks)
            gains = [before - run.mean(model, MAIN, k, tasks) for k in (early[-1], points[-1])]
            samples = _share(*gains, run.confidence)
            of = f"{model}, {early[-1]} of {points[-1]} neighbours"
            found.append(run.measured(of, samples, model, MAIN, tasks))
    return found


def flattening(run: Evidence) -> list[Measured]:
    """The gain per neighbour up to half of the neighbours, minus that of those that follow."""
    found = []
    for model in run.models_with(MAIN):
        tasks, points = run.tasks(model, MAIN), run.points(model, MAIN)
        early = [point for point in points if point <= points[-1] / 2]
        if early:
            half, last = early[-1], points[-1]
            begin, middle, end = (run.mean(model, MAIN, k, tasks) for k in (0, half, last))
            samples = (begin - middle) / half - (middle - end) / (last - half)
            of = f"{model}, up to {half} and up to {last}"
            found.append(run.measured(of, samples, model, MAIN, tasks))
    return found


def worse_tasks(run: Evidence, than_before: bool) -> list[Measured]:
    """Tasks that end above where they began, or else above their best number of neighbours.

    Counted are those whose paired interval lies above 0; the count has no spread of its own.
    """
    found = []
    for model in run.models_with(MAIN):
        worse, tested, documents = [], 0, 0
        for task in run.tasks(model, MAIN):
            curve = run.curve(model, MAIN, task)
            if curve.documents == 1 or (len(curve.points) == 2 and not than_before):
                continue
            bits = curve.bits_per_byte
            best = 0 if than_before else 1 + int(bits[0, 1:-1].argmin())
            change = run.measured(task, bits[:, -1] - bits[:, best], model, MAIN, [task])
            if change.low > 0:
                worse.append(task if than_before else f"{task} after {curve.points[best]}")
            tested, documents = tested + 1, documents + curve.documents
        if tested:
            of = f"{model}: {', '.join(worse) or 'none'}"
            found.append(Measured(of, *[float(len(worse))] * 3, documents, tested))
    return found


def gap_closed(run: Evidence) -> list[Measured]:
    """How much of the distance to each later model of the run training closes."""
    found = []
    for model, larger in combinations(run.models_with(MAIN), 2):
        tasks = [t for t in run.tasks(model, MAIN) if t in run.tasks(larger, MAIN)]
        if not tasks:
            continue
        last = run.points(model, MAIN)[-1]
        before = run.mean(model, MAIN, 0, tasks)
        closed = before - run.mean(model, MAIN, last, tasks)
        gap = before - run.mean(larger, MAIN, 0, tasks)
        samples = _share(closed, gap, run.confidence)
        found.append(run.measured(f"{model} to {larger}", samples, model, MAIN, tasks))
    return found


def ratio_points(run: Evidence, method: str) -> list[Measured]:
    """The ratio after/before of a method minus that of the main one, on the same documents."""
    found = []
    for model in run.models_with(method, MAIN):
        tasks, points = run.tasks(model, method, MAIN), run.points(model, method, MAIN)
        if points:
            ratios = [
                run.mean(model, name, points[-1], tasks) / run.mean(model, name, 0, tasks)
                for name in (method, MAIN)
            ]
            of = f"{model}, {points[-1]} neighbours"
            found.append(run.measured(of, ratios[0] - ratios[1], model, MAIN, tasks))
    return found


def several(run: Evidence, methods: tuple[str, ...]) -> list[Measured]:
    """Each of these methods minus the main one."""
    rows = [(method, row) for method in methods for row in against(run, method)]
    return [row._replace(of=f"{method}: {row.of}") for method, row in rows]
