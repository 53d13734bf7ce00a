"""Figures of bits per byte by number of neighbors, and by model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from tttnn.figures import style, tables
from tttnn.figures.tables import Selection
from tttnn.pile import ALL

SHOWN = 6
"""Tasks with panels of their own: the paper's figures 6 to 8 show the six largest."""

COLUMNS = 4
"""Panels side by side, at most."""

POINTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of neighbors that are marked where too many were evaluated to mark each."""


def _metric(folder: Path, metric: str) -> pd.DataFrame:
    return tables.read(folder, "scores").query("metric == @metric")


def _neighbor_axis(axes: Axes, points: list[int]) -> None:
    # even steps for 0, 1, 2, 5, 10, 20, 50: most of the gain comes early
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xticks(points)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")


def curves(
    folder: Path, chosen: Selection = tables.EVERYTHING, metric: str = "bits_per_byte"
) -> Figure:
    """A metric after each number of neighbors (paper figures 6 to 8).

    Shown are one method, or those that were evaluated on all tasks of the first: a mean over other
    tasks is no match for its own. There are as many as there are line styles.
    """
    scores, differences = _metric(folder, metric), tables.read(folder, "differences")
    numbers = {model: k for k, model in enumerate(tables.names(scores, "model"))}
    scores = chosen.rows(scores)
    if chosen.method:
        scores = scores[scores["method"] == chosen.method]
    else:
        tasks_of = scores.groupby("method", sort=False)["task"].agg(set)
        whole = tasks_of.index[tasks_of == tasks_of.iloc[0]][: len(style.LINES)]
        scores = scores[scores["method"].isin(whole)]
    models, methods = tables.names(scores, "model"), tables.names(scores, "method")
    main = chosen.rows(tables.trained(differences, methods[0]))
    measured = set(scores["task"])  # a mean over tasks has bits per byte only
    tasks = [t for t in tables.largest(tables.present(main), SHOWN) if t in measured]
    points = sorted(scores["num_neighbors"].unique())
    marked = points if len(points) <= len(POINTS) else [p for p in POINTS if p in points]
    panels = len(tasks) + 1  # the last one for the legend
    lines = -(-panels // COLUMNS)
    columns = -(-panels // lines)
    figure = style.new_figure(style.PAGE, 1.75 * lines + 0.3)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for place, (axes, task) in enumerate(zip(grid, tasks, strict=False)):
        for (model, method), rows in scores[scores["task"] == task].groupby(
            ["model", "method"], sort=False
        ):
            number = numbers[model]
            axes.plot(
                rows["num_neighbors"],
                rows["value"],
                color=style.colour(number),
                linestyle=style.LINES[methods.index(method) % len(style.LINES)],
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
        _neighbor_axis(axes, marked)
        shown = scores.loc[scores["task"] == task, "value"]
        if shown.max() > 10 * shown.min():  # perplexities of text that a model never saw
            axes.set_yscale("log")
        axes.set_title(tables.label(main, task))
        if place % columns == 0:
            axes.set_ylabel(metric.replace("_", " "))
        axes.set_xlabel("neighbors")
    for axes in grid[len(tasks) :]:
        axes.set_axis_off()
    grid[len(tasks)].legend(
        handles=[
            style.line_handle(
                model, color=style.colour(numbers[model]), marker=style.marker(numbers[model])
            )
            for model in models
        ]
        + [
            style.line_handle(method, color="black", linestyle=style.LINES[k % len(style.LINES)])
            for k, method in enumerate(methods)
        ],
        loc="center left",
    )
    style.write_note(
        figure,
        f"In parentheses: documents. {tables.intervals(main, 'Bands')}"
        + tables.absence(tables.read(folder, "tasks"), main.xs(ALL, level="task")["tasks"].min())
        + chosen.note,
    )
    return figure


def models(folder: Path, chosen: Selection = tables.EVERYTHING) -> Figure:
    """Models side by side: does a small one, trained, close in on a larger one (paper figure 2)?"""
    scores, differences = _metric(folder, "bits_per_byte"), tables.read(folder, "differences")
    method = chosen.method or tables.main_method(scores)
    rows = chosen.rows(tables.trained(differences, method))
    names = tables.numbered_models(differences, rows)
    if len(names) < 2:
        raise ValueError(
            f"the figure compares models, and with {method!r} only {', '.join(names)} was "
            "evaluated: add one to evaluate.models, or take the figure out of `figures`"
        )
    neighbors = rows["num_neighbors"].iloc[0]
    tasks = tables.present(rows)
    scores = scores[scores["method"] == method].set_index(["model", "task", "num_neighbors"])
    scores = scores.sort_index()
    step = 0.8 / len(names)
    figure = style.new_figure(style.PAGE, len(tasks) * (0.05 + 0.06 * len(names)) + 1.2)
    axes = figure.subplots()
    style.name_rows(axes, [tables.label(rows, task) for task in tasks])
    for order, (model, number) in enumerate(names.items()):
        colour, marker = style.colour(number), style.marker(number)
        for place, task in enumerate(tasks):
            if (model, task) not in rows.index:
                continue
            y = place - 0.4 + step * (order + 0.5)
            states = scores.loc[model, task].loc[[0, neighbors]]
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
    for place in range(len(tasks) - 1):
        axes.axhline(place + 0.5, color=style.GREY if place == 0 else "#dddddd", linewidth=0.6)
    axes.set_xlabel("bits per byte")
    style.legend_above(
        figure,
        [
            style.line_handle(model, color=style.colour(k), marker=style.marker(k))
            for model, k in names.items()
        ]
        + [
            style.line_handle(
                "before", linestyle="none", marker="o", color="black", markerfacecolor="white"
            ),
            style.line_handle(
                f"after {neighbors} neighbors ({method})",
                linestyle="none",
                marker="o",
                color="black",
            ),
        ],
    )
    style.write_note(
        figure,
        f"In parentheses: documents. {tables.intervals(rows, 'Pale')}"
        + tables.absence(tables.read(folder, "tasks"), rows.xs(ALL, level="task")["tasks"].min())
        + chosen.note,
    )
    return figure
