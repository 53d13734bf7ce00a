"""The figure of what a document gains by how much of it its neighbours hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tttnn.figures import style, tables
from tttnn.reading import read_parquet

TICKS = (0.01, 0.1, 1)
PANELS = 3
"""Panels side by side, at most."""

NOTHING = -0.0045
"""Where documents without any overlap end: from 0 they are spread to here, to be counted."""

EDGES = (-0.006, 1.3)
"""Ends of the axis, so that no point is on the frame."""

GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, are spread evenly however many there are."""

MANY = 5000
"""Points beyond which a panel's are an image inside the vector drawing."""

COLUMNS = ["model", "method", "overlap", "before", "after", "copied", "exact", "num_neighbors"]


def overlap(folder: Path) -> Figure:
    """Relative change in bits per byte by overlap with the neighbours: a point a document."""
    path = folder / "documents.parquet"
    table = read_parquet(path, COLUMNS)
    if table.empty:
        raise ValueError(f"{path} has no rows: take the figures that need it out of `figures`")
    method = tables.main_method(table)
    looks = style.looks(tables.names(table, "model"))
    rows = table[table["method"] == method]
    models = tables.names(rows, "model")
    lines = -(-len(models) // PANELS)
    columns = -(-len(models) // lines)
    figure = style.new_figure(style.PAGE if columns > 1 else style.COLUMN, 2.2 * lines + 0.6)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for place, (axes, model) in enumerate(zip(grid, models, strict=False)):
        shown = rows[rows["model"] == model]
        colour = looks[model].colour
        for _, kind, look in _kinds(shown, colour):
            (points,) = axes.plot(
                _spread(kind["overlap"].to_numpy()),
                100 * (kind["after"] / kind["before"] - 1),
                **look,
                alpha=0.6,
                rasterized=len(shown) > MANY,
                clip_on=False,
            )
            points.set_in_layout(False)  # or its markers at the edge would push panels apart
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set_title(style.broken(f"{model} (n = {len(shown):,})"))
        axes.set_xscale("symlog", linthresh=0.01, linscale=0.4)
        axes.axvspan(EDGES[0], -0.00075, color="#f3f3f3", linewidth=0, zorder=0)
        axes.set_xlim(*EDGES)
        axes.set_xticks([NOTHING / 2, *TICKS], ["0", *(f"{tick:g}" for tick in TICKS)])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelbottom=True)
        axes.grid(axis="y")
        axes.set_xlabel("overlap (share of n-grams)")
        if place % columns == 0:
            axes.set_ylabel("change in bits per byte (%)")
    for axes in grid[len(models) :]:
        axes.remove()
    kinds = _kinds(rows[rows["model"] == models[0]], "black")
    counts = [
        style.line_handle(f"{name} ({len(kind):,})", **look)
        for name, kind, look in kinds
        if len(kind)
    ]
    style.legend_above(figure, counts)
    style.write_note(
        figure,
        f"A point is a document, under {rows['num_neighbors'].iloc[0]} neighbours ({method}); "
        "below zero: training helps. Overlap: the largest share of the document's word n-grams "
        "that one neighbour holds; on a logarithmic axis from 0.01, and documents with none on the "
        "grey strip, spread sideways to be counted. In parentheses: documents.",
    )
    return figure


def _spread(overlap: np.ndarray) -> np.ndarray:
    """Overlaps, those that are 0 spread between it and `NOTHING`, by their order alone."""
    spread = overlap.astype(float)
    none = np.flatnonzero(overlap == 0)
    spread[none] = NOTHING * (0.2 + 0.8 * (np.arange(1, len(none) + 1) * GOLDEN % 1))
    return spread


def _kinds(rows: pd.DataFrame, colour: str) -> list[tuple[str, pd.DataFrame, dict[str, object]]]:
    """Documents by how near a copy they have: name, rows and look of each kind."""
    near = rows["copied"] & ~rows["exact"]
    look = {"linestyle": "none", "markersize": 3, "markeredgewidth": 0.7}
    filled = {**look, "marker": "o", "color": colour, "markeredgewidth": 0}
    hollow = {**look, "marker": "D", "color": colour, "markerfacecolor": "none"}
    cross = {**look, "marker": "x", "color": "black", "markersize": 4}
    return [
        ("clean documents", rows[~rows["copied"]], filled),
        ("with a near-copy", rows[near], hollow),
        ("with an exact copy", rows[rows["exact"]], cross),
    ]
