"""How many documents near-copies among their neighbours tell of."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from tttnn.figures import tables


def copies(folder: Path) -> Figure:
    """Share of each task's documents that a neighbour nearly copies."""
    rows = tables.read(folder, "duplicates")
    rows = rows[rows["method"] == tables.main_method(rows)].drop_duplicates("task")
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.barh([tables.title(task) for task in rows["task"]], rows["copied"] / rows["documents"])
    axes.set_xlabel("share of documents")
    return figure
