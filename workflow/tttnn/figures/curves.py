"""Figures of bits per byte by number of neighbours, and by model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from tttnn.figures import few, style, tables
from tttnn.figures.tables import View
from tttnn.pile import ALL

BITS = "bits_per_byte"

SHOWN = 6
"""Tasks with panels of their own: the paper's figures 6 to 8 show the six largest."""

COLUMNS = 4
"""Panels side by side, at most."""

POINTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of neighbours that are marked where too many were evaluated to mark each."""

CROWDED = 6
"""Numbers of neighbours under a panel, at most; of more, the following."""

ROOMY = (0, 1, 5, 20, 100, 500)

SPAN = 0.1
"""Of its highest value, what a panel's vertical axis spans at least."""

ENTRIES = 10
"""Lines of a legend that stands in a panel, at most."""

PITCH = 0.085
"""Inches of a model's line in the figure `models`."""


def _metric(folder: Path, metric: str) -> pd.DataFrame:
    return tables.read(folder, "scores").query("metric == @metric")


def _neighbor_axis(axes: Axes, points: list[int]) -> None:
    # even steps for 0, 1, 2, 5, 10, 20, 50: most of the gain comes early
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xticks(points)
    # where there are many, those that would run into their neighbours have no number
    axes.set_xticklabels([f"{p}" if p in _numbered(points) else "" for p in points])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")


def _numbered(points: list[int]) -> list[int]:
    """Of the marked numbers of neighbours, those that have room for themselves."""
    if len(points) <= CROWDED:
        return points
    every = [point for point in points if point in ROOMY or point == points[-1]]
    return [p for p in every if p == every[-1] or p == 0 or 2 * p <= every[-1]]


def _same_tasks(scores: pd.DataFrame, method: str) -> pd.DataFrame:
    """Rows of one method; or, if it is empty, of those evaluated on all tasks of the first.

    A mean over other tasks is no match for its own. There are as many as there are line styles.
    """
    if method:
        return scores[scores["method"] == method]
    tasks = scores.groupby("method", sort=False)["task"].agg(set)
    whole = tasks.index[tasks == tasks.iloc[0]][: len(style.LINES)]
    return scores[scores["method"].isin(whole)]


def _marked(scores: pd.DataFrame) -> list[int]:
    """The numbers of neighbours that get a mark and a tick."""
    points = sorted(scores["num_neighbors"].unique())
    return points if len(points) <= len(POINTS) else [p for p in POINTS if p in points]


def _panels(number: int) -> tuple[Figure, list[Axes], int]:
    """A figure of this many panels and how many stand side by side; what is over is empty."""
    lines = -(-number // COLUMNS)
    columns = -(-number // lines)
    figure = style.new_figure(style.PAGE, 1.75 * lines + 0.3)
    return figure, list(figure.subplots(lines, columns, squeeze=False).ravel()), columns


def _draw_curve(
    axes: Axes, rows: pd.DataFrame, look: style.Look, line: str, marked: list[int]
) -> None:
    """A metric of a model, with its band, which few documents have not."""
    rows = few.without_few(rows, ["low", "high"])
    axes.plot(
        rows["num_neighbors"],
        rows["value"],
        color=look.colour,
        linestyle=look.line or line,
        marker=look.marker,
        markevery=rows["num_neighbors"].isin(marked).to_list(),
        markersize=2.5,
    )
    axes.fill_between(
        rows["num_neighbors"],
        rows["low"],
        rows["high"],
        color=look.colour,
        alpha=0.15,
        linewidth=0,
    )


def _model_handles(looks: dict[str, style.Look]) -> list[Line2D]:
    """A legend's entries for models."""
    return [
        style.line_handle(model, color=look.colour, marker=look.marker, linestyle=look.line or "-")
        for model, look in looks.items()
    ]


def _mark_documents(
    axes: Axes, documents: pd.DataFrame, task: str, looks: Mapping[str, style.Look], last: int
) -> None:
    """Documents of a task before, and after all neighbours."""
    for model, found in documents[documents.index.get_level_values("task") == task].groupby(
        level="model", sort=False
    ):
        for point, state in ((0, "before"), (last, "after")):
            few.mark(axes, np.full(len(found), point), found[state], looks[str(model)].colour)


def curves(folder: Path, view: View = tables.EVERYTHING, metric: str = BITS) -> Figure:
    """A metric after each number of neighbours (paper figures 6 to 8)."""
    scores, differences = _metric(folder, metric), tables.read(folder, "differences")
    looks = view.looks or style.looks(tables.names(scores, "model"))
    scores = _same_tasks(view.rows(scores), view.method)
    methods = tables.names(scores, "method")
    lines = {method: style.LINES[k % len(style.LINES)] for k, method in enumerate(methods)}
    main = view.rows(tables.trained(differences, methods[0]))
    measured = set(scores["task"])  # a mean over tasks has bits per byte only
    tasks = [t for t in tables.largest(tables.present(main), SHOWN) if t in measured]
    shown = main[main.index.isin(tasks, "task")]
    marked = _marked(scores)
    # of the first method, and not of perplexities
    documents = few.documents_of_few(folder, shown) if metric == BITS else None
    figure, grid, columns = _panels(len(tasks) + 1)  # the last one for the legend
    for place, (axes, task) in enumerate(zip(grid, tasks, strict=False)):
        panel = scores[scores["task"] == task]
        for (model, method), rows in panel.groupby(["model", "method"], sort=False):
            _draw_curve(axes, rows, looks[model], lines[method], marked)
        if documents is not None:
            _mark_documents(axes, documents, task, looks, main["num_neighbors"].iloc[0])
        _neighbor_axis(axes, marked)
        if panel["value"].max() > 10 * panel["value"].min():  # perplexities of text never seen
            axes.set_yscale("log")
            style.plain_log_ticks(axes.yaxis)
        else:
            style.keep_span(axes, SPAN)
        axes.set_title(tables.label(main, task))
        if place % columns == 0:
            axes.set_ylabel(metric.replace("_", " "))
        axes.set_xlabel("neighbours")
    for axes in grid[len(tasks) :]:
        axes.set_axis_off()
    models = tables.names(scores, "model")
    # grey, for no line is drawn in black; of one method its name is the title
    told = [style.line_handle(m, color=style.GREY, linestyle=line) for m, line in lines.items()]
    handles = [
        *_model_handles({model: looks[model] for model in models}),
        *(told if len(told) > 1 else []),
        *([] if documents is None else [few.handle(f"a document ({methods[0]})")]),
    ]
    _write_legend(figure, grid[len(tasks)], handles, methods[0] if len(told) == 1 else None)
    scale = (
        "Each panel has its own vertical axis, which does not start at 0 and spans "
        f"{100 * SPAN:g} % of its highest value or more"
    )
    log = any(axes.get_yscale() == "log" for axes in grid[: len(tasks)])
    axis = f"{scale}{', or is logarithmic' if log else ''}."
    _write_note(figure, folder, shown, "Bands", view, axis)
    return figure


def _write_legend(figure: Figure, place: Axes, handles: list[Line2D], title: str | None) -> None:
    """In an empty panel, or above all panels what has no room in one."""
    inside = [style.broken(str(handle.get_label())) for handle in handles]
    if sum(label.count("\n") + 1 for label in inside) > ENTRIES:
        style.legend_above(figure, handles)
        return
    for handle, label in zip(handles, inside, strict=True):
        handle.set_label(label)
    place.legend(handles=handles, title=title, loc="center left")


def _write_note(
    figure: Figure, folder: Path, rows: pd.DataFrame, marks: str, view: View, *more: str
) -> None:
    """What stands in parentheses, what the intervals' `marks` mean, and which tasks are absent."""
    said = " ".join(["In parentheses: documents.", few.sentences(rows, marks), *more])
    if ALL in tables.present(rows):
        tasks = rows.xs(ALL, level="task")["tasks"].min()
        said += tables.absence(tables.read(folder, "tasks"), tasks)
    style.write_note(figure, said + view.note)


def models(folder: Path, view: View = tables.EVERYTHING) -> Figure:
    """Models side by side: does a small one, trained, close in on a larger one (paper figure 2)?"""
    scores, differences = _metric(folder, "bits_per_byte"), tables.read(folder, "differences")
    method = view.method or tables.main_method(scores)
    rows = view.rows(tables.trained(differences, method))
    looks = tables.looked_models(differences, rows)
    if len(looks) < 2:
        raise ValueError(
            f"the figure compares models, and with {method!r} only {', '.join(looks)} was "
            "evaluated: add one to evaluate.models, or take the figure out of `figures`"
        )
    neighbors = rows["num_neighbors"].iloc[0]
    tasks = tables.present(rows)
    scores = scores[scores["method"] == method].set_index(["model", "task", "num_neighbors"])
    scores = scores.sort_index()
    step = 0.8 / len(looks)
    documents = few.documents_of_few(folder, rows)
    figure = style.new_figure(style.PAGE, len(tasks) * (0.05 + PITCH * len(looks)) + 1.2)
    axes = figure.subplots()
    style.name_rows(axes, [tables.label(rows, task) for task in tasks])
    for order, (model, look) in enumerate(looks.items()):
        for place, task in enumerate(tasks):
            if (model, task) in rows.index:
                states = scores.loc[model, task].loc[[0, neighbors]]
                y = place - 0.4 + step * (order + 0.5)
                _draw_states(axes, states, y, look, 0.28 * step)
                if documents is not None and (model, task) in documents.index:
                    own = documents.loc[[(model, task)]]
                    few.mark(axes, own["before"], y - 0.28 * step, look.colour)
                    few.mark(axes, own["after"], y + 0.28 * step, look.colour)
    for place in range(len(tasks) - 1):
        axes.axhline(place + 0.5, color=style.GREY if place == 0 else "#dddddd", linewidth=0.6)
    axes.set_xlabel("bits per byte")
    dots = {"linestyle": "none", "marker": "o", "color": "black"}
    style.legend_above(
        figure,
        [
            *_model_handles(looks),
            style.line_handle("before", markerfacecolor="white", **dots),
            style.line_handle(f"after {neighbors} neighbours ({method})", **dots),
            *([] if documents is None else [few.handle()]),
        ],
    )
    start = "The axis does not start at 0."
    above = [] if rows["low"].isna().all() else ["Above a line: before; below it: after."]
    _write_note(figure, folder, rows, "Thin lines", view, *above, start)
    return figure


def _draw_states(
    axes: Axes, states: pd.DataFrame, y: float, look: style.Look, apart: float
) -> None:
    """A model before, hollow, and after, filled, and a line between; intervals above and below."""
    axes.plot(states["value"], [y, y], color=look.colour, linewidth=1)
    sure = few.without_few(states, ["low", "high"])
    rows = zip(sure.itertuples(), ("white", look.colour), (-apart, apart), strict=True)
    for state, face, offset in rows:
        if state.low == state.low:  # not a number where there is none
            ends = [state.low, state.high]
            axes.plot(ends, [y + offset, y + offset], color=look.colour, linewidth=0.8, alpha=0.8)
        axes.plot(state.value, y, look.marker, color=look.colour, markerfacecolor=face)
