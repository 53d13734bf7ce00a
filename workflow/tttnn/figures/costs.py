"""The figure of what training takes: seconds per neighbour."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from tttnn.figures import few, style, tables
from tttnn.figures.tables import View
from tttnn.pile import TASKS
from tttnn.scores.few import FEW

SECONDS = "neighbor_seconds"
BOXES = (
    "Boxes: quartiles and median over documents; lines: 5th to 95th percentile. "
    "Without the evaluations between neighbours."
)


def cost(folder: Path, view: View = tables.EVERYTHING, boxes: str = BOXES) -> Figure:
    """Seconds of training per neighbour over a task's documents (paper figures 9 and 14).

    `boxes` says what the table's quantiles are over.
    """
    table = tables.read(folder, "costs")
    method = view.method or tables.main_method(table)
    looks = style.looks(tables.names(table, "model"))
    table = view.rows(table[table["method"] == method])
    models = tables.names(table, "model")
    tasks = [task for task in TASKS if task in set(table["task"])]
    documents = table.groupby("task")["documents"].first()
    sparse = few.few(table) & (boxes == BOXES)  # others are not over documents
    seconds = few.read_documents(folder, (SECONDS,)) if sparse.any() else None
    step = 0.8 / len(models)
    figure = style.new_figure(style.PAGE, len(tasks) * max(0.15, 0.05 + 0.06 * len(models)) + 1.2)
    axes = figure.subplots()
    for number, model in enumerate(models):
        own = table[table["model"] == model]
        places = own["task"].map(tasks.index) - 0.4 + step * (number + 0.5)
        rare = sparse[own.index]
        _draw_boxes(axes, own[~rare], places[~rare], 0.75 * step, looks[model].colour)
        if seconds is not None:
            mine = seconds[(seconds["model"] == model) & (seconds["method"] == method)]
            _draw_documents(axes, mine, own[rare], places[rare], step, looks[model].colour)
    style.name_rows(axes, [f"{tables.title(task)} ({documents[task]:,})" for task in tasks])
    for place in range(len(tasks) - 1):
        axes.axhline(place + 0.5, color="#dddddd", linewidth=0.6)
    axes.set_xscale("log")
    style.plain_log_ticks(axes.xaxis)
    axes.set_xlabel("seconds of training per neighbour (logarithmic)")
    # a bar or, where all are of few documents, their dots
    look = {"marker": "o", "linestyle": "none"} if sparse.all() else {"linewidth": 5}
    style.legend_above(
        figure,
        [
            *(style.line_handle(model, color=looks[model].colour, **look) for model in models),
            *([_MEDIAN] if sparse.any() else []),
        ],
    )
    style.write_note(
        figure,
        f"Method {method}. In parentheses: documents. {_meaning(sparse, boxes)}{view.note}",
    )
    return figure


_MEDIAN = style.line_handle(
    "median", color="black", marker="|", markersize=7, markeredgewidth=1.6, linestyle="none"
)


def _draw_boxes(
    axes: Axes, rows: pd.DataFrame, places: pd.Series, width: float, colour: str
) -> None:
    """A box a task from the table's quantiles."""
    axes.bxp(
        [
            {
                "whislo": row.seconds_p05,
                "q1": row.seconds_p25,
                "med": row.seconds_p50,
                "q3": row.seconds_p75,
                "whishi": row.seconds_p95,
            }
            for row in rows.itertuples()
        ],
        positions=places.to_list(),
        widths=width,
        orientation="horizontal",
        showfliers=False,
        showcaps=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": to_rgba(colour, 0.35), "edgecolor": colour, "linewidth": 0.6},
        whiskerprops={"color": colour, "linewidth": 0.8},
        medianprops={"color": colour, "linewidth": 1.6},
    )


def _draw_documents(
    axes: Axes,
    documents: pd.DataFrame,
    rows: pd.DataFrame,
    places: pd.Series,
    step: float,
    colour: str,
) -> None:
    """The documents of tasks that have few, on a line between the least and the greatest."""
    for row, place in zip(rows.itertuples(), places, strict=True):
        own = documents.loc[documents["task"] == row.task, SECONDS]
        axes.plot([own.min(), own.max()], [place, place], color=colour, linewidth=0.6, alpha=0.6)
        few.mark(axes, own, place, colour, markersize=3.2)
        ends = [place - 0.3 * step, place + 0.3 * step]
        axes.plot([row.seconds_p50] * 2, ends, color=colour, linewidth=1.6)


def _meaning(sparse: pd.Series, boxes: str) -> str:
    """What boxes and dots are."""
    if not sparse.any():
        return boxes
    dots = f"Dots: the documents themselves, where there are fewer than {FEW}."
    if sparse.all():
        return f"{dots} {boxes.rpartition('. ')[2]}"
    return f"{dots} {boxes}"
