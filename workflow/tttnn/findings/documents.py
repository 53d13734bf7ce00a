"""What can be measured of a run's tasks and documents one by one: who gains, and of what."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tttnn.findings.evidence import Documents, Evidence, Measured, Samples
from tttnn.findings.quantities import Cells, cells_of
from tttnn.pile import ALL, TASKS
from tttnn.scores.cells import Name

NAMED = 3
"""Tasks that a label names, at most."""


def _relative(cells: Cells, tasks: list[str]) -> Samples:
    """The main method's relative change over these tasks, after the most neighbours."""
    return cells._replace(tasks=tasks).ratio(cells.run.main, cells.points[-1]) - 1


def tasks_that_gain(run: Evidence) -> list[Measured]:
    """The share of tasks whose paired interval lies below 0, for each model; the largest named.

    Tasks with one document, which have no interval, do not count. The share has no spread.
    """
    found = []
    for cells in cells_of(run, run.main):
        changes = {}
        for task in cells.tasks:
            if run.curve(cells.model, run.main, task).documents > 1:
                samples = _relative(cells, [task])
                changes[task] = run.measured(task, samples, cells.model, run.main, [task])
        if changes:
            gained = [task for task, change in changes.items() if change.high < 0]
            share = len(gained) / len(changes)
            largest = sorted(gained, key=lambda task: changes[task].value)[:NAMED]
            most = ", ".join(f"{TASKS[t].pile_set_name} {changes[t].value:+.1%}" for t in largest)
            label = f"{cells.model}, {len(gained)} of {len(changes)} tasks; most: {most or 'none'}"
            documents = sum(change.documents for change in changes.values())
            found.append(Measured(label, share, share, share, documents, len(changes)))
    return found


def task_against_rest(run: Evidence, tasks: tuple[str, ...]) -> list[Measured]:
    """Each of these tasks' relative change minus that over the other tasks, for each model."""
    found = []
    for cells in cells_of(run, run.main):
        rest = [task for task in cells.tasks if task not in tasks]
        for task in tasks:
            if rest and task in cells.tasks:
                samples = _relative(cells, [task]) - _relative(cells, rest)
                name = TASKS[task].pile_set_name
                label = f"{cells.model}, {name} against {len(rest)} tasks"
                found.append(cells._replace(tasks=[task, *rest]).measured(label, samples, run.main))
    return found


def _of_some(run: Evidence, name: Name, keep: npt.NDArray[np.bool_]) -> tuple[Samples, Samples]:
    """Bits per byte before and after, of a cell's documents in `keep`, with resamples of these."""
    documents = run.documents[name]
    counts = run.counts(int(keep.sum()), name.task)
    size = counts @ documents.bytes[keep]
    return counts @ documents.before[keep] / size, counts @ documents.after[keep] / size


def clean_minus_all(run: Evidence) -> list[Measured]:
    """The relative change of clean documents minus that of all, on the tasks that have clean ones.

    Not measured where all of them are clean, for then the two are the same.
    Clean documents are resampled among themselves, as in the run's tables, so that the two are
    not paired: the interval is rather too wide than too narrow.
    """
    found = []
    for cells in cells_of(run, run.main):
        names = [Name(cells.model, run.main, task) for task in cells.tasks]
        some = [name for name in names if not run.documents[name].copied.all()]
        if not any(run.documents[name].copied.any() for name in some):
            continue
        before = after = np.zeros(())
        clean = count = 0
        for name in some:
            documents, weight = run.documents[name], TASKS[name.task].weight
            one, other = _of_some(run, name, ~documents.copied)
            before, after = before + weight * one, after + weight * other
            clean, count = clean + int((~documents.copied).sum()), count + len(documents.bytes)
        tasks = [name.task for name in some]
        change = after / before - 1
        label = f"{cells.model}, {clean} of {count} documents, {change[0]:+.1%}"
        samples = change - _relative(cells, tasks)
        found.append(cells._replace(tasks=tasks).measured(label, samples, run.main))
    return found


def _correlation(counts: Samples, one: Samples, other: Samples) -> Samples:
    """Pearson's, of values that count so often each: [1 + R] of counts [1 + R, n]."""
    n = counts.sum(axis=1)
    left, right = (values - (counts @ values / n)[:, None] for values in (one, other))
    above = (counts * left * right).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # all alike in a resample
        return above / np.sqrt((counts * left**2).sum(axis=1) * (counts * right**2).sum(axis=1))


def overlap_and_gain(run: Evidence) -> list[Measured]:
    """Spearman's correlation over documents of overlap and relative gain, for each model.

    Both are ranked within their task, so that it is not one of tasks; tasks with one document have
    no ranks. Documents are resampled within their tasks, with the ranks that they have among all.
    """
    found = []
    for cells in cells_of(run, run.main):
        some = {
            task: run.documents[Name(cells.model, run.main, task)]
            for task in cells.tasks
            if run.curve(cells.model, run.main, task).documents > 1
        }
        if not some:
            continue
        counts = np.hstack([run.counts(len(d.bytes), task) for task, d in some.items()])
        overlaps = np.concatenate([_ranks(d.overlap) for d in some.values()])
        gains = np.concatenate([_ranks(_gains(d)) for d in some.values()])
        samples = _correlation(counts, overlaps, gains)
        if np.isnan(samples[0]):  # every document overlaps as much as any other of its task
            continue
        label = f"{cells.model}, {len(overlaps)} documents"
        found.append(cells._replace(tasks=list(some)).measured(label, samples, run.main))
    return found


def _gains(documents: Documents) -> npt.NDArray[np.float64]:
    return 1 - documents.after / documents.before


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """From -0.5 to 0.5, equal ones alike; comparable between tasks of any size."""
    ranks = pd.Series(values).rank().to_numpy()
    return (ranks - (len(values) + 1) / 2) / max(len(values) - 1, 1)


def long_documents(
    run: Evidence, query: str, scored: bool = False, against: bool = False
) -> list[Measured]:
    """From `positions.csv`: the change of documents of more than four windows, read one by one.

    Of whole documents, at the most neighbours, of each method that finds neighbours by `query`: the
    document's beginning, each window itself (target), the text before it (past), or none. `scored`:
    of those that train on windows once these are scored; else of those that do not. `against`: not
    the change, but the difference to one search a document.
    """
    if not run.run.has("positions"):
        return []
    value = "difference" if against else "change"
    table = run.run.table("positions")
    whole = (table["by"] == "document") & (table["task"] == ALL) & (table["windows_kind"] == "long")
    kept = table[
        whole
        & (table["query"] == query)
        & (table["chunk_tokens"].notna() == scored)
        & table[value].notna()
        & table["model"].isin(run.models)
    ]
    last = kept.groupby(["model", "method"])["num_neighbors"].transform("max")
    counted = "time" if query == "none" else "neighbour"
    return [
        Measured(
            label=f"{row['model']}, `{row['method']}`, {row['num_neighbors']} {counted}"
            + "s" * (row["num_neighbors"] != 1),
            value=row[value],
            low=row[f"{value}_low"],
            high=row[f"{value}_high"],
            documents=row["documents"],
            tasks=row["tasks"],
        )
        for row in kept[kept["num_neighbors"] == last].to_dict("records")
    ]
