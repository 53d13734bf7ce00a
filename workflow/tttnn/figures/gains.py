"""Figures that compare two states of every task: a row a task, a panel a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tttnn.figures import style, tables
from tttnn.figures.panels import dots, new_panels, separate, whiskers
from tttnn.figures.tables import View
from tttnn.pile import ALL


def _note(folder: Path, rows: pd.DataFrame, *more: str, counted: str = "documents") -> str:
    count = rows.xs(ALL, level="task")["tasks"].min()
    return " ".join(
        [
            f"In parentheses: {counted}.",
            *more,
            tables.intervals(rows, "Whiskers"),
        ]
    ) + tables.absence(tables.read(folder, "tasks"), count)


def before_after(folder: Path, view: View = tables.EVERYTHING) -> Figure:
    """Bits per byte before and after training on all neighbours (paper figures 5, 11 and 12)."""
    differences = tables.read(folder, "differences")
    scores = tables.read(folder, "scores").query("metric == 'bits_per_byte'")
    method = view.method or tables.main_method(differences)
    rows = view.rows(tables.trained(differences, method))
    kept = tables.trained(differences, method, "clean") if view.clean else None
    tasks, models = tables.present(rows), tables.numbered_models(differences, rows)
    neighbors = rows["num_neighbors"].iloc[0]
    shown = (scores["method"] == method) & scores["num_neighbors"].isin([0, neighbors])
    scores = view.rows(scores[shown])
    scores = scores.set_index(["model", "num_neighbors", "task"])
    scores = scores.sort_index()
    figure, panels = new_panels(models, [tables.label(rows, task) for task in tasks])
    # room for the percentages
    limit = (1.22 if kept is None else 1.5) * scores["high"].fillna(scores["value"]).max()
    for axes, (model, number) in zip(panels, models.items(), strict=True):
        colour = style.colour(number)
        y = np.arange(len(tasks))
        for offset, point, fill in ((-0.2, 0, "none"), (0.2, neighbors, colour)):
            state = scores.loc[model, point].reindex(tasks)
            axes.barh(y + offset, state["value"], 0.36, facecolor=fill, edgecolor=colour, lw=0.7)
            axes.errorbar(
                state["value"],
                y + offset,
                xerr=whiskers(state["value"], state["low"], state["high"]),
                fmt="none",
                ecolor="black",
                elinewidth=0.6,
            )
        ends = scores.loc[model].groupby("task")[["value", "high"]].max().max(axis=1)
        for place, task in enumerate(tasks):
            if (model, task) in rows.index:
                axes.annotate(
                    _percentages(rows, kept, (model, task)),
                    (ends[task], place),
                    xytext=(3, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=style.SMALL,
                )
        separate(axes, 0)
        axes.set_xlim(0, limit)
        axes.set_xlabel("bits per byte")
    style.legend_above(
        figure,
        [
            Patch(facecolor="none", edgecolor="black", lw=0.7, label="before"),
            Patch(facecolor="black", label=f"after {neighbors} neighbours ({method})"),
        ],
    )
    style.write_note(figure, _note(folder, rows, *_meaning(rows, kept)) + view.note)
    return figure


def _meaning(rows: pd.DataFrame, kept: pd.DataFrame | None) -> list[str]:
    ratio = "Percentages: after training, relative to before"
    if kept is None:
        return [f"{ratio}."]
    return [
        f"{ratio}, of all documents | of clean ones, which no neighbour nearly copies "
        "(\N{EN DASH}: none is clean).",
        *_tasks_of_clean(rows, kept),
    ]


def _percentages(rows: pd.DataFrame, kept: pd.DataFrame | None, cell: tuple[str, str]) -> str:
    text = f"{100 * rows.loc[cell, 'ratio']:.0f} %"
    if kept is None:
        return text
    clean = f"{100 * kept.loc[cell, 'ratio']:.0f} %" if cell in kept.index else "\N{EN DASH}"
    return f"{text} | {clean}"


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
    figure, panels = new_panels(models, labels)
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
                xerr=whiskers(value, low, high),
                **dots(colour, filled),
                ecolor=colour,
                elinewidth=0.8,
            )
        axes.axvline(0, color="black", linewidth=0.6)
        if tasks[0] == ALL:
            separate(axes, 0)
        axes.set_xlabel("change in bits per byte (%)")
    style.legend_above(
        figure,
        [style.line_handle(name, **dots("black", filled)) for name, _, filled in series],
    )
    style.write_note(figure, note)
    return figure


def _tasks_of_clean(raw: pd.DataFrame, kept: pd.DataFrame) -> list[str]:
    """A sentence if the mean of clean documents is over fewer tasks."""
    if kept.empty:
        return []
    over = [rows.xs(ALL, level="task")["tasks"].min() for rows in (raw, kept)]
    few = f"Weighted mean of clean documents: over {over[1]} tasks."
    return [few] if over[1] < over[0] else []


def control(folder: Path) -> Figure:
    """The gain from nearest neighbours beside that from random ones."""
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
            (f"{main} ({counts[0]} neighbours)", nearest, True),
            (f"{random} ({counts[1]} random neighbours)", drawn, False),
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
            f"no document of method {main!r} is clean of overlap with its neighbours: raise "
            "score.clean_below, or take the figure out of `figures`"
        )
    tasks, models = tables.present(raw), tables.numbered_models(differences, raw)

    def documents(rows: pd.DataFrame, task: str) -> int:
        counts = rows[rows.index.get_level_values("task") == task]["documents"]
        return counts.iloc[0] if len(counts) else 0

    labels = [
        f"{tables.title(task, raw.xs(task, level='task')['tasks'].min())} "
        f"({documents(kept, task):,} of {documents(raw, task):,})"
        for task in tasks
    ]
    return compare_changes(
        [("all documents", raw, False), ("clean documents", kept, True)],
        labels,
        tasks,
        models,
        _note(folder, raw, *_tasks_of_clean(raw, kept), counted="clean documents, of all"),
    )
