"""Figures that compare two states of every task: a row a task, a panel a model."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tttnn.figures import style, tables
from tttnn.figures.tables import Selection
from tttnn.pile import ALL

PANELS = 4
"""Panels side by side, at most."""


def _panels(models: Collection[str], labels: list[str]) -> tuple[Figure, list[Axes]]:
    rows = -(-len(models) // PANELS)
    columns = -(-len(models) // rows)
    width = style.PAGE if columns > 1 else 0.75 * style.PAGE
    pitch = 0.19 if rows == 1 else 0.15  # two rows of panels have to fit a page
    figure = style.new_figure(width, rows * (pitch * len(labels) + 0.7) + 0.7)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, model in zip(grid, models, strict=False):
        axes.set_title(model)
        axes.tick_params(axis="x", labelbottom=True)
    for axes in grid[len(models) :]:
        axes.remove()
    style.name_rows(grid[0], labels)
    for axes in grid[1 : len(models)]:
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
    return figure, list(grid[: len(models)])


def _whiskers(value: pd.Series, low: pd.Series, high: pd.Series) -> np.ndarray:
    # a percentile interval need not hold the estimate itself
    return np.vstack([(value - low).clip(lower=0), (high - value).clip(lower=0)])


def _separate_all(axes: Axes) -> None:
    axes.axhline(0.5, color=style.GREY, linewidth=0.6)


def _note(folder: Path, rows: pd.DataFrame, *more: str, counted: str = "documents") -> str:
    count = rows.xs(ALL, level="task")["tasks"].min()
    return " ".join(
        [
            f"In parentheses: {counted}.",
            *more,
            tables.intervals(rows, "Whiskers"),
        ]
    ) + tables.absence(tables.read(folder, "tasks"), count)


def before_after(folder: Path, chosen: Selection = tables.EVERYTHING) -> Figure:
    """Bits per byte before and after training on all neighbors (paper figures 5, 11 and 12)."""
    differences = tables.read(folder, "differences")
    scores = tables.read(folder, "scores").query("metric == 'bits_per_byte'")
    method = chosen.method or tables.main_method(differences)
    rows = chosen.rows(tables.trained(differences, method))
    tasks, models = tables.present(rows), tables.numbered_models(differences, rows)
    neighbors = rows["num_neighbors"].iloc[0]
    shown = (scores["method"] == method) & scores["num_neighbors"].isin([0, neighbors])
    scores = chosen.rows(scores[shown])
    scores = scores.set_index(["model", "num_neighbors", "task"])
    scores = scores.sort_index()
    figure, panels = _panels(models, [tables.label(rows, task) for task in tasks])
    limit = 1.22 * scores["high"].fillna(scores["value"]).max()
    for axes, (model, number) in zip(panels, models.items(), strict=True):
        colour = style.colour(number)
        y = np.arange(len(tasks))
        for offset, point, fill in ((-0.2, 0, "none"), (0.2, neighbors, colour)):
            state = scores.loc[model, point].reindex(tasks)
            axes.barh(y + offset, state["value"], 0.36, facecolor=fill, edgecolor=colour, lw=0.7)
            axes.errorbar(
                state["value"],
                y + offset,
                xerr=_whiskers(state["value"], state["low"], state["high"]),
                fmt="none",
                ecolor="black",
                elinewidth=0.6,
            )
        ends = scores.loc[model].groupby("task")[["value", "high"]].max().max(axis=1)
        for place, task in enumerate(tasks):
            if (model, task) in rows.index:
                text = f"{100 * rows.loc[(model, task), 'ratio']:.0f} %"
                axes.annotate(
                    text,
                    (ends[task], place),
                    xytext=(3, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=style.SMALL,
                )
        _separate_all(axes)
        axes.set_xlim(0, limit)
        axes.set_xlabel("bits per byte")
    style.legend_above(
        figure,
        [
            Patch(facecolor="none", edgecolor="black", lw=0.7, label="before"),
            Patch(facecolor="black", label=f"after {neighbors} neighbors ({method})"),
        ],
    )
    style.write_note(
        figure,
        _note(folder, rows, "Percentages: after training, relative to before.") + chosen.note,
    )
    return figure


def compare_changes(
    series: list[tuple[str, pd.DataFrame, bool]],
    labels: list[str],
    tasks: list[str],
    models: dict[str, int],
    note: str,
) -> Figure:
    """Change in bits per byte by task, a panel a model: two series, each (name, rows, filled).

    Rows are indexed by model and task and hold `ratio` (after by before) and its interval.
    """
    figure, panels = _panels(models, labels)
    for axes, (model, number) in zip(panels, models.items(), strict=True):
        colour = style.colour(number)
        for offset, (_, rows, filled) in zip((-0.17, 0.17), series, strict=True):
            if model not in rows.index:
                continue
            state = rows.loc[model].reindex(tasks)
            value, low, high = (100 * (state[c] - 1) for c in ("ratio", "ratio_low", "ratio_high"))
            axes.errorbar(
                value,
                np.arange(len(tasks)) + offset,
                xerr=_whiskers(value, low, high),
                **_dots(colour, filled),
                ecolor=colour,
                elinewidth=0.8,
            )
        axes.axvline(0, color="black", linewidth=0.6)
        if tasks[0] == ALL:
            _separate_all(axes)
        axes.set_xlabel("change in bits per byte (%)")
    style.legend_above(
        figure,
        [style.line_handle(name, **_dots("black", filled)) for name, _, filled in series],
    )
    style.write_note(figure, note)
    return figure


def _dots(colour: str, filled: bool) -> dict[str, Any]:
    face = colour if filled else "white"
    marker = "o" if filled else "D"
    return {"linestyle": "none", "marker": marker, "color": colour, "markerfacecolor": face}


def control(folder: Path) -> Figure:
    """The gain from nearest neighbors beside that from random ones."""
    differences = tables.read(folder, "differences")
    main, random = tables.main_method(differences), tables.control_method(differences)
    nearest, drawn = tables.trained(differences, main), tables.trained(differences, random)
    tasks = [task for task in tables.present(nearest) if task in tables.present(drawn)]
    if nearest.xs(ALL, level="task")["tasks"].max() != drawn.xs(ALL, level="task")["tasks"].max():
        tasks.remove(ALL)  # means over different tasks do not compare
    models = tables.numbered_models(differences, drawn)
    counts = [rows["num_neighbors"].iloc[0] for rows in (nearest, drawn)]
    return compare_changes(
        [
            (f"{main} ({counts[0]} neighbors)", nearest, True),
            (f"{random} ({counts[1]} random neighbors)", drawn, False),
        ],
        [tables.label(nearest, task) for task in tasks],
        tasks,
        models,
        _note(folder, nearest, "Left of zero: training helps."),
    )


def clean(folder: Path) -> Figure:
    """The gain on all documents beside that on documents without near-copies in the index."""
    differences = tables.read(folder, "differences")
    main = tables.main_method(differences)
    raw, kept = (tables.trained(differences, main, kind) for kind in ("raw", "clean"))
    if kept.empty:
        raise ValueError(
            f"no document of method {main!r} is clean of overlap with its neighbors: raise "
            "score.clean_below, or take the figure out of `figures`"
        )
    tasks, models = tables.present(raw), tables.numbered_models(differences, raw)

    def documents(rows: pd.DataFrame, task: str) -> int:
        counts = rows[rows.index.get_level_values("task") == task]["documents"]
        return counts.iloc[0] if len(counts) else 0

    over = {rows.xs(ALL, level="task")["tasks"].min() for rows in (raw, kept)}
    more = [f"Weighted mean of clean documents: over {min(over)} tasks."] if len(over) > 1 else []
    labels = [
        f"{tables.title(task, raw.xs(task, level='task')['tasks'].min())} "
        f"({documents(kept, task):,} of {documents(raw, task):,})"
        for task in tasks
    ]
    return compare_changes(
        [("all documents", raw, True), ("clean documents", kept, False)],
        labels,
        tasks,
        models,
        _note(folder, raw, *more, counted="clean documents, of all"),
    )
