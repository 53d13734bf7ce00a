"""How many documents of each task can be evaluated in so many hours, by the plan's rates.

Documents are drawn in one order whatever their number, so that more hours add to fewer. A choice
rests on the configuration, the sizes of a local source's files, the shape of a local model and the
rates of `tttnn.needs`: never on a clock or on how far a run is. What a local folder would say and
does not yet is asked for, or the choice would move once it is there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from math import fsum

from tttnn.config.load import ConfigError
from tttnn.config.root import Config
from tttnn.methods.experts.needs import FORMULAS as EXPERT_RULES
from tttnn.methods.needs import FORMULAS as METHOD_RULES
from tttnn.needs.scale import Scale
from tttnn.needs.shapes import UNKNOWN
from tttnn.operations.sizes import scale
from tttnn.pile import TASKS
from tttnn.sections.hours import Afforded, Draw
from tttnn.sections.select import Select
from tttnn.wording import counted

FORMULAS = METHOD_RULES | EXPERT_RULES
EVERY = 1.0
"""The fraction that is all documents: of a task that has more than the plan expects, too."""

DIGITS = 6
"""Of seconds: versions of Python differ in the last digit of a sum."""


def _seconds(config: Config, sized: Scale) -> Iterator[tuple[str, float, float]]:
    """By evaluation the task, its jobs' seconds without a document, and those of each document."""
    none, one = (
        replace(sized, texts=sized.texts._replace(selected=dict.fromkeys(TASKS, number)))
        for number in (0.0, 1.0)
    )
    for model, method, task in config.cells():
        formula, parts = FORMULAS[config.evaluated_by(method)], len(config.parts(method, task))
        job = {"model": model, "method": method, "task": task, "part": "0"}
        jobs = parts * formula(none, job).seconds
        yield task, jobs, parts * formula(one, job).seconds - jobs


def _sized(config: Config) -> Scale:
    """The run as it is with all documents."""
    return scale(config.model_copy(update={"select": Draw(fraction=EVERY)}))


def _fitting(config: Config, sized: Scale, hours: float) -> Afforded:
    """As `affordable`, of a run of this size."""
    cells = list(_seconds(config, sized))
    tasks = list(dict.fromkeys(task for task, _, _ in cells))
    there = {task: round(sized.texts.selected[task]) for task in tasks}
    # a sum that is the same whatever the order of models and methods
    jobs = {t: round(fsum(jobs for task, jobs, _ in cells if task == t), DIGITS) for t in tasks}
    document = {t: round(fsum(one for task, _, one in cells if task == t), DIGITS) for t in tasks}

    def takes(count: int) -> float:
        seconds = (jobs[task] + min(count, there[task]) * document[task] for task in tasks)
        return fsum(seconds) / 3600

    most, seed = max(there.values()), config.select.seed
    if takes(most) <= hours:
        select = Select(fraction=EVERY, seed=seed)
    elif count := bisect_right(range(1, most + 1), hours, key=takes):
        select = Select(count=count, seed=seed)
    else:
        raise ConfigError(
            f"{hours:g} {of_what(config.environment)} are too few: a document of each task takes "
            f"{takes(1):.3g} hours. Give more (select.hours, or --hours), evaluate fewer models, "
            "methods or tasks, or give the methods a budget"
        )
    return Afforded(hours=hours, select=select, documents=there, jobs=jobs, document=document)


def affordable(config: Config, hours: float) -> Afforded:
    """The most documents of each task whose evaluations take no longer.

    Hours are of a processor or a GPU, summed over the evaluations of test documents.
    Raises `ConfigError` if a single document of each task takes longer.
    """
    return _fitting(config, _sized(config), hours)


def _check_known(config: Config, sized: Scale) -> None:
    """Raise `ConfigError` for what a plan would take for something else."""
    if sized.texts.provisional:
        raise ConfigError(
            "select.hours: how many documents there are is not known "
            f"({sized.texts.known}): put the files there, or give select.count"
        )
    for model, _, _ in config.cells():
        if sized.shapes[model].known == UNKNOWN.known:
            raise ConfigError(
                f"select.hours: how large {model} is, and so what it takes, is not known before it "
                "is there: put a local model's files in its folder, make another one an entry of "
                "kind local, or give select.count"
            )


def within_hours(config: Config) -> tuple[Config, Afforded | None]:
    """The configuration with a draw in the place of `select.hours`, and what that is; or as it is.

    Raises `ConfigError` for too few hours, and where sizes are not known yet.
    """
    if config.select.hours is None:
        return config, None
    sized = _sized(config)
    _check_known(config, sized)
    afforded = _fitting(config, sized, config.select.hours)
    return config.model_copy(update={"select": Draw(**afforded.select.model_dump())}), afforded


def of_what(environment: str) -> str:
    """What hours are of."""
    return f"{environment.upper()} hours"


def said(afforded: Afforded, environment: str) -> Iterator[str]:
    """Lines: the draw, what it takes, and what it leaves out."""
    there, count = afforded.documents, afforded.select.count
    chosen = {task: min(n, n if count is None else count) for task, n in there.items()}
    takes = fsum(afforded.expected(task, n) for task, n in chosen.items()) / 3600
    fit, select = "all documents", f"fraction: {EVERY:g}, count: null"
    if count is not None:
        fit, select = (
            f"{counted(count, 'document')} of each task",
            f"fraction: null, count: {count}",
        )
    yield (
        f"Into {afforded.hours:g} {of_what(environment)} of evaluation fit {fit} "
        f"({takes:.3g} hours): "
        f"select: {{{select}}}."
    )
    left_out = sum(there.values()) - sum(chosen.values())
    yield (
        f"It leaves out {left_out:,} of {counted(sum(there.values()), 'document')}: "
        + ", ".join(f"{task} {there[task] - chosen[task]} of {there[task]}" for task in there)
    )
