"""Figures of how far neighbours are from the texts they were found for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from tttnn.figures import style, tables
from tttnn.reading import read_parquet
from tttnn.sections.search import RANDOM

SMALLEST = 0.04
"""Share of the nearest pairs that have a panel of their own, as in the paper's figure 3."""

FEW = 25
"""Pairs in that panel, at least, where there are so many."""

BINS = 40
SHOWN = 0.99
"""Share of the random pairs that is shown: the few farthest ones would take most of the room."""

RANKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
NEAR = "#404040"
"""Of nearest neighbours, which are no model's."""

DARKEST, PALEST = 0.0, 0.72
"""Greys of the whole index and of its smallest share."""


def _histogram(axes: Axes, values: np.ndarray, high: float, colour: str, title: str) -> None:
    bins = np.linspace(0, high or 1, BINS + 1).tolist()
    axes.hist(values, bins, weights=np.full(len(values), 100 / len(values)), color=colour)
    axes.set_title(title)
    axes.set_xlim(0, high or 1)
    axes.set_xlabel("Euclidean distance")
    axes.grid(axis="y")


def distances(folder: Path) -> Figure:
    """Distances of nearest neighbours and of random pairs (paper figure 3)."""
    path = folder / "pairs.parquet"
    pairs = read_parquet(path, ["candidates", "distance"])
    if pairs.empty:
        raise ValueError(f"{path} has no rows: take the figures that need it out of `figures`")
    index = next(name for name in pairs["candidates"].unique() if name != RANDOM)
    near = np.sort(pairs.loc[pairs["candidates"] == index, "distance"].to_numpy())
    drawn = pairs.loc[pairs["candidates"] == RANDOM, "distance"].to_numpy()
    count = max(int(np.ceil(SMALLEST * len(near))), min(FEW, len(near)))
    high = max(near[-1], np.quantile(drawn, SHOWN) if len(drawn) else 0)
    panels = [(near, high, NEAR, f"nearest neighbour (n = {len(near):,})")]
    if count < len(near):  # of few pairs they would be the same
        few = f"{100 * count / len(near):.0f} % nearest of these (n = {count:,})"
        panels.append((near[:count], near[count - 1], NEAR, few))
    if len(drawn):
        panels.append((drawn, high, style.GREY, f"random pairs (n = {len(drawn):,})"))
    figure = style.new_figure(style.PAGE if len(panels) > 1 else style.COLUMN, 2.3)
    grid = figure.subplots(1, len(panels), squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=True):
        _histogram(axes, *panel)
    grid[0].set_ylabel("share of pairs (%)")
    random = ""
    if len(drawn):
        beyond = 100 * (drawn > high).mean()
        random = f" Right: the same queries, passages drawn at random ({beyond:.1f} % are beyond)."
    style.write_note(
        figure,
        f"Test queries and their nearest passages in index {index}; a copy is at distance 0."
        f"{random}",
    )
    return figure


def _rank_axis(axes: Axes, ranks: int) -> None:
    axes.set_xscale("log")
    axes.set_xticks([rank for rank in RANKS if rank <= ranks])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("rank of the neighbour")
    axes.grid(axis="y")


def distance_by_rank(folder: Path) -> Figure:
    """Distance by rank, for shares of the index, and its spread (paper figure 4).

    The median of the queries, for a single query whose neighbours of its kind are used up moves
    their mean, and their standard deviation more.
    """
    table = tables.read(folder, "distances")
    table = table[table["embedder"] == table["embedder"].iloc[0]]
    # of two indexes of the same passages, the first
    first = table.groupby("share")["candidates"].transform("first")
    table = table[table["candidates"] == first].sort_values(["share", "rank"])
    shares = list(table["share"].unique())
    largest = table[table["share"] == shares[-1]]
    ranks = int(table["rank"].max())
    figure = style.new_figure(style.PAGE if len(shares) > 1 else style.COLUMN, 2.5)
    grid = figure.subplots(1, 2 if len(shares) > 1 else 1, squeeze=False).ravel()
    if len(shares) > 1:
        greys = np.linspace(PALEST, DARKEST, len(shares))
        for number, (share, grey) in enumerate(zip(shares, greys, strict=True)):
            rows = table[table["share"] == share]
            grid[0].plot(
                rows["rank"],
                rows["p50"],
                color=str(grey),
                linestyle=style.LINES[(len(shares) - 1 - number) % len(style.LINES)],
            )
            grid[0].annotate(
                f"{100 * share:g} %",
                (rows["rank"].iloc[-1], rows["p50"].iloc[-1]),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=style.SMALL,
            )
        _rank_axis(grid[0], ranks)
        grid[0].set_title("by the share of the passages that is indexed")
        grid[0].set_ylabel("median Euclidean distance")
    axes = grid[-1]
    axes.plot(largest["rank"], largest["p50"], color="black", label="median")
    axes.plot(
        largest["rank"], largest["mean"], color=style.GREY, linestyle="--", label="mean", lw=0.9
    )
    axes.fill_between(
        largest["rank"],
        largest["p05"],
        largest["p95"],
        color="black",
        alpha=0.15,
        linewidth=0,
        label="5th to 95th percentile",
    )
    _rank_axis(axes, ranks)
    for panel in grid:
        panel.set_ylim(bottom=0)
    axes.set_title(f"{100 * shares[-1]:g} % of the passages")
    axes.set_ylabel("Euclidean distance")
    axes.legend(loc="lower right")
    named = ", ".join(dict.fromkeys(table["candidates"]))
    style.write_note(
        figure,
        f"Over {largest['queries'].iloc[0]:,} test queries. Indexes: {named}. Embedder: "
        f"{table['embedder'].iloc[0]}. A step of the mean or the band that the median has not "
        "is of few queries: their near passages end there.",
    )
    return figure
