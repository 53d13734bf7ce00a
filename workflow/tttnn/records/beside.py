"""Runs beside one another: every method on the documents that all of the runs evaluated.

A document is known by the SHA-256 of its text, so that runs of other corpora, with other numbers
for the same documents, can be compared. Resamples are of the shared documents and the same for
all, so that differences are paired (see `tttnn.scores.bootstrap`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tttnn.pile import ALL, TASKS
from tttnn.records.runs import Rows, Run
from tttnn.scores.bootstrap import Estimate, resample_counts, weighted_mean
from tttnn.scores.estimates import pile_weights
from tttnn.sections.score import Score

SPEC = Score()
"""Resamples, their seed, and the confidence: the same whatever the runs' own."""

COMPARED = [
    "run",
    "model",
    "method",
    "task",
    "num_neighbors",
    "documents",
    "tasks",
    "bits_per_byte",
    "low",
    "high",
    "against",
    "difference",
    "difference_low",
    "difference_high",
    "seconds",
    "confidence",
]
"""Of the table. `seconds` are of adaptation and one evaluation, the mean over documents."""


class Entry(NamedTuple):
    """A run's model and method."""

    run: str
    model: str
    method: str

    def __str__(self) -> str:
        return f"{self.run}: {self.model}/{self.method}"


class Task(NamedTuple):
    """An entry on a task's shared documents, in the order of their digests."""

    estimate: Estimate  # bits per byte
    seconds: npt.NDArray[np.float64]  # [K], of adaptation and one evaluation, means
    bytes: npt.NDArray[np.int64]  # [n]
    bits: npt.NDArray[np.float64]  # [n, K], a document's bits per byte


Entries = dict[Entry, dict[str, Task]]


def _numbers(run: Run) -> dict[str, pd.Series]:
    """Of each task, a run's numbers of its documents, by digest; equal texts count once."""
    table = run.selected.drop_duplicates(["task", "sha256"])
    return {
        task: rows.set_index("sha256")["document_id"]
        for task, rows in table.groupby("task", sort=False)
    }


def shared_documents(runs: list[Run]) -> dict[str, list[str]]:
    """Of each task that all runs evaluated, the digests of the documents that all of them did."""
    shared: dict[str, set[str]] = {}
    for number, run in enumerate(runs):
        numbers, done = _numbers(run), _evaluated(run)
        ours = {
            task: set(known.index[known.isin(done.get(task, set()))])
            for task, known in numbers.items()
        }
        if number == 0:
            shared = ours
        shared = {task: digests & ours.get(task, set()) for task, digests in shared.items()}
    return {task: sorted(shared[task]) for task in TASKS if shared.get(task)}


def _evaluated(run: Run) -> dict[str, set[int]]:
    """Of each task, the documents that a method was evaluated on."""
    done: dict[str, set[int]] = {}
    for name, rows in run.cells.items():
        done.setdefault(name.task, set()).update(rows.documents.tolist())
    return done


def _on_shared(rows: Rows, numbers: npt.NDArray[np.int64], task: str) -> Task | None:
    """A cell on documents of these numbers; None where it lacks one."""
    places = np.searchsorted(rows.documents, numbers).clip(max=len(rows.documents) - 1)
    if (rows.documents[places] != numbers).any():
        return None
    n = len(numbers)
    counts = resample_counts(n, SPEC.resamples, SPEC.seed, task)
    columns = np.column_stack([-rows.loglikelihood[places] / math.log(2), rows.bytes[places]])
    sums = np.vstack([columns.sum(axis=0), counts @ columns])
    values = sums[:, :-1] / sums[:, -1:]
    estimate = Estimate(rows.points, values[0], values[1:], documents=n, spread=n > 1)
    seconds = (rows.train_seconds + rows.evaluate_seconds)[places].mean(axis=0)
    bits = columns[:, :-1] / columns[:, -1:]
    return Task(estimate, seconds, rows.bytes[places], bits)


def entries(runs: list[Run], shared: dict[str, list[str]]) -> Entries:
    """Every run's models and methods, on the tasks of which they have all shared documents."""
    found: Entries = {}
    for run in runs:
        numbers = _numbers(run)
        for name, rows in run.cells.items():
            if name.task not in shared:
                continue
            wanted = numbers[name.task][shared[name.task]].to_numpy(np.int64)
            part = _on_shared(rows, wanted, name.task)
            if part is not None:
                found.setdefault(Entry(run.name, name.model, name.method), {})[name.task] = part
    return found


def base_of(runs: list[Run], found: Entries) -> Entry:
    """The first run's first model with its main method: what stands first in its tables.

    Where that lacks shared documents, it is the first entry of all.
    """
    first = next(iter(runs[0].cells))
    for entry in found:
        if entry == Entry(runs[0].name, first.model, first.method):
            return entry
    return next(iter(found))


def of_other_text(found: Entries, base: Entry) -> dict[Entry, list[str]]:
    """Entries that scored other text of these documents than the base did, with the tasks.

    Such are methods on second halves, or those that leave out a document's end.
    """
    reference: dict[str, npt.NDArray[np.int64]] = {}
    for entry in sorted(found, key=lambda entry: entry != base):
        for task, part in found[entry].items():
            reference.setdefault(task, part.bytes)
    return {
        entry: other
        for entry, tasks in found.items()
        if (other := [t for t, p in tasks.items() if not np.array_equal(p.bytes, reference[t])])
    }


def against(entry: Entry, found: Entries, base: Entry) -> Entry:
    """What an entry is held against: the first run's of the same model and method, or the base."""
    same = entry._replace(run=base.run)
    return same if same in found and same != entry else base


def _whole(parts: dict[str, Task], tasks: list[str]) -> tuple[Estimate, npt.NDArray[np.float64]]:
    """The weighted mean over tasks, and that of seconds."""
    weights = pile_weights(tasks)
    mean = weighted_mean((weights[task], parts[task].estimate) for task in tasks)
    return mean, np.sum([weights[task] * parts[task].seconds for task in tasks], axis=0)


def compared(found: Entries, base: Entry) -> pd.DataFrame:
    """`COMPARED`: a row for each entry, task and number of neighbours, `pile_all` first.

    An entry's `pile_all` is over the tasks that it shares with what it is held against, whose own
    mean for the difference is over the same.
    """
    return pd.DataFrame(
        (row for entry in found for row in _rows(entry, found, base)), columns=COMPARED
    )


def _rows(entry: Entry, found: Entries, base: Entry) -> Iterator[dict[str, Any]]:
    other = against(entry, found, base)
    own, theirs = found[entry], found[other]
    tasks = [task for task in TASKS if task in own and task in theirs]
    for task in [*([ALL] if tasks else []), *tasks]:
        if task == ALL:
            estimate, seconds = _whole(own, tasks)
            held, _ = _whole(theirs, tasks)
        else:
            estimate, seconds = own[task].estimate, own[task].seconds
            held = theirs[task].estimate
        low, high = estimate.interval(SPEC.confidence)
        for k, point in enumerate(estimate.points):
            yield {
                **entry._asdict(),
                "task": task,
                "num_neighbors": int(point),
                "documents": estimate.documents,
                "tasks": estimate.tasks,
                "bits_per_byte": estimate.value[k],
                "low": low[k],
                "high": high[k],
                "against": str(other),
                **_difference(estimate, None if other == entry else held, k),
                "seconds": seconds[k],
                "confidence": SPEC.confidence,
            }


def _difference(own: Estimate, other: Estimate | None, k: int) -> dict[str, float]:
    """At the same number of neighbours; not a number without another, or its being there."""
    names = ("difference", "difference_low", "difference_high")
    if other is None or own.points[k] not in other.points:
        return dict.fromkeys(names, math.nan)
    places = np.flatnonzero(other.points == own.points[k])
    paired = own._replace(
        value=own.value[[k]] - other.value[places],
        samples=own.samples[:, [k]] - other.samples[:, places],
    )
    low, high = paired.interval(SPEC.confidence)
    return dict(zip(names, (paired.value[0], low[0], high[0]), strict=True))
