"""A panel a model over rows they share: what the figures of rows are laid out with."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tttnn.figures import style

CROSS: dict[str, Any] = {"marker": "x", "markersize": 3, "markeredgewidth": 0.7}
"""Of a document with a near-copy, among small dots."""

PANELS = 4
"""Panels side by side, at most."""


def new_panels(models: Collection[str], labels: list[str]) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each of `models`, and a row for each of `labels`."""
    rows = -(-len(models) // PANELS)
    columns = -(-len(models) // rows)
    width = style.PAGE if columns > 1 else 0.75 * style.PAGE
    pitch = 0.19 if rows == 1 else 0.15  # two rows of panels have to fit a page
    titles = [style.broken(model) for model in models]
    above = 0.7 + 0.14 * max(title.count("\n") for title in titles)  # inches, with what is below
    figure = style.new_figure(width, rows * (pitch * len(labels) + above) + 0.7)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, title in zip(grid, titles, strict=False):
        axes.set_title(title)
        axes.tick_params(axis="x", labelbottom=True)
    for axes in grid[len(models) :]:
        axes.remove()
    style.name_rows(grid[0], labels)
    for axes in grid[1 : len(models)]:
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
    return figure, list(grid[: len(models)])


def label_rows(axes: Axes, labels: list[str]) -> None:
    """A label to the right of each row, outside the panel, where no line of the grid is."""
    for place, label in enumerate(labels):
        axes.annotate(
            label,
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL,
            annotation_clip=False,
        )


def whiskers(value: pd.Series, low: pd.Series, high: pd.Series) -> np.ndarray:
    """[2, n], lengths to the left and right, as `errorbar` takes them."""
    # a percentile interval need not hold the estimate itself
    return np.vstack([(value - low).clip(lower=0), (high - value).clip(lower=0)])


def dots(colour: str, filled: bool) -> dict[str, Any]:
    """Style of dots without a line; of two series, one is filled and round, one is not."""
    face = colour if filled else "white"
    marker = "o" if filled else "D"
    return {"linestyle": "none", "marker": marker, "color": colour, "markerfacecolor": face}


def separate(axes: Axes, place: int) -> None:
    """A line below the row `place`."""
    axes.axhline(place + 0.5, color=style.GREY, linewidth=0.6)
