"""The figure of long documents, by position and as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tttnn.figures import few, style, tables
from tttnn.figures.panels import dots, whiskers
from tttnn.pile import ALL


def positions(folder: Path) -> Figure:
    """What each method changes along documents, and on the whole against one search a document."""
    table = tables.read(folder, "positions")
    model = tables.names(table, "model")[0]
    # of more than four windows, where a run has such documents
    kind = "long" if "long" in set(table["windows_kind"]) else "all"
    table = table[
        (table["model"] == model) & (table["task"] == ALL) & (table["windows_kind"] == kind)
    ]
    most = table.groupby("method")["num_neighbors"].transform("max")
    table = table[table["num_neighbors"] == most]
    methods = tables.names(table, "method")
    whole = table[table["by"] == "document"].set_index("method").loc[methods]
    figure = style.new_figure(style.PAGE, max(2.6, 0.2 * len(methods) + 1.6))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    looks = _looks(methods)
    _draw_along(left, table[table["by"] == "fifth"], looks)
    _draw_whole(right, whole, looks)
    style.legend_above(figure, [style.line_handle(name, **looks[name]) for name in methods])
    style.write_note(figure, _note(model, kind, whole))
    return figure


def _looks(methods: list[str]) -> dict[str, dict[str, Any]]:
    """Of methods: here colours are theirs, for there is one model."""
    return {
        method: {"color": look.colour, "marker": look.marker}
        for method, look in style.looks(methods).items()
    }


def _draw_along(axes: Axes, rows: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
    for method, look in looks.items():
        own = rows[rows["method"] == method].sort_values("position")
        axes.plot(own["position"], own["change"], markersize=2.5, **look)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(sorted(rows["position"].unique()))
    axes.set_xlabel("fifth of the document")
    axes.set_ylabel("change in bits per byte")
    axes.grid(axis="y")


def _draw_whole(axes: Axes, whole: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
    """Differences from one search a document; the method that has it is the line at zero."""
    compared = whole[whole["against"].notna()]
    style.name_rows(axes, [f"{name} ({row.num_neighbors})" for name, row in compared.iterrows()])
    for place, (name, row) in enumerate(compared.iterrows()):
        colour = looks[str(name)]["color"]
        one = few.without_few(compared.loc[[name]], ["difference_low", "difference_high"])
        axes.errorbar(
            [row["difference"]],
            [place],
            xerr=whiskers(one["difference"], one["difference_low"], one["difference_high"]),
            **dots(colour, filled=True),
            ecolor=colour,
            elinewidth=0.8,
        )
    axes.axvline(0, color="black", linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(
        "difference from one search\n\N{LEFTWARDS ARROW} better | worse \N{RIGHTWARDS ARROW}"
    )


def _note(model: str, kind: str, whole: pd.DataFrame) -> str:
    first = whole.iloc[0]
    documents = "documents of more than four windows" if kind == "long" else "documents"
    against = whole["against"].dropna()
    sentences = [
        f"{model}: {first['documents']} {documents} with {first['windows']} windows, "
        f"{first['tasks']} tasks, weights renormalised."
    ]
    if len(against):
        sentences.append(
            f"Right: against {against.iloc[0]}; in parentheses neighbours a window, or how often a "
            "scored window is trained on where there are none."
        )
    sentences.append("Colours here are of methods.")
    return " ".join([*sentences, few.sentences(whole, "Whiskers", drawn=False)])
