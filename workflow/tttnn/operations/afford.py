"""How many documents of each task can be evaluated in so many hours, by the plan's rates."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from functools import cache

from tttnn.config.root import Config
from tttnn.operations.costs import Costs
from tttnn.operations.jobs import EVALUATIONS, Job
from tttnn.sections.select import Select


def affordable(config: Config, listed: list[Job], hours: float) -> Iterator[str]:
    """Lines: the largest `select.count` whose evaluation takes no longer, and what it leaves out.

    Documents are drawn in one order whatever the count, so a longer run later adds to a shorter
    one. Hours are of a processor or a GPU, summed over the evaluations of test documents.
    Raises `ValueError` if a single document of each task takes longer.
    """
    cells = Counter(
        (job.rule, *(job.wildcards[name] for name in ("model", "method", "task")))
        for job in listed
        if job.rule in EVALUATIONS
    )

    @cache
    def costs(count: int) -> Costs:
        select = Select(fraction=None, count=count, seed=config.select.seed)
        return Costs(config.model_copy(update={"select": select}))

    def takes(count: int) -> float:
        names = ("model", "method", "task", "part")
        seconds = sum(
            parts * costs(count).of(rule, dict(zip(names, (*cell, "0"), strict=True))).seconds
            for (rule, *cell), parts in cells.items()
        )
        return seconds / 3600

    tasks = list(dict.fromkeys(task for *_, task in cells))
    there = {task: round(costs(10**9).selected(task)) for task in tasks}
    most = max(there.values(), default=0)
    count = bisect_right(range(1, most + 1), hours, key=takes)
    if not count:
        raise ValueError(
            f"{hours:g} hours are too few: a document of each task takes {takes(1):.3g}. Evaluate "
            "fewer models, methods or tasks, or give the methods a budget"
        )
    chosen = {task: min(count, documents) for task, documents in there.items()}
    left_out = sum(there.values()) - sum(chosen.values())
    yield (
        f"Into {hours:g} hours of evaluation fit {count} documents of each task "
        f"({takes(count):.3g} hours): select: {{fraction: null, count: {count}}}."
    )
    yield (
        f"It leaves out {left_out} of {sum(there.values())} documents: "
        + ", ".join(f"{task} {there[task] - chosen[task]} of {there[task]}" for task in tasks)
    )
