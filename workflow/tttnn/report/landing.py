"""What stands first in a report: the headline numbers, and what is missing from the run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import pandas as pd

from tttnn.pile import ALL, TASKS
from tttnn.records.runs import Run
from tttnn.report.headings import printed
from tttnn.scores.few import FEW, of_few

NARROW = 20
"""Documents a task below which intervals of a bootstrap are told to be too narrow."""


class Headline(NamedTuple):
    """A model's weighted mean over its tasks, before and after; `clean` without near-copies.

    `interval` is that of the change or, of few documents, their own changes from least to greatest.
    """

    model: str
    before: str
    after: str
    change: str
    interval: str
    documents: str
    tasks: str
    clean: str


class Headlines(NamedTuple):
    """Those of the main method after its most neighbours."""

    method: str
    neighbors: int
    models: list[Headline]


def _change(ratio: float) -> str:
    return printed(f"{100 * (ratio - 1):+.1f}%")


def _interval(row: pd.Series, documents: pd.DataFrame) -> str:
    if (few := of_few(documents, row)) is not None:
        changes = few["after"] / few["before"]
        if len(few) == 1:
            return "1 document: no interval"
        return f"{_documents(len(few))}: {_change(changes.min())} to {_change(changes.max())}"
    if pd.isna(row.ratio_low):
        return "no interval: one document a task"
    return (
        f"{100 * row.confidence:g}\u00a0% interval {_change(row.ratio_low)} to "
        f"{_change(row.ratio_high)}"
    )


def _documents(count: int) -> str:
    return f"{count:,} document{'' if count == 1 else 's'}"


def _clean(row: pd.Series, clean: pd.Series | None) -> str:
    """Without documents that a neighbour nearly copies."""
    if clean is None:
        return "every document has a near-copy"
    if clean.documents == row.documents:
        return "no document has a near-copy"
    return f"without near-copies {_change(clean.ratio)} ({_documents(int(clean.documents))})"


def headlines(run: Run) -> Headlines | None:
    """From `differences`; None where no method trained on neighbours."""
    table = run.table("differences")
    rows = table[table["task"] == ALL]
    if rows.empty:
        return None
    rows = rows[rows["method"] == rows["method"].iloc[0]]
    last = rows[rows["num_neighbors"] == rows["num_neighbors"].max()]
    found = []
    for model, kinds in last.groupby("model", sort=False):
        by_kind = {row.documents_kind: row for _, row in kinds.iterrows()}
        if (row := by_kind.get("raw")) is None:
            continue
        found.append(
            Headline(
                str(model),
                f"{row.before:.3f}",
                f"{row.after:.3f}",
                _change(row.ratio),
                _interval(row, run.table("documents")),
                _documents(int(row.documents)),
                f"{row.tasks:.0f} of {len(TASKS)} tasks",
                _clean(row, by_kind.get("clean")),
            )
        )
    first = last.iloc[0]
    return Headlines(str(first.method), int(first.num_neighbors), found)


def _tasks(run: Run) -> Iterator[str]:
    tasks = run.table("tasks")
    for status, group in tasks[tasks["status"] != "evaluated"].groupby("status", sort=False):
        yield f"Subsets, {status}: {', '.join(group['pile_set_name'])}."
    if without := int(tasks["without_halves"].fillna(0).sum()):
        yield f"{without} documents are too short to have a second half."
    there = tasks[tasks["status"] == "evaluated"]
    fewest = int(there["selected"].min()) if len(there) else 0
    if 0 < fewest < NARROW:
        yield (
            f"Few documents: {fewest} in the smallest task. Intervals of a bootstrap are too "
            f"narrow there; with fewer than {FEW} this page shows the documents themselves, and "
            "the tables' intervals of three end at their minimum and maximum."
        )


def _cells(run: Run) -> Iterator[str]:
    """Methods that were evaluated with fewer models, or on fewer tasks, than the first."""
    table = run.table("scores")
    table = table[table["task"] != ALL]
    cells = table.groupby("method", sort=False)[["model", "task"]].nunique()
    if cells.empty:
        return
    models, tasks = cells.iloc[0]
    some: dict[tuple[int, int], list[str]] = {}
    for method, counts in cells.iterrows():
        if counts["model"] < models or counts["task"] < tasks:
            some.setdefault((counts["model"], counts["task"]), []).append(str(method))
    for (with_models, on_tasks), names in some.items():
        yield (
            f"Evaluated only with {with_models} of {models} models and on {on_tasks} of {tasks} "
            f"tasks: {', '.join(names)}."
        )


def _budgets(run: Run) -> Iterator[str]:
    table = run.table("budget")
    for method, rows in table.groupby("method", sort=False):
        out, without = rows["left_out"].sum(), rows["documents_without"].sum()
        if out or without:
            yield (
                f"{method}: its budget of time left out {out:.0f} neighbours; {without:.0f} "
                "documents had to do without any."
            )


def _hours(run: Run) -> Iterator[str]:
    table = run.table("hours")
    if out := int(table["left_out"].sum()):
        yield (
            f"{table['hours'].iloc[0]:g} hours of evaluation left out {out} of "
            f"{table['documents'].sum()} documents: {table['selected'].max()} of each task were "
            "drawn, or as many as there are, and the plan expects them to take "
            f"{table['expected_hours'].sum():.3g} hours."
        )


def _corpus(run: Run) -> Iterator[str]:
    table = run.table("corpus")
    if rejected := int(table["rejected"].sum()):
        yield f"{rejected} records of the corpus were rejected, see the table corpus."


def _made(run: Run) -> Iterator[str]:
    table = run.table("environment")
    mixed = sorted({word for words in table["mixed"].dropna() for word in str(words).split()})
    if mixed:
        yield f"Made with more than one of: {', '.join(mixed)}; see the table environment."


def missing(run: Run, tables: Collection[str], left_out: list[str]) -> list[str]:
    """What the run does not have, a sentence each.

    `tables` are those of the run as it is now, some of which may lie there from before; `left_out`
    are figures that it cannot fill.
    """
    said = [
        line
        for part, of in (
            ("tasks", _tasks),
            ("scores", _cells),
            ("budget", _budgets),
            ("hours", _hours),
            ("corpus", _corpus),
            ("environment", _made),
        )
        if part in tables
        for line in of(run)
    ]
    if left_out:
        said.append(f"Figures that this run has no data for: {', '.join(left_out)}.")
    return said or ["Nothing that was asked for."]
