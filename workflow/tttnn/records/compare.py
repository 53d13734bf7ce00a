"""The command that puts runs beside one another: what is comparable, a table, a figure."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
from matplotlib import rc_context

from tttnn.figures import style
from tttnn.figures.curves import curves
from tttnn.figures.gains import before_after
from tttnn.figures.tables import View
from tttnn.files import replacing
from tttnn.pile import ALL, TASKS
from tttnn.places import run_or_record
from tttnn.records.beside import (
    Entries,
    Entry,
    Task,
    base_of,
    compared,
    entries,
    of_other_text,
    shared_documents,
)
from tttnn.records.differences import lines, points_in_common
from tttnn.records.runs import Run, open_all
from tttnn.scores.bootstrap import Estimate, weighted_mean
from tttnn.scores.estimates import METRICS, Scores, pile_weights
from tttnn.scores.few import FEW
from tttnn.scores.rows import SCORE_COLUMNS, ScoreSpec, difference_rows, score_rows

DRAWN = 7
"""Runs and models in the figures, at most."""

COLUMNS = (0, 1, 2, 5, 10, 20, 50)
"""Numbers of neighbours in the printed table, where there are more than these."""

PRINTED = 12
"""Methods of all runs in the printed table of a task, at most; of more, each run's main one."""

NAME = 34
"""Width of an entry's name in the printed table."""


def ranked(table: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard: each entry at its most neighbours, those on all tasks first, best first."""
    whole = table[table["task"] == ALL]
    last = whole.loc[whole.groupby(["run", "model", "method"])["num_neighbors"].idxmax()]
    last = last.sort_values(["tasks", "bits_per_byte"], ascending=[False, True], kind="stable")
    complete = last["tasks"] == last["tasks"].max()
    ranks = complete.cumsum().where(complete).astype("Int64")
    return last.assign(rank=ranks)[["rank", *table.columns.drop("task")]]


def _cells(rows: pd.DataFrame, points: list[int]) -> Iterator[str]:
    at = rows.set_index("num_neighbors")["bits_per_byte"]
    for point in points:
        yield f"{at[point]:8.4f}" if point in at.index else f"{'-':>8}"


def _difference(rows: pd.DataFrame) -> str:
    """The difference at the most neighbours that both have, its interval, and from what."""
    for row in rows.dropna(subset="difference").iloc[-1:].itertuples():
        interval = f"[{row.difference_low:+.4f}, {row.difference_high:+.4f}]"
        if pd.isna(row.difference_low) or row.documents < FEW:
            interval = f"(no interval: {row.documents} document{'s' * (row.documents != 1)})"
        return f"{row.difference:+.4f} {interval} at {row.num_neighbors}, from {row.against}"
    return ""


def _printed(table: pd.DataFrame, order: Iterable[Entry], task: str) -> Iterator[str]:
    """A task's block: a line an entry, bits per byte at each number of neighbours."""
    block = table[table["task"] == task]
    points = sorted(block["num_neighbors"].unique())
    if len(points) > len(COLUMNS):
        points = [point for point in points if point in COLUMNS or point == points[-1]]
    heads = "".join(f"{point:8}" for point in points)
    yield ""
    yield f"{task}: bits per byte at each number of neighbours"
    yield f"{'':{NAME}}{'tasks':>6}{heads}{'seconds':>9}  difference"
    by_entry = dict(iter(block.groupby(["run", "model", "method"], sort=False)))
    for entry in order:
        if entry in by_entry:
            rows = by_entry[entry].sort_values("num_neighbors")
            last = rows.iloc[-1]
            numbers = f"{last['tasks']:6}{''.join(_cells(rows, points))}{last['seconds']:9.3f}"
            yield f"{entry!s:{NAME}}{numbers}  {_difference(rows)}".rstrip()


def _main(runs: list[Run], order: list[Entry]) -> list[Entry]:
    """The entries with their run's main method; of one run alone all of them."""
    main = {run.name: next(iter(run.cells)).method for run in runs}
    return [entry for entry in order if len(runs) == 1 or entry.method == main[entry.run]]


def _names(runs: list[Run], shown: list[Entry]) -> dict[Entry, str]:
    """What entries are called in figures: the run's name, and what tells them apart there."""
    if len(runs) == 1:
        return {entry: f"{entry.model} {entry.method}" for entry in shown}
    models = {entry.model for entry in shown}
    return {
        entry: entry.run if len(models) == 1 else f"{entry.run} {entry.model}" for entry in shown
    }


def _looks(runs: list[Run], shown: list[Entry], found: Iterable[Entry]) -> dict[Entry, style.Look]:
    """A colour is a model, as in each run's own figures; a line and a mark are a run.

    Of one run alone, a method. Colours are those among the models of all entries that are `found`.
    """
    colours = style.looks([entry.model for entry in found])
    told = [entry.method if len(runs) == 1 else entry.run for entry in shown]
    order = {name: number for number, name in enumerate(dict.fromkeys(told))}
    return {
        entry: style.Look(
            colours[entry.model].colour,
            style.MARKERS[order[name] % len(style.MARKERS)],
            style.LINES[order[name] % len(style.LINES)],
        )
        for entry, name in zip(shown, told, strict=True)
    }


def _write_tables(folder: Path, found: Entries, names: dict[Entry, str]) -> None:
    """The tables that figures read: a run stands where a model does, all with one method."""
    shown = {entry: found[entry] for entry in names}
    points = points_in_common(shown)
    methods = {entry.method for entry in names}
    method = methods.pop() if len(methods) == 1 else "main method"
    scores: Scores = {}
    for entry, tasks in shown.items():
        by_task: dict[str, Estimate] = {}
        for task in [task for task in TASKS if task in tasks]:
            own = tasks[task].estimate
            at = [own.points.tolist().index(point) for point in points]
            by_task[task] = own._replace(
                points=own.points[at], value=own.value[at], samples=own.samples[:, at]
            )
        weights = pile_weights(by_task)
        by_task[ALL] = weighted_mean((weights[task], by_task[task]) for task in weights)
        scores[names[entry], method] = {t: {METRICS[0]: e} for t, e in by_task.items()}
    spec = ScoreSpec(
        run="compared",
        candidates={method: None},
        searched={},
        selections=[],
        cells=[],
        mixtures={},
        halves=[],
        budgets={},
    )
    rows = pd.DataFrame(score_rows(scores, spec), columns=SCORE_COLUMNS)
    rows.to_csv(folder / "scores.csv", index=False)
    pd.DataFrame(difference_rows(scores, "raw", spec)).to_csv(
        folder / "differences.csv", index=False
    )
    documents = [
        _documents(names[entry], method, task, part, points)
        for entry, tasks in shown.items()
        for task, part in tasks.items()
    ]
    pd.concat(documents).to_parquet(folder / "documents.parquet", index=False)
    there = {task for tasks in shown.values() for task in tasks}
    pd.DataFrame(
        {
            "run": "compared",
            "task": task,
            "pile_set_name": subset.pile_set_name,
            "status": "evaluated" if task in there else "shared by no runs",
        }
        for task, subset in TASKS.items()
    ).to_csv(folder / "tasks.csv", index=False)


def _documents(model: str, method: str, task: str, part: Task, points: list[int]) -> pd.DataFrame:
    """Of a task's documents what `scores.duplicates.document_table` says; which are copies is not
    known of the documents of all runs."""
    first, last = (part.estimate.points.tolist().index(point) for point in (0, points[-1]))
    return pd.DataFrame(
        {
            "model": model,
            "method": method,
            "task": task,
            "document_id": range(len(part.bytes)),
            "num_neighbors": points[-1],
            "before": part.bits[:, first],
            "after": part.bits[:, last],
            "copied": False,
        }
    )


def _draw(
    output: Path, found: Entries, names: dict[Entry, str], looks: dict[Entry, style.Look]
) -> list[Path]:
    by_name = {name: looks[entry] for entry, name in names.items()}
    single = len({entry.run for entry in names}) == 1
    note = "" if single else " The documents that all runs evaluated."
    lines = f" A colour is a model, a line and a mark a {'method' if single else 'run'}."
    methods = dict.fromkeys(entry.method for entry in names)
    if len(methods) > 1 and not single:
        note += f" Methods: {'; '.join(f'{name}: {e.method}' for e, name in names.items())}."
    drawn = []
    with tempfile.TemporaryDirectory() as folder, rc_context(style.RC):
        _write_tables(Path(folder), found, names)
        for name, draw in (("curves", curves), ("before_after", before_after)):
            said = note + lines if name == "curves" else note
            figure = draw(Path(folder), View(note=said, clean=False, looks=by_name))
            style.save(figure, output / f"{name}.svg", output / f"{name}.pdf")
            drawn.append(output / f"{name}.svg")
    return drawn


def _write(path: Path, table: pd.DataFrame) -> Path:
    with replacing(path) as beside:
        table.to_csv(beside, index=False, lineterminator="\n")
    return path


def compare(runs: list[Path], /, output: Path = Path("comparison")) -> None:
    """Put runs beside one another, on the documents that all of them evaluated.

    RUNS      records (`tttnn record`), folders of records, or runs: their names in this folder, or
              the paths of their results/NAME
    --output  the folder for tables and figures

    Says what of them is comparable and what is not; prints, for all tasks and for each, bits per
    byte at each number of neighbours, with the paired difference from the first run's same model
    and method, or from its main method; and writes to `output` the same numbers (`comparison.csv`),
    the leaderboard (`leaderboard.csv`: each method at its most neighbours, best first) and figures.

    Raises `ValueError` for a folder that is no whole record or run, for one given twice, and
    where the runs have no document in common.
    """
    opened = open_all(list(map(run_or_record, runs)))
    shared = shared_documents(opened)
    if not shared:
        names = ", ".join(run.name for run in opened)
        raise ValueError(
            f"{names} evaluated no document in common (by the SHA-256 of its text): compare runs "
            "with the same test documents, and the same select.seed"
        )
    found = entries(opened, shared)
    base = base_of(opened, found)
    other_text = of_other_text(found, base)
    found = {entry: tasks for entry, tasks in found.items() if entry not in other_text}
    table = compared(found, base)
    board = ranked(table)
    order = [Entry(*key) for key in board[["run", "model", "method"]].itertuples(index=False)]
    main = _main(opened, order)
    written = [
        _write(output / "comparison.csv", table),
        _write(output / "leaderboard.csv", board),
    ]
    drawn = [entry for entry in found if entry in main[:DRAWN]]
    if len(points_in_common({entry: found[entry] for entry in drawn})) > 1:
        looks = _looks(opened, drawn, found)
        written += _draw(output, found, _names(opened, drawn), looks)
    for line in lines(opened, shared, other_text):
        print(line)
    for task in [ALL, *shared]:
        few = order if task == ALL or len(order) <= PRINTED else main
        print("\n".join(_printed(table, few, task)))
    print()
    print(f"Wrote {', '.join(map(str, written))}")
