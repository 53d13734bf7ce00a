"""The figure of quality against time: bits per byte by seconds a document, by model and method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tttnn.figures import few, style, tables
from tttnn.figures.panels import whiskers
from tttnn.scores.few import FEW

BUDGETS = (0.75, 1.75, 2.0, 4.0)
"""Seconds a document that are marked: those of HullFT's published tables (arXiv 2605.30337)."""

CLOSE = 1.75
"""Up to this budget labels are left of their lines: the next one is near."""

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
    idle = _idle(table)
    table = table[~table["method"].isin(idle)]
    looks = _looks(table)
    colours = style.looks(tables.names(table, "model"))
    documents = few.read_documents(folder) if few.few(table[table["alike"]]).any() else None
    cut: dict[str, None] = {}
    rows = -(-len(models) // PANELS)
    columns = -(-len(models) // rows)
    figure = style.new_figure(style.PAGE if columns > 1 else 0.75 * style.PAGE, 2.6 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(models) :]:
        axes.remove()
    for place, (axes, model) in enumerate(zip(grid, models, strict=False)):
        colour = colours[model].colour
        own = table[(table["model"] == model) & table["alike"]]
        found = {} if documents is None else _of_few(own, documents, looks)
        cut |= dict.fromkeys(_panel(axes, own, looks, colour, found))
        axes.set_title(style.broken(model))
        if place % columns == 0:
            axes.set_ylabel("bits per byte")
        axes.set_xlabel("seconds a document")
    handles = [
        style.line_handle(method, color="black", markerfacecolor="white", **look)
        for method, look in looks.items()
    ]
    style.legend_above(figure, [*handles, *([] if documents is None else [few.handle()])])
    style.write_note(figure, _note(table, looks, idle, list(cut)))
    return figure


def _idle(table: pd.DataFrame) -> list[str]:
    """Methods that left every model's score exactly as it was, whatever their neighbours."""
    same = (table["bits_per_byte"] == table["before"]).groupby(table["method"], sort=False).all()
    main = tables.main_method(table)
    trained = table.groupby("method")["num_neighbors"].max() > 0
    return [method for method in same.index[same] if method != main and trained[method]]


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
        method: {"marker": MARKERS[number], "linewidth": 1.5 if method == main else 0.8}
        for number, method in enumerate(order)
    }


def _of_few(
    table: pd.DataFrame, documents: pd.DataFrame, looks: dict[str, dict[str, Any]]
) -> dict[str, pd.Series]:
    """Of a model with few documents, by method, each one's change from the mean before.

    They are of the tasks that all methods have, after a method's most neighbours.
    """
    if not few.few(table).all():
        return {}
    own = documents[documents["model"] == table["model"].iloc[0]]
    own = own[own["method"].isin(table["method"])]
    shared = own.groupby("task")["method"].nunique() == own["method"].nunique()
    own = own[own["task"].map(shared)]
    bits = table["before"].iloc[0] + own["after"] - own["before"]
    return {method: each for method, each in bits.groupby(own["method"]) if method in looks}


def _panel(
    axes: Axes,
    table: pd.DataFrame,
    looks: dict[str, dict[str, Any]],
    colour: str,
    documents: dict[str, pd.Series],
) -> list[str]:
    """A model's curves; grey below the front is what nothing reached. The methods that are cut off.

    Curves are steps, for between two points a method has reached the first: none crosses the front.
    """
    before = table["before"].iloc[0]
    points = table[(table["num_neighbors"] > 0) & (table["seconds"] > 0)]
    _limit(axes, points, before, documents)
    _shade(axes, points[points["front"]].sort_values("seconds"), before)
    for method, curve in points.groupby("method", sort=False):
        look = looks.get(method, {"linewidth": 0.4})
        shade = colour if curve["front"].any() else style.GREY
        axes.plot(
            curve["seconds"],
            curve["bits_per_byte"],
            color=shade,
            markerfacecolor="white",
            drawstyle="steps-post",
            **look,
        )
        if method in documents:
            bits = documents[str(method)]
            own = {"marker": look["marker"], "markersize": few.SIZE + 0.8}
            few.mark(axes, np.full(len(bits), curve["seconds"].iloc[-1]), bits, shade, **own)
        if method in looks:
            _draw_bounds(axes, curve, shade)
            on = curve[curve["front"]]
            dots = {**look, "linestyle": "none"}
            axes.plot(on["seconds"], on["bits_per_byte"], color=shade, zorder=4, **dots)
    axes.axhline(before, color="black", linewidth=0.6)
    axes.annotate(
        "before",
        (1, before),
        xycoords=("axes fraction", "data"),
        xytext=(2, 0),
        textcoords="offset points",
        va="center",
        fontsize=style.SMALL,
    )
    _mark_budgets(axes)
    axes.grid(axis="y")
    left, right = axes.get_xlim()
    shown = points["bits_per_byte"].lt(axes.get_ylim()[1]) & points["seconds"].between(left, right)
    return list(points.loc[~shown, "method"].unique())


def _draw_bounds(axes: Axes, curve: pd.DataFrame, colour: str) -> None:
    """Of bits per byte those of the paired change, and of the mean seconds."""
    sure = [f"{name}_{end}" for name in ("difference", "seconds") for end in ("low", "high")]
    curve = few.without_few(curve, sure)
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
        elinewidth=0.9,
        alpha=0.5,
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
    for budget in BUDGETS:
        if left < budget < right:
            axes.axvline(budget, color="#999999", linewidth=0.5, linestyle=(0, (4, 3)), zorder=0.5)
            axes.annotate(
                f"{budget:g} s",
                (budget, 0.015),
                xycoords=("data", "axes fraction"),
                # along its line; the second of two near ones on its other side
                xytext=(-1 if budget <= CLOSE else 1, 0),
                textcoords="offset points",
                rotation=90,
                ha="right" if budget <= CLOSE else "left",
                va="bottom",
                fontsize=style.SMALL - 0.5,
                color=style.GREY,
            )


def _limit(
    axes: Axes, points: pd.DataFrame, before: float, documents: dict[str, pd.Series]
) -> None:
    """Limits that leave out what is far worse than no training: by more than the best is better."""
    lowest = min(points["bits_per_byte"].min(), before)
    room = 0.12 * (before - lowest) or 0.01
    sure = few.without_few(points, ["difference_low"])
    ends = (before + sure["difference_low"]).min()  # of whiskers; not a number without any
    bottom = max(ends, lowest - 4 * room) if ends < lowest else lowest
    better = points[points["bits_per_byte"] < before]
    near = points[points["bits_per_byte"] <= 2 * before - lowest]
    seen = (near if len(near) else points)["seconds"]
    axes.set_xscale("log")
    axes.set_xlim(seen.min() / 1.6, 1.6 * seen.max())
    top = max(before, near["bits_per_byte"].max()) if len(near) else before
    for method in better["method"].unique():
        if method in documents:
            bottom, top = min(bottom, documents[method].min()), max(top, documents[method].max())
    axes.set_ylim(bottom - 1.5 * room, top + 2 * room)
    style.plain_log_ticks(axes.xaxis)


def _note(
    table: pd.DataFrame, looks: dict[str, dict[str, Any]], idle: list[str], cut: list[str]
) -> str:
    alike = table[table["alike"]]
    first = alike.iloc[0]
    thin = [method for method in tables.names(alike, "method") if method not in looks]
    others = tables.names(table[~table["alike"]], "method")
    unknown = sorted(
        {part for parts in alike["not_counted"].dropna() for part in parts.split("; ") if part}
    )
    sentences = [
        f"Means over documents ({first.documents:,} of {first.model} in {first.tasks} "
        f"task{'' if first.tasks == 1 else 's'}) of the tasks that all methods of a model have, by "
        "the Pile's weights. Points: numbers of neighbours, joined by steps; filled: nothing as "
        "cheap is as good; grey, below: what nothing reached. "
        f"{_uncertainty(alike)} Seconds are of selection, training and one evaluation, on a "
        "logarithmic axis; bits per byte do not start at 0. Dashed: budgets.",
    ]
    if cut:
        sentences.append(
            "Cut off, where they are worse than before by more than the best is better: "
            f"{', '.join(cut)}."
        )
    if idle:
        sentences.append(
            f"Not shown, for they left every document exactly as it was before: {', '.join(idle)}."
        )
    if unknown:
        sentences.append(f"Not counted, for nobody measured it: {', '.join(unknown)}.")
    if thin:
        sentences.append(f"Thin: {', '.join(thin)}.")
    if others:
        sentences.append(
            f"Not shown, for they are of other text or fewer tasks: {', '.join(others)}."
        )
    return " ".join(sentences)


def _uncertainty(alike: pd.DataFrame) -> str:
    """What whiskers or dots are."""
    sparse = few.few(alike)
    said = (
        f"Whiskers: {100 * alike['confidence'].iloc[0]:g} % bootstrap intervals, of the paired "
        "change from before and of seconds."
    )
    dots = (
        "Small marks: single documents after a method's most neighbours, where there are fewer "
        f"than {FEW}, too few for intervals; each one's change, from the mean before."
    )
    if not sparse.any():
        return said
    return dots if sparse.all() else f"{said} {dots}"
