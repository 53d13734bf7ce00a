"""The figure of what an improvement costs: bits per byte by seconds and by tokens, by method."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

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

Point = tuple[str, int]
"""A method and a number of neighbours."""


class Comparison(NamedTuple):
    """A model, its methods that start where the main one does, and those that start elsewhere.

    The latter evaluate other text, such as second halves, or keep what earlier documents taught
    them.
    """

    model: str
    methods: list[str]
    others: list[str]


def pareto(folder: Path) -> Figure:
    """Bits per byte by what it took, a curve a method, and the methods nothing is better than."""
    table = tables.read(folder, "efficiency")
    main = tables.main_method(table)
    compared = _compared(table, main)
    colour = style.colour(tables.names(table, "model").index(compared.model))
    table = table[(table["model"] == compared.model) & table["method"].isin(compared.methods)]
    means, tasks = weighted_means(table)
    before = means.loc[(main, 0), "bits_per_byte"]
    fronts = {cost: front(means, cost) for cost in COSTS}
    looks = _looks(
        means, main, {method for points in fronts.values() for method, _ in points}, colour
    )
    figure = style.new_figure(style.PAGE, 3.2)
    grid = figure.subplots(1, 2, sharey=True)
    for axes, (cost, name) in zip(grid, COSTS.items(), strict=True):
        for method in compared.methods:
            _draw_curve(axes, means.loc[method], cost, looks.get(method))
        _draw_front(axes, means.loc[fronts[cost]], cost, looks)
        axes.axhline(before, color="black", linewidth=0.6)
        axes.set_xscale("log")
        axes.set_xlabel(name)
        axes.grid(axis="y")
    _limit(grid, means, before)
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
    style.write_note(figure, _note(table, compared, tasks, looks))
    return figure


def _compared(table: pd.DataFrame, main: str) -> Comparison:
    """The first model that was evaluated with the main method and with one to compare it with."""
    for model in tables.names(table, "model"):
        compared = _comparable(table[table["model"] == model], model, main)
        if len(compared.methods) > 1:
            return compared
    raise ValueError(
        f"the figure compares {main!r} with other methods of whole documents, and none was "
        "evaluated: add one to evaluate.methods, or take the figure out of `figures`"
    )


def _comparable(table: pd.DataFrame, model: str, main: str) -> Comparison:
    """By bits per byte before training, on all tasks of the main method and the other."""
    starts = table[table["num_neighbors"] == 0].pivot(
        index="task", columns="method", values="bits_per_byte"
    )
    if main not in starts:
        return Comparison(model, [], [])
    away = (starts.sub(starts[main], axis=0).abs().div(starts[main], axis=0) > SAME).any()
    names = tables.names(table, "method")
    return Comparison(
        model, [name for name in names if not away[name]], [name for name in names if away[name]]
    )


def _looks(
    means: pd.DataFrame, main: str, winners: set[str], colour: str
) -> dict[str, dict[str, Any]]:
    """How the lines and marks of each method with a curve of its own are drawn."""
    return {
        method: {
            "color": colour if method in winners else style.GREY,
            "marker": MARKERS[number],
            "linewidth": 1.8 if method == main else 1.0,
        }
        for number, method in enumerate(_chosen(means, main, winners))
    }


def _draw_curve(axes: Axes, curve: pd.DataFrame, cost: str, look: dict[str, Any] | None) -> None:
    """A method's points, hollow; a thin line without `look`."""
    curve = curve[(curve.index > 0) & (curve[cost] > 0)]
    look = look or {"color": style.GREY, "linewidth": 0.4}
    axes.plot(curve[cost], curve["bits_per_byte"], **look, markerfacecolor="white")


def _draw_front(
    axes: Axes, points: pd.DataFrame, cost: str, looks: dict[str, dict[str, Any]]
) -> None:
    """A dotted line through the points that nothing as cheap is as good as, and these, filled."""
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


def _limit(grid: np.ndarray, means: pd.DataFrame, before: float) -> None:
    """Limits that leave out what is far worse than no training, which is not in question."""
    room = 0.12 * (before - means["bits_per_byte"].min()) or 0.01
    grid[0].set_ylim(means["bits_per_byte"].min() - room, before + 2 * room)
    better = means[means["bits_per_byte"] < before]
    better = better[better.index.get_level_values("num_neighbors") > 0]
    for axes, cost in zip(grid, COSTS, strict=True):
        seen = better.loc[better[cost] > 0, cost]
        if len(seen):
            axes.set_xlim(seen.min() / 1.5, 1.5 * seen.max())


def _note(
    table: pd.DataFrame, compared: Comparison, tasks: list[str], looks: dict[str, dict[str, Any]]
) -> str:
    thin = [method for method in compared.methods if method not in looks]
    counts = table[table["task"].isin(tasks)].groupby("task")["documents"].first()
    return (
        f"{compared.model}, {counts.sum():,} documents of {len(tasks)} tasks that all were "
        "evaluated on, weights renormalised "
        f"({', '.join(TASKS[task].pile_set_name for task in tasks)}). Points: "
        "numbers of neighbours; filled: nothing is better for less, dotted: their front. Grey: "
        "never on it. Means over documents; seconds are of adaptation and one evaluation, tokens "
        "those trained on, or read by methods that train nothing."
        + (f" Thin: {', '.join(thin)}." if thin else "")
        + (
            f" Not shown, for they start elsewhere: {', '.join(compared.others)}."
            if compared.others
            else ""
        )
    )


def weighted_means(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Columns by method and number of neighbours, over the tasks of all methods; and those tasks.

    Raises `ValueError` if the methods share no task.
    """
    methods = tables.names(table, "method")
    evaluated = table.groupby("task")["method"].nunique()
    shared = [task for task in TASKS if evaluated.get(task) == len(methods)]
    if not shared:
        raise ValueError(
            f"{', '.join(methods)} were evaluated on no common task: give them one, or take the "
            "figure out of `figures`"
        )
    columns = ["bits_per_byte", *COSTS]
    rows = table.set_index(["task", "method", "num_neighbors"])[columns]
    return sum(w * rows.loc[task] for task, w in pile_weights(shared).items()), shared


def front(means: pd.DataFrame, cost: str) -> list[Point]:
    """The methods and numbers of neighbours that nothing as cheap is as good as, cheapest first.

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


def _name_curves(axes: Axes, means: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
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
