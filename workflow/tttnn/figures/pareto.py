"""The figure of what an improvement costs: bits per byte by seconds and by tokens, by method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tttnn.figures import style, tables
from tttnn.pile import TASKS
from tttnn.scores.estimates import pile_weights

CURVES = 8
"""Methods with a curve of their own; more are thin and named in the note."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
COSTS = {
    "seconds": "seconds a document, evaluated once",
    "train_tokens": "tokens trained on a document",
}
SAME = 1e-3
"""Relative difference between methods' bits per byte before training that is rounding alone."""

LABEL = 0.052
"""Height of a label beside the curves, of the panel's."""


def pareto(folder: Path) -> Figure:
    """Bits per byte by what it took, a curve a method, and the methods nothing is better than."""
    table = tables.read(folder, "efficiency")
    main = tables.main_method(table)
    numbers = {model: k for k, model in enumerate(tables.names(table, "model"))}
    for model in numbers:
        methods, others = _comparable(table[table["model"] == model], main)
        if len(methods) > 1:
            break
    else:
        raise ValueError(
            f"the figure compares {main!r} with other methods of whole documents, and none was "
            "evaluated: add one to evaluate.methods, or take the figure out of `figures`"
        )
    table = table[(table["model"] == model) & table["method"].isin(methods)]
    means, tasks = weighted_means(table)
    before = means.loc[(main, 0), "bits_per_byte"]
    fronts = {cost: front(means, cost) for cost in COSTS}
    winners = {method for points in fronts.values() for method, _ in points}
    shown = _chosen(means, main, winners)
    looks = {
        method: {
            "color": style.colour(numbers[model]) if method in winners else style.GREY,
            "marker": MARKERS[number],
            "linewidth": 1.8 if method == main else 1.0,
        }
        for number, method in enumerate(shown)
    }
    figure = style.new_figure(style.PAGE, 3.2)
    grid = figure.subplots(1, 2, sharey=True)
    for axes, (cost, name) in zip(grid, COSTS.items(), strict=True):
        for method in methods:
            curve = means.loc[method]
            curve = curve[(curve.index > 0) & (curve[cost] > 0)]
            look = looks.get(method, {"color": style.GREY, "linewidth": 0.4})
            axes.plot(curve[cost], curve["bits_per_byte"], **look, markerfacecolor="white")
        points = means.loc[fronts[cost]]
        axes.plot(
            points[cost],
            points["bits_per_byte"],
            drawstyle="steps-post",
            color="black",
            linewidth=0.8,
            linestyle=":",
        )
        for (method, _), point in points.iterrows():
            if method in looks:  # in front of the front
                axes.plot(point[cost], point["bits_per_byte"], **looks[method], zorder=4)
        axes.axhline(before, color="black", linewidth=0.6)
        axes.set_xscale("log")
        axes.set_xlabel(name)
        axes.grid(axis="y")
    lowest = means["bits_per_byte"].min()
    room = 0.12 * (before - lowest) or 0.01
    grid[0].set_ylim(lowest - room, before + 2 * room)  # what is far worse is not in question
    better = means[means["bits_per_byte"] < before]
    better = better[better.index.get_level_values("num_neighbors") > 0]
    for axes, cost in zip(grid, COSTS, strict=True):
        seen = better.loc[better[cost] > 0, cost]
        if len(seen):
            axes.set_xlim(seen.min() / 1.5, 1.5 * seen.max())
    grid[0].set_ylabel("bits per byte")
    grid[0].annotate(
        "before",
        (0, before),
        xycoords=("axes fraction", "data"),
        xytext=(2, 2),
        textcoords="offset points",
        fontsize=style.SMALL,
    )
    _name_curves(grid[1], means, looks)
    thin = [method for method in methods if method not in looks]
    counts = table[table["task"].isin(tasks)].groupby("task")["documents"].first()
    style.write_note(
        figure,
        f"{model}, {counts.sum():,} documents of {len(tasks)} tasks that all were evaluated on, "
        f"weights renormalised ({', '.join(TASKS[task].pile_set_name for task in tasks)}). Points: "
        "numbers of neighbors; filled: nothing is better for less, dotted: their front. Grey: "
        "never on it. Means over documents; seconds are of adaptation and one evaluation, tokens "
        "those trained on, or read by methods that train nothing."
        + (f" Thin: {', '.join(thin)}." if thin else "")
        + (f" Not shown, for they start elsewhere: {', '.join(others)}." if others else ""),
    )
    return figure


def _comparable(table: pd.DataFrame, main: str) -> tuple[list[str], list[str]]:
    """Methods that start where the main one does, on all tasks of both; and those that do not.

    Others evaluate other text, such as second halves, or keep what earlier documents taught them.
    """
    starts = table[table["num_neighbors"] == 0].pivot(
        index="task", columns="method", values="bits_per_byte"
    )
    if main not in starts:
        return [], []
    away = (starts.sub(starts[main], axis=0).abs().div(starts[main], axis=0) > SAME).any()
    names = tables.names(table, "method")
    return [name for name in names if not away[name]], [name for name in names if away[name]]


def weighted_means(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Columns by method and number of neighbors, over the tasks of all methods; and those tasks.

    Raises `ValueError` if the methods share no task.
    """
    methods = tables.names(table, "method")
    of_each = table.groupby("task")["method"].nunique()
    shared = [task for task in TASKS if of_each.get(task) == len(methods)]
    if not shared:
        raise ValueError(
            f"{', '.join(methods)} were evaluated on no common task: give them one, or take the "
            "figure out of `figures`"
        )
    columns = ["bits_per_byte", *COSTS]
    rows = table.set_index(["task", "method", "num_neighbors"])[columns]
    return sum(w * rows.loc[task] for task, w in pile_weights(shared).items()), shared


def front(means: pd.DataFrame, cost: str) -> list[tuple[str, int]]:
    """The methods and numbers of neighbors that nothing as cheap is as good as, cheapest first.

    No adaptation is left out, as is what costs nothing or is no better than it.
    """
    neighbors = means.index.get_level_values("num_neighbors")
    zero = means[neighbors == 0]["bits_per_byte"]
    ranked = means[(neighbors > 0) & (means[cost] > 0)].sort_values(
        [cost, "bits_per_byte"], kind="stable"
    )
    best, found = zero.min(), []
    for point, value in ranked["bits_per_byte"].items():
        if value < best:
            best = value
            found.append(point)
    return found


def _chosen(means: pd.DataFrame, main: str, winners: set[str]) -> list[str]:
    """The main method, those on a front, then the best ones, up to `CURVES`."""
    best = means["bits_per_byte"].groupby("method").min().sort_values(kind="stable")
    ranked = sorted(best.index, key=lambda method: (method != main, method not in winners))
    return ranked[:CURVES]


def _name_curves(axes: Axes, means: pd.DataFrame, looks: dict[str, dict]) -> None:
    """Names to the right of the panel, each led to from its curve's last point."""
    low, high = axes.get_ylim()
    first = axes.get_xlim()[0]  # a curve may end before it
    ends = {}
    for method in looks:
        curve = means.loc[method]
        end = curve[curve["train_tokens"] > 0].iloc[-1:]
        for row in end.itertuples():
            ends[method] = (max(row.train_tokens, first), row.bits_per_byte)
    ranked = sorted(ends, key=lambda method: ends[method][1])
    places = spread([np.clip((ends[m][1] - low) / (high - low), 0, 1) for m in ranked], LABEL)
    for method, place in zip(ranked, places, strict=True):
        axes.annotate(
            method,
            ends[method],
            xytext=(1.12, place),
            textcoords="axes fraction",
            va="center",
            fontsize=style.SMALL + 0.5,
            color=looks[method]["color"],
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": style.GREY,
                "linewidth": 0.3,
                "relpos": (0, 0.5),
            },
        )
        axes.plot(1.09, place, **looks[method], transform=axes.transAxes, clip_on=False)


def spread(places: list[float], gap: float) -> list[float]:
    """Ascending places moved as little upwards, then down from 1, as it takes to be `gap` apart."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    for k in range(len(moved) - 1, -1, -1):
        above = moved[k + 1] - gap if k + 1 < len(moved) else 1.0
        moved[k] = min(moved[k], above)
    return moved
