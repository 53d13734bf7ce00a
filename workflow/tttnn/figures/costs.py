"""Figures of what it takes: seconds of training, and what an index misses."""

from __future__ import annotations

from pathlib import Path

from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from tttnn.figures import style, tables
from tttnn.figures.tables import View
from tttnn.pile import TASKS

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
    colours = {model: style.colour(k) for k, model in enumerate(tables.names(table, "model"))}
    table = view.rows(table[table["method"] == method])
    models = tables.names(table, "model")
    rows = table.set_index(["model", "task"])
    tasks = [task for task in TASKS if task in set(table["task"])]
    documents = table.groupby("task")["documents"].first()
    step = 0.8 / len(models)
    figure = style.new_figure(style.PAGE, len(tasks) * max(0.15, 0.05 + 0.06 * len(models)) + 1.2)
    axes = figure.subplots()
    for number, model in enumerate(models):
        here = [task for task in tasks if (model, task) in rows.index]
        colour = colours[model]
        axes.bxp(
            [
                {
                    "whislo": rows.loc[(model, task), "seconds_p05"],
                    "q1": rows.loc[(model, task), "seconds_p25"],
                    "med": rows.loc[(model, task), "seconds_p50"],
                    "q3": rows.loc[(model, task), "seconds_p75"],
                    "whishi": rows.loc[(model, task), "seconds_p95"],
                }
                for task in here
            ],
            positions=[tasks.index(task) - 0.4 + step * (number + 0.5) for task in here],
            widths=0.75 * step,
            orientation="horizontal",
            showfliers=False,
            showcaps=False,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": to_rgba(colour, 0.35), "edgecolor": colour, "linewidth": 0.6},
            whiskerprops={"color": colour, "linewidth": 0.8},
            medianprops={"color": colour, "linewidth": 1.6},
        )
    style.name_rows(axes, [f"{tables.title(task)} ({documents[task]:,})" for task in tasks])
    for place in range(len(tasks) - 1):
        axes.axhline(place + 0.5, color="#dddddd", linewidth=0.6)
    axes.set_xscale("log")
    axes.set_xlabel("seconds of training per neighbour")
    style.legend_above(
        figure,
        [style.line_handle(model, color=colours[model], linewidth=5) for model in models],
    )
    style.write_note(
        figure,
        f"Method {method}. In parentheses: documents. {boxes}{view.note}",
    )
    return figure


def recall(folder: Path) -> Figure:
    """Share of the true nearest neighbours that each index finds."""
    table = tables.read(folder, "recall")
    figure = style.new_figure(style.COLUMN, 2.4)
    axes = figure.subplots()
    for number, (index, rows) in enumerate(table.groupby("index", sort=False)):
        first = rows.iloc[0]
        axes.plot(
            rows["k"],
            rows["recall"],
            color=style.colour(number),
            linestyle=style.LINES[number % len(style.LINES)],
            marker=style.marker(number),
            label=f"{index} ({first.factory}, {first.ntotal:,} vectors)",
        )
    axes.set_xscale("log")
    axes.set_xticks(sorted(table["k"].unique()))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(min(0.9, table["recall"].min()) - 0.02, 1.005)
    axes.set_xlabel("k, neighbours asked for")
    axes.set_ylabel("recall@k")
    axes.grid(axis="y")
    axes.legend(loc="best")
    style.write_note(figure, f"Against exact search, {table['queries'].max():,} queries.")
    return figure
