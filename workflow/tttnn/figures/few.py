"""Few documents: they are drawn themselves where an interval would only look like knowledge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from tttnn.figures import style, tables
from tttnn.pile import ALL
from tttnn.reading import read_parquet
from tttnn.scores.few import FEW

COLUMNS = ["model", "method", "task", "document_id", "num_neighbors", "before", "after", "copied"]
SIZE = 2.2
"""Points: the mark of a document."""


def read_documents(folder: Path, more: tuple[str, ...] = ()) -> pd.DataFrame:
    """`documents.parquet`: each document's bits per byte before, and after all neighbours.

    `copied` is whether a neighbour of any method is a near-copy, as for the tables' clean
    documents. `more` are further columns; raises `ValueError` for a table that lacks one.
    """
    table = read_parquet(folder / "documents.parquet", [*COLUMNS, *more], tables.REMEDY)
    copied = table.groupby(["task", "document_id"])["copied"].transform("any")
    return table.assign(copied=copied)


def few(rows: pd.DataFrame) -> pd.Series:
    """Whether each row of a table is of too few documents for an interval."""
    return rows["documents"] < FEW


def documents_of_few(folder: Path, rows: pd.DataFrame) -> pd.DataFrame | None:
    """The documents of those of `rows` that are of few; None where there are none of these.

    `rows` are indexed by model and task, of one method. A `pile_all` has those of all its tasks.
    Of a table without any interval, as of published numbers, there are none: they stand for it.
    """
    if rows["low"].isna().all():
        return None
    sparse = rows[few(rows) & (rows["documents"] > 0)]
    if sparse.empty:
        return None
    documents = read_documents(folder)
    documents = documents[documents["method"] == sparse["method"].iloc[0]]
    documents = documents[documents["num_neighbors"] == sparse["num_neighbors"].iloc[0]]
    whole = documents.assign(task=ALL)
    documents = pd.concat([documents, whole]).set_index(["model", "task"])
    return documents[documents.index.isin(sparse.index)]


def without_few(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The rows without the bounds in these columns where they are of few documents."""
    rows = rows.copy()
    rows.loc[few(rows), columns] = np.nan
    return rows


def mark(axes: Axes, x: Any, y: Any, colour: str, **style_: Any) -> None:
    """Draw documents as small dots; `y` is one place for all, or one for each."""
    x = np.asarray(x, dtype=float)
    look: dict[str, Any] = {"marker": "o", "color": colour, "markersize": SIZE, "zorder": 2.5}
    look |= {"linestyle": "none", "markeredgewidth": 0, "alpha": 0.75}
    axes.plot(x, np.broadcast_to(y, x.shape), **{**look, **style_})


def handle(label: str = "a document", **style_: Any) -> Line2D:
    """The legend's entry for them."""
    look: dict[str, Any] = {"marker": "o", "color": "black", "markersize": SIZE}
    look |= {"linestyle": "none", "markeredgewidth": 0, "alpha": 0.75}
    return style.line_handle(label, **{**look, **style_})


def sentences(rows: pd.DataFrame, marks: str, kind: str = "bootstrap", drawn: bool = True) -> str:
    """What stands for the uncertainty of these rows: `marks` (whiskers, bands), dots, or neither.

    `drawn` is whether the few documents are, which takes a table that has them.
    `rows` have `documents`, `low` and `confidence`, and a level `task` where they are of tasks.
    """
    if rows["low"].isna().all():
        return tables.intervals(rows, marks)
    sparse = few(rows)
    if not sparse.any():
        return tables.intervals(rows, marks).replace("bootstrap", kind)
    if drawn:
        dots = f"Small dots: single documents, where there are fewer than {FEW}: no interval"
    else:
        dots = f"No interval where there are fewer than {FEW} documents"
    if sparse.all():
        return f"{dots}."
    said = f"{marks}: {100 * rows['confidence'].iloc[0]:g} % {kind} intervals"
    if "task" in rows.index.names:
        tasks = rows.index.get_level_values("task") != ALL
        if not sparse[~tasks].any() and len(rows[tasks]) and sparse[tasks].all():
            least = rows.loc[tasks, "documents"].min()
            tasks_of = "a document" if least == 1 else f"{least} documents"
            return f"{dots}. {said} of the mean: too narrow, for there are tasks of {tasks_of}."
    return f"{dots}; {said[0].lower()}{said[1:]} elsewhere."
