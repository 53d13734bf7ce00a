"""Figures of bits per byte by number of neighbours, and by model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator, ScalarFormatter

from tttnn.figures import style, tables
from tttnn.figures.tables import View
from tttnn.pile import ALL

SHOWN = 6
"""Tasks with panels of their own: the paper's figures 6 to 8 show the six largest."""

COLUMNS = 4
"""Panels side by side, at most."""

POINTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of neighbours that are marked where too many were evaluated to mark each."""


def _metric(folder: Path, metric: str) -> pd.DataFrame:
    return tables.read(folder, "scores").query("metric == @metric")


def _neighbor_axis(axes: Axes, points: list[int]) -> None:
    # even steps for 0, 1, 2, 5, 10, 20, 50: most of the gain comes early
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xticks(points)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")


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


def _draw_curve(axes: Axes, rows: pd.DataFrame, number: int, line: str, marked: list[int]) -> None:
    """A metric of the model with this number, with its band."""
    axes.plot(
        rows["num_neighbors"],
        rows["value"],
        color=style.colour(number),
        linestyle=line,
        marker=style.marker(number),
        markevery=rows["num_neighbors"].isin(marked).to_list(),
        markersize=2.5,
    )
    axes.fill_between(
        rows["num_neighbors"],
        rows["low"],
        rows["high"],
        color=style.colour(number),
        alpha=0.15,
        linewidth=0,
    )


def _model_handles(numbers: dict[str, int]) -> list[Line2D]:
    """A legend's entries for models, each with its number."""
    return [
        style.line_handle(model, color=style.colour(number), marker=style.marker(number))
        for model, number in numbers.items()
    ]


def curves(folder: Path, view: View = tables.EVERYTHING, metric: str = "bits_per_byte") -> Figure:
    """A metric after each number of neighbours (paper figures 6 to 8)."""
    scores, differences = _metric(folder, metric), tables.read(folder, "differences")
    numbers = {model: k for k, model in enumerate(tables.names(scores, "model"))}
    scores = _same_tasks(view.rows(scores), view.method)
    methods = tables.names(scores, "method")
    lines = {method: style.LINES[k % len(style.LINES)] for k, method in enumerate(methods)}
    main = view.rows(tables.trained(differences, methods[0]))
    measured = set(scores["task"])  # a mean over tasks has bits per byte only
    tasks = [t for t in tables.largest(tables.present(main), SHOWN) if t in measured]
    marked = _marked(scores)
    figure, grid, columns = _panels(len(tasks) + 1)  # the last one for the legend
    for place, (axes, task) in enumerate(zip(grid, tasks, strict=False)):
        panel = scores[scores["task"] == task]
        for (model, method), rows in panel.groupby(["model", "method"], sort=False):
            _draw_curve(axes, rows, numbers[model], lines[method], marked)
        _neighbor_axis(axes, marked)
        if panel["value"].max() > 10 * panel["value"].min():  # perplexities of text never seen
            axes.set_yscale("log")
        axes.set_title(tables.label(main, task))
        if place % columns == 0:
            axes.set_ylabel(metric.replace("_", " "))
        axes.set_xlabel("neighbours")
    for axes in grid[len(tasks) :]:
        axes.set_axis_off()
    models = tables.names(scores, "model")
    told = [style.line_handle(m, color="black", linestyle=line) for m, line in lines.items()]
    grid[len(tasks)].legend(
        handles=[
            *_model_handles({model: numbers[model] for model in models}),
            *(told if len(told) > 1 else []),  # of one method no line is drawn in black
        ],
        title=methods[0] if len(told) == 1 else None,
        loc="center left",
    )
    _write_note(figure, folder, main, "Bands", view)
    return figure


def _write_note(figure: Figure, folder: Path, rows: pd.DataFrame, marks: str, view: View) -> None:
    """What stands in parentheses, what the intervals' `marks` mean, and which tasks are absent."""
    tasks = rows.xs(ALL, level="task")["tasks"].min()
    style.write_note(
        figure,
        f"In parentheses: documents. {tables.intervals(rows, marks)}"
        + tables.absence(tables.read(folder, "tasks"), tasks)
        + view.note,
    )


def models(folder: Path, view: View = tables.EVERYTHING) -> Figure:
    """Models side by side: does a small one, trained, close in on a larger one (paper figure 2)?"""
    scores, differences = _metric(folder, "bits_per_byte"), tables.read(folder, "differences")
    method = view.method or tables.main_method(scores)
    rows = view.rows(tables.trained(differences, method))
    numbers = tables.numbered_models(differences, rows)
    if len(numbers) < 2:
        raise ValueError(
            f"the figure compares models, and with {method!r} only {', '.join(numbers)} was "
            "evaluated: add one to evaluate.models, or take the figure out of `figures`"
        )
    neighbors = rows["num_neighbors"].iloc[0]
    tasks = tables.present(rows)
    scores = scores[scores["method"] == method].set_index(["model", "task", "num_neighbors"])
    scores = scores.sort_index()
    step = 0.8 / len(numbers)
    figure = style.new_figure(style.PAGE, len(tasks) * (0.05 + 0.06 * len(numbers)) + 1.2)
    axes = figure.subplots()
    style.name_rows(axes, [tables.label(rows, task) for task in tasks])
    for order, (model, number) in enumerate(numbers.items()):
        for place, task in enumerate(tasks):
            if (model, task) in rows.index:
                states = scores.loc[model, task].loc[[0, neighbors]]
                _draw_states(axes, states, place - 0.4 + step * (order + 0.5), number)
    for place in range(len(tasks) - 1):
        axes.axhline(place + 0.5, color=style.GREY if place == 0 else "#dddddd", linewidth=0.6)
    axes.set_xlabel("bits per byte")
    dots = {"linestyle": "none", "marker": "o", "color": "black"}
    style.legend_above(
        figure,
        [
            *_model_handles(numbers),
            style.line_handle("before", markerfacecolor="white", **dots),
            style.line_handle(f"after {neighbors} neighbours ({method})", **dots),
        ],
    )
    _write_note(figure, folder, rows, "Pale", view)
    return figure


def _draw_states(axes: Axes, states: pd.DataFrame, y: float, number: int) -> None:
    """A model before, hollow, and after, filled, each with its interval, and a line between."""
    colour, marker = style.colour(number), style.marker(number)
    axes.plot(states["value"], [y, y], color=colour, linewidth=1)
    for state, face in zip(states.itertuples(), ("white", colour), strict=True):
        axes.plot(
            [state.low, state.high],
            [y, y],
            color=colour,
            linewidth=3,
            alpha=0.25,
            solid_capstyle="butt",
        )
        axes.plot(state.value, y, marker, color=colour, markerfacecolor=face)
