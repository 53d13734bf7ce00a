"""The figure of all methods against the main one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tttnn.figures import style, tables
from tttnn.figures.panels import dots, new_panels, separate, whiskers
from tttnn.pile import ALL

LABEL = "difference in bits per byte\n\N{LEFTWARDS ARROW} better | worse \N{RIGHTWARDS ARROW}"
APART = 20
"""Differences are on a logarithmic axis if the largest is so many times their median."""


def methods(folder: Path) -> Figure:
    """Every other method against the main one of the same text, paired, on the tasks of both."""
    table = tables.read(folder, "comparisons")
    table = table[table["task"] == ALL]
    scores = tables.read(folder, "scores")
    main = tables.main_method(scores)
    numbers = {model: k for k, model in enumerate(tables.names(scores, "model"))}
    # each at the most neighbours that both were evaluated at
    most = table.groupby(["model", "method"])["num_neighbors"].transform("max")
    table = table[table["num_neighbors"] == most]
    shown = [model for model in numbers if model in set(table["model"])]
    raw, clean = (
        table[table["documents_kind"] == kind].set_index(["model", "method"], drop=False)
        for kind in ("raw", "clean")
    )
    best = raw.reset_index(drop=True).groupby("method")[["against", "difference"]].min()
    best = best.assign(elsewhere=best["against"] != main)
    best = best.sort_values(["elsewhere", "difference"], kind="stable")
    usual = raw[["num_neighbors", "tasks"]].mode().iloc[0]
    figure, grid = new_panels(
        shown,
        [_label(raw[raw["method"] == method].iloc[0], clean, usual, main) for method in best.index],
    )
    for axes, model in zip(grid, shown, strict=True):
        colour = style.colour(numbers[model])
        for offset, rows, filled in ((-0.17, raw, False), (0.17, clean, True)):
            if model not in set(rows["model"]):
                continue
            state = rows.loc[model].reindex(best.index)
            axes.errorbar(
                state["difference"],
                [place + offset for place in range(len(best))],
                xerr=whiskers(state["difference"], state["low"], state["high"]),
                **dots(colour, filled),
                ecolor=colour,
                elinewidth=0.8,
            )
        axes.axvline(0, color="black", linewidth=0.6)
        if 0 < best["elsewhere"].sum() < len(best):
            separate(axes, len(best) - 1 - int(best["elsewhere"].sum()))
        axes.set_xlabel(LABEL)
    width = raw["difference"].abs()
    if width.max() > APART * width.median() > 0:
        grid[0].set_xscale("symlog", linthresh=3 * width.median())
    style.legend_above(
        figure,
        [
            style.line_handle(f"{kind} documents", **dots("black", kind == "clean"))
            for kind in ("all", "clean")
        ],
    )
    fewer = clean["tasks"].lt(raw["tasks"].reindex(clean.index)).any()
    style.write_note(
        figure,
        f"Main method: {main}. Unless said otherwise, at {usual['num_neighbors']} neighbours and "
        f"over {usual['tasks']} tasks that both were evaluated on, weights renormalised"
        + (" (clean documents: over those of the tasks that have any)" if fewer else "")
        + ". In parentheses: documents / clean documents. "
        + tables.intervals(raw, "Whiskers").replace("bootstrap", "paired bootstrap"),
    )
    return figure


def _label(row: pd.Series, clean: pd.DataFrame, usual: pd.Series, main: str) -> str:
    kept = clean["documents"].get(row.name, 0)
    label = row["method"] if row["against"] == main else f"{row['method']} against {row['against']}"
    unusual = {"num_neighbors": "neighbours", "tasks": "tasks"}
    more = [f"{row[key]} {word}" for key, word in unusual.items() if row[key] != usual[key]]
    return ", ".join([label, *more]) + f" ({row['documents']:,} / {kept:,})"
