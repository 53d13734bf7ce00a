"""Figures that compare two states of every task: a row a task, a panel a model."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tttnn.figures import few, style, tables
from tttnn.figures.panels import CROSS, dots, label_rows, new_panels, separate, whiskers
from tttnn.figures.tables import View
from tttnn.pile import ALL

STATES = 0.2
"""How far the bars before and after are from the middle of their row."""

DOT = "#303030"
"""Of documents on bars: seen on the filled and on the hollow one."""


def _note(
    folder: Path,
    rows: pd.DataFrame,
    *more: str,
    counted: str = "documents",
    also: pd.DataFrame | None = None,
) -> str:
    """What labels and marks mean, of `rows` and, where they are `also` drawn, of others."""
    said = " ".join(
        [
            f"In parentheses: {counted}.",
            *more,
            few.sentences(pd.concat([rows, also]), "Whiskers", "paired bootstrap"),
        ]
    )
    if ALL not in tables.present(rows):
        return said
    count = rows.xs(ALL, level="task")["tasks"].min()
    return said + tables.absence(tables.read(folder, "tasks"), count)


def before_after(folder: Path, view: View = tables.EVERYTHING) -> Figure:
    """Bits per byte before and after training on all neighbours (paper figures 5, 11 and 12).

    Whiskers are of the paired change, for both bars are of the same documents.
    """
    differences = tables.read(folder, "differences")
    method = view.method or tables.main_method(differences)
    rows = view.rows(tables.trained(differences, method))
    kept = tables.trained(differences, method, "clean") if view.clean else None
    tasks, models = tables.present(rows), tables.looked_models(differences, rows, view)
    neighbors = rows["num_neighbors"].iloc[0]
    documents = few.documents_of_few(folder, rows)
    figure, panels = new_panels(models, [tables.label(rows, task) for task in tasks])
    ends = [rows["before"].max(), rows["after"].max()]
    for axes, (model, look) in zip(panels, models.items(), strict=True):
        state = rows.loc[model].reindex(tasks)
        y = np.arange(len(tasks))
        for offset, name, fill in ((-STATES, "before", "none"), (STATES, "after", look.colour)):
            axes.barh(y + offset, state[name], 0.36, facecolor=fill, edgecolor=look.colour, lw=0.7)
            if documents is not None:
                ends.append(_mark_documents(axes, documents, model, tasks, name, offset))
        if documents is not None:
            _join_documents(axes, documents, model, tasks)
        sure = few.without_few(state, ["low", "high"])
        low, high = state["before"] + sure["low"], state["before"] + sure["high"]
        axes.errorbar(
            state["after"],
            y + STATES,
            xerr=whiskers(state["after"], low, high),
            fmt="none",
            ecolor="black",
            elinewidth=0.8,
        )
        ends.append(high.max())
        label_rows(axes, [_percentages(rows, kept, (model, task)) for task in tasks])
        if tasks[0] == ALL:
            separate(axes, 0)
        axes.set_xlabel("bits per byte")
    panels[0].set_xlim(0, 1.03 * np.nanmax(ends))
    style.legend_above(
        figure,
        [
            Patch(facecolor="none", edgecolor="black", lw=0.7, label="before"),
            Patch(facecolor="black", label=f"after {neighbors} neighbours ({method})"),
            *([] if documents is None else [few.handle("a document, before and after", color=DOT)]),
        ],
    )
    style.write_note(figure, _note(folder, rows, *_meaning(rows, kept)) + view.note)
    return figure


def _of_rows_drawn(
    documents: pd.DataFrame, model: str, tasks: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """A model's documents of the tasks that are drawn, and the row of each."""
    found = documents[documents.index.get_level_values("model") == model]
    found = found[found.index.get_level_values("task").isin(tasks)]
    return found, np.asarray(found.index.get_level_values("task").map(tasks.index), float)


def _join_documents(axes: Axes, documents: pd.DataFrame, model: str, tasks: list[str]) -> None:
    """A line from what each document was before to what it is after."""
    found, places = _of_rows_drawn(documents, model, tasks)
    ends = np.array([found["before"], found["after"]])
    rows = np.array([places - STATES, places + STATES])
    axes.plot(ends, rows, color=DOT, linewidth=0.4, alpha=0.6, zorder=2.2)


def _mark_documents(
    axes: Axes, documents: pd.DataFrame, model: str, tasks: list[str], state: str, offset: float
) -> float:
    """Each document's bits per byte on its task's bar; the greatest."""
    found, places = _of_rows_drawn(documents, model, tasks)
    look = {"markeredgewidth": 0.3, "markeredgecolor": "white", "markersize": few.SIZE + 0.4}
    few.mark(axes, found[state], places + offset, DOT, alpha=1, **look)
    return float(found[state].max()) if len(found) else 0.0


def _meaning(rows: pd.DataFrame, kept: pd.DataFrame | None) -> list[str]:
    ratio = "Percentages: after training, relative to before"
    if kept is None:
        return [f"{ratio}."]
    return [
        f"{ratio}; in brackets, where it is another, of clean documents, which no neighbour nearly "
        "copies (\N{EN DASH}: none is clean).",
        *_tasks_of_clean(rows, kept),
    ]


def _percentages(rows: pd.DataFrame, kept: pd.DataFrame | None, cell: tuple[str, str]) -> str:
    if cell not in rows.index:
        return ""
    text = f"{100 * rows.loc[cell, 'ratio']:.0f} %"
    if kept is None:
        return text
    clean = f"{100 * kept.loc[cell, 'ratio']:.0f} %" if cell in kept.index else "\N{EN DASH}"
    return text if clean == text else f"{text} [{clean.removesuffix(' %')}]"


class Series(NamedTuple):
    """Rows indexed by model and task that hold `ratio` (after by before) and its interval."""

    name: str
    rows: pd.DataFrame
    filled: bool
    documents: pd.DataFrame | None = None  # of rows of few documents, `few.documents_of_few`
    pale: pd.Series | None = None  # of each row, whether its mark is to look less sure


def compare_changes(
    series: list[Series],
    labels: list[str],
    tasks: list[str],
    models: dict[str, style.Look],
    note: str,
    *more: tuple[str, bool],
) -> Figure:
    """Change in bits per byte by task, a panel a model: two series.

    `more` are entries of the legend for documents, each whether it is of near-copies.
    """
    figure, panels = new_panels(models, labels)
    for axes, (model, look) in zip(panels, models.items(), strict=True):
        for offset, one in zip((-0.17, 0.17), series, strict=True):
            if model in one.rows.index:
                _draw_changes(axes, one, model, tasks, look.colour, offset)
        axes.axvline(0, color="black", linewidth=0.6)
        if tasks[0] == ALL:
            separate(axes, 0)
        axes.set_xlabel("change in bits per byte (%)")
    handles = [style.line_handle(one.name, **dots("black", one.filled)) for one in series]
    handles += [few.handle(name, **(CROSS if copied else {})) for name, copied in more]
    style.legend_above(figure, handles)
    style.write_note(figure, note)
    return figure


def _draw_changes(
    axes: Axes, series: Series, model: str, tasks: list[str], colour: str, offset: float
) -> None:
    """A model's marks of a series, with whiskers or, of few, the documents."""
    state = series.rows.loc[model].reindex(tasks)
    sure = few.without_few(state, ["ratio_low", "ratio_high"])
    value, low, high = (100 * (sure[c] - 1) for c in ("ratio", "ratio_low", "ratio_high"))
    y = np.arange(len(tasks)) + offset
    pale = np.zeros(len(tasks), bool)
    if series.pale is not None:
        pale = series.pale.loc[model].reindex(tasks, fill_value=False).to_numpy()
    for part, alpha in ((~pale, 1.0), (pale, 0.35)):
        axes.errorbar(
            value.where(part),
            y,
            xerr=whiskers(value, low, high),
            **dots(colour, series.filled),
            ecolor=colour,
            elinewidth=0.8,
            alpha=alpha,
        )
    if series.documents is None:
        return
    found, places = _of_rows_drawn(series.documents, model, tasks)
    change, places = 100 * (found["after"] / found["before"] - 1), places + offset
    copied = found["copied"].to_numpy(bool)
    few.mark(axes, change[~copied], places[~copied], colour)
    few.mark(axes, change[copied], places[copied], colour, **CROSS)


def _tasks_of_clean(raw: pd.DataFrame, kept: pd.DataFrame) -> list[str]:
    """A sentence if the mean of clean documents is over fewer tasks."""
    if kept.empty:
        return []
    over = [rows.xs(ALL, level="task")["tasks"].min() for rows in (raw, kept)]
    fewer = f"Weighted mean of clean documents: over {over[1]} tasks."
    return [fewer] if over[1] < over[0] else []


def control(folder: Path) -> Figure:
    """The gain from nearest neighbours beside that from as many random ones."""
    differences = tables.read(folder, "differences")
    main, random = tables.main_method(differences), tables.control_method(differences)
    count = tables.most_in_common(differences, main, random)
    nearest, drawn = (tables.trained(differences, name, at=count) for name in (main, random))
    tasks = [task for task in tables.present(nearest) if task in tables.present(drawn)]
    if nearest.xs(ALL, level="task")["tasks"].max() != drawn.xs(ALL, level="task")["tasks"].max():
        tasks = [task for task in tasks if task != ALL]  # means over different tasks do not compare
    models = tables.looked_models(differences, drawn)
    shown = nearest[nearest.index.get_level_values("task").isin(tasks)]
    documents = [few.documents_of_few(folder, rows) for rows in (shown, drawn)]
    documents = [None if each is None else each.assign(copied=False) for each in documents]
    return compare_changes(
        [
            Series(f"{main} ({count} neighbours)", nearest, True, documents[0]),
            Series(f"{random} ({count} random neighbours)", drawn, False, documents[1]),
        ],
        [tables.label(nearest, task) for task in tasks],
        tasks,
        models,
        _of_rows(folder, nearest, shown, "Left of zero: training helps."),
        *_entries(documents),
    )


def _of_rows(folder: Path, rows: pd.DataFrame, shown: pd.DataFrame, *more: str) -> str:
    """The note where not all rows are shown: absent tasks are told of the mean, if that is."""
    if ALL in tables.present(shown):
        return _note(folder, shown, *more)
    said = few.sentences(shown, "Whiskers", "paired bootstrap")
    return " ".join(["In parentheses: documents.", *more, said])


def _entries(documents: list[pd.DataFrame | None]) -> list[tuple[str, bool]]:
    """Legend entries of the documents that are drawn."""
    drawn = [each for each in documents if each is not None]
    if not drawn:
        return []
    copies = any(each["copied"].any() for each in drawn)
    return [("a document", False), *([("one with a near-copy", True)] if copies else [])]


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
    tasks, models = tables.present(raw), tables.looked_models(differences, raw)

    def documents(rows: pd.DataFrame, task: str) -> int:
        counts = rows[rows.index.get_level_values("task") == task]["documents"]
        return counts.iloc[0] if len(counts) else 0

    labels = [
        f"{tables.title(task, raw.xs(task, level='task')['tasks'].min())} "
        f"({documents(kept, task):,} of {documents(raw, task):,})"
        for task in tasks
    ]
    fewer = 2 * kept["documents"] <= raw["documents"].reindex(kept.index)
    drawn = few.documents_of_few(folder, raw)
    # of many documents a few may be clean
    rest = few.documents_of_few(folder, kept[~few.few(raw).reindex(kept.index)])
    rest = None if rest is None else rest[~rest["copied"]]
    pale = ["Pale: half of the documents or fewer are clean."] if fewer.any() else []
    if kept["documents"].equals(raw["documents"]):
        pale = ["Every document is clean, so that the two marks are the same."]
    return compare_changes(
        [
            Series("all documents", raw, False, drawn),
            Series("clean documents", kept, True, rest, fewer),
        ],
        labels,
        tasks,
        models,
        _note(
            folder,
            raw,
            *pale,
            *_tasks_of_clean(raw, kept),
            counted="clean documents, of all",
            also=kept,
        ),
        *_entries([drawn, rest]),
    )
