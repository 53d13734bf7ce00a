"""What a run found, on one screen of a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tttnn.pile import ALL, TASKS
from tttnn.places import run_folder
from tttnn.reading import read_csv, read_parquet
from tttnn.scores.few import BY, FEW, of_few
from tttnn.wording import counted

WIDTH = 100
ROW = "{:<24}{:>9}{:>10}{:>10}{:>9}{:>12}   {}"


def _interval(row: pd.Series, documents: pd.DataFrame) -> str:
    """Of the difference; of few documents their own ones, from the least to the greatest."""
    few = of_few(documents, row)
    if pd.isna(row.low) or (few is not None and len(few) == 1):
        return "-"
    if few is None:
        return f"[{row.low:+.4f}, {row.high:+.4f}]"
    own = few["after"] - few["before"]
    return f"{own.min():+.4f} to {own.max():+.4f}"


def _block(model: str, rows: pd.DataFrame, documents: pd.DataFrame) -> Iterator[str]:
    confidence = f"{100 * rows['confidence'].iloc[0]:g} % interval"
    last = "documents" if (rows["documents"] < FEW).all() else confidence
    header = ("task", "documents", "before", "after", "ratio", "difference", last)
    yield ""
    yield model
    yield ROW.format(*header)
    tasks = rows.set_index("task", drop=False)
    for task in [*TASKS, ALL]:
        if task not in tasks.index:
            continue
        row = tasks.loc[task]
        name = task
        if task == ALL:
            yield "-" * WIDTH
            name = f"{ALL} ({row.tasks} of {len(TASKS)})"
        yield ROW.format(
            name,
            row.documents,
            f"{row.before:.4f}",
            f"{row.after:.4f}",
            f"{100 * row.ratio:.1f} %",
            f"{row.difference:+.4f}",
            _interval(row, documents),
        )


def _wrapped(head: str, words: list[str]) -> Iterator[str]:
    line = head
    for k, word in enumerate(words):
        piece = f" {word}{',' if k < len(words) - 1 else ''}"
        if len(line) + len(piece) > WIDTH:
            yield line
            line = " " * (len(head))
        line += piece
    yield line


def lines(tables: Path, report: Path | None) -> Iterator[str]:
    """The summary's lines, at most `WIDTH` characters as long as names are of usual length."""
    differences = read_csv(tables / "differences.csv", ["run", "documents_kind"])
    tasks = read_csv(tables / "tasks.csv", ["status"])
    documents = read_parquet(tables / "documents.parquet", [*BY, "before", "after"])
    run = differences["run"].iloc[0]
    method = differences["method"].iloc[0]
    rows = differences[(differences["method"] == method) & (differences["documents_kind"] == "raw")]
    rows = rows[rows["num_neighbors"] == rows["num_neighbors"].max()]
    neighbors = rows["num_neighbors"].iloc[0]

    trained_on = counted(neighbors, "neighbour")
    yield f"Run {run}: bits per byte before and after training on {trained_on} ({method})"
    for model, block in rows.groupby("model", sort=False):
        yield from _block(model, block, documents)
    yield ""
    if (rows["documents"] < FEW).any():
        yield (
            f"Fewer than {FEW} documents have no interval, but their own differences, "
            "from the least to the greatest."
        )
    absent = tasks[tasks["status"] != "evaluated"]
    if len(absent):
        count = rows.loc[rows["task"] == ALL, "tasks"].max()
        evaluated = "task" if count == 1 else f"{count} tasks"
        yield f"{ALL}: the Pile's weights, renormalised over the {evaluated} evaluated."
    for status, group in absent.groupby("status", sort=False):
        yield from _wrapped(f"{status.capitalize()}:", list(group["task"]))
    yield f"Tables   {tables}"
    yield f"Figures  {Path('figures') / run}"
    if report is not None:
        yield f"Report   {report}{'' if report.is_file() else ' (not written yet)'}"


def summary(
    tables: Path | None = None, report: Path | None = None, run: Path | None = None
) -> None:
    """Print a line for each task, of the main method at its largest number of neighbours.

    --run     the run: its name in this folder, or the path of its results/NAME
    --tables  in the place of --run: the folder of the run's tables
    --report  the run's report, which is only named; without: that of --run

    The interval is that of the paired difference, after minus before. Few documents have none:
    theirs are printed, from the least to the greatest.
    """
    if (tables is None) == (run is None):
        raise ValueError("give --run, or --tables with the folder of a run's tables")
    if run is not None:
        folder = run_folder(run)
        tables, report = folder / "tables", report or folder / "report.html"
    assert tables is not None  # one of both is given
    for line in lines(tables, report):
        print(line)
