"""The figure of quality against time: bits per byte by seconds a document, by model and method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from tttnn.figures import style, tables
from tttnn.figures.panels import whiskers

BUDGETS = (0.75, 1.75, 2.0, 4.0)
"""Seconds a document that are marked: those of HullFT's published tables (arXiv 2605.30337)."""

CURVES = 8
"""Methods with a look of their own; more are thin and named in the note."""

PANELS = 3
"""Models side by side, at most; more stand below."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
BEYOND = "#f1f1f1"


def quality_time(folder: Path) -> Figure:
    """Bits per byte by what it took, a panel a model and a curve a method."""
    table = tables.read(folder, "quality_time")
    models = [m for m in tables.names(table, "model") if _has_points(table[table["model"] == m])]
    if not models:
        raise ValueError(
            "no method was evaluated after any neighbours in any seconds: extend an evaluate_at, "
            "or take the figure out of `figures`"
        )
    looks = _looks(table)
    rows = -(-len(models) // PANELS)
    columns = -(-len(models) // rows)
    figure = style.new_figure(style.PAGE if columns > 1 else 0.75 * style.PAGE, 2.6 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(models) :]:
        axes.remove()
    for place, (axes, model) in enumerate(zip(grid, models, strict=False)):
        colour = style.colour(tables.names(table, "model").index(model))
        _panel(axes, table[(table["model"] == model) & table["alike"]], looks, colour)
        axes.set_title(model)
        if place % columns == 0:
            axes.set_ylabel("bits per byte")
        axes.set_xlabel("seconds a document")
    handles = [
        style.line_handle(method, color="black", markerfacecolor="white", **look)
        for method, look in looks.items()
    ]
    style.legend_above(figure, handles, min(len(handles), 5))
    style.write_note(figure, _note(table, looks))
    return figure


def _has_points(table: pd.DataFrame) -> bool:
    return bool((table["alike"] & (table["num_neighbors"] > 0) & (table["seconds"] > 0)).any())


def _looks(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """How the main method's curve is drawn, those of methods on a front, and the best others'."""
    alike = table[table["alike"]]
    main = tables.main_method(table)
    winners = set(alike.loc[alike["front"], "method"])
    gain = (alike["bits_per_byte"] / alike["before"]).groupby(alike["method"]).min()
    ranked = sorted(
        gain.sort_values(kind="stable").index,
        key=lambda method: (method != main, method not in winners),
    )[:CURVES]
    order = [method for method in tables.names(alike, "method") if method in ranked]
    return {
        method: {"marker": MARKERS[number], "linewidth": 1.8 if method == main else 1.0}
        for number, method in enumerate(order)
    }


def _panel(axes: Axes, table: pd.DataFrame, looks: dict[str, dict[str, Any]], colour: str) -> None:
    """A model's curves; grey below the front is what nothing reached."""
    before = table["before"].iloc[0]
    points = table[(table["num_neighbors"] > 0) & (table["seconds"] > 0)]
    _limit(axes, points, before)
    _shade(axes, points[points["front"]].sort_values("seconds"), before)
    for method, curve in points.groupby("method", sort=False):
        look = looks.get(method, {"linewidth": 0.4})
        shade = colour if curve["front"].any() else style.GREY
        axes.plot(
            curve["seconds"], curve["bits_per_byte"], color=shade, markerfacecolor="white", **look
        )
        if method in looks:
            _draw_bounds(axes, curve, shade)
            on = curve[curve["front"]]
            dots = {**look, "linestyle": "none"}
            axes.plot(on["seconds"], on["bits_per_byte"], color=shade, zorder=4, **dots)
    axes.axhline(before, color="black", linewidth=0.6)
    axes.annotate(
        "before",
        (0, before),
        xycoords=("axes fraction", "data"),
        xytext=(2, 2),
        textcoords="offset points",
        fontsize=style.SMALL,
    )
    _mark_budgets(axes)
    axes.grid(axis="y")


def _draw_bounds(axes: Axes, curve: pd.DataFrame, colour: str) -> None:
    """Of bits per byte those of the paired change, and of the mean seconds."""
    base, change = curve["bits_per_byte"] - curve["difference"], curve["difference"]
    vertical = whiskers(change, curve["difference_low"], curve["difference_high"])
    across = whiskers(curve["seconds"], curve["seconds_low"], curve["seconds_high"])
    axes.errorbar(
        curve["seconds"],
        base + change,
        xerr=across,
        yerr=vertical,
        fmt="none",
        ecolor=colour,
        elinewidth=0.6,
        alpha=0.6,
        zorder=1.5,
    )


def _shade(axes: Axes, front: pd.DataFrame, before: float) -> None:
    """What is better, or cheaper, than all that was tried: below the steps of the front."""
    left, right = axes.get_xlim()
    bottom = axes.get_ylim()[0]
    seconds = [left, *front["seconds"], right]
    bits = [before, *front["bits_per_byte"]]
    axes.fill_between(
        seconds,
        [*bits, bits[-1]],
        bottom,
        step="post",
        color=BEYOND,
        linewidth=0,
        zorder=0,
    )
    axes.set_xlim(left, right)


def _mark_budgets(axes: Axes) -> None:
    left, right = axes.get_xlim()
    for number, budget in enumerate(BUDGETS):
        if left < budget < right:
            axes.axvline(budget, color="#999999", linewidth=0.5, linestyle=(0, (4, 3)), zorder=0.5)
            axes.annotate(
                f"{budget:g} s",
                (budget, 0.01 + 0.05 * (number % 2)),
                xycoords=("data", "axes fraction"),
                xytext=(1.5, 0),
                textcoords="offset points",
                fontsize=style.SMALL - 1,
                color=style.GREY,
            )


def _limit(axes: Axes, points: pd.DataFrame, before: float) -> None:
    """Limits that leave out what is far worse than no training, which is not in question."""
    lowest = min(points["bits_per_byte"].min(), before)
    room = 0.12 * (before - lowest) or 0.01
    ends = (before + points["difference_low"]).min()  # of whiskers; not a number without any
    bottom = max(ends, lowest - 4 * room) if ends < lowest else lowest
    better = points[points["bits_per_byte"] < before]
    seen = (better if len(better) else points)["seconds"]
    axes.set_xscale("log")
    axes.set_xlim(seen.min() / 1.6, 1.6 * seen.max())
    axes.set_ylim(bottom - 1.5 * room, before + 2 * room)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _note(table: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> str:
    alike = table[table["alike"]]
    first = alike.iloc[0]
    thin = [method for method in tables.names(alike, "method") if method not in looks]
    others = tables.names(table[~table["alike"]], "method")
    unknown = sorted(
        {part for parts in alike["not_counted"].dropna() for part in parts.split("; ") if part}
    )
    sentences = [
        f"Means over documents ({first.documents:,} of {first.model} in {first.tasks} tasks) of "
        "the tasks that all methods of a model have, by the Pile's weights. Points: numbers of "
        "neighbours; filled: nothing as cheap is as good; grey, below: what nothing reached. "
        f"Whiskers: {100 * first.confidence:g} % bootstrap intervals, of the paired change from "
        "before and of seconds, which are of selection, training and one evaluation. Dashed: "
        "budgets.",
    ]
    if unknown:
        sentences.append(f"Not counted, for nobody measured it: {', '.join(unknown)}.")
    if thin:
        sentences.append(f"Thin: {', '.join(thin)}.")
    if others:
        sentences.append(f"Not shown, for they start elsewhere: {', '.join(others)}.")
    return " ".join(sentences)
