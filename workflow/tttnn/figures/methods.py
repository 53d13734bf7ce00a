"""The figure of all methods against the main one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tttnn.figures import few, style, tables
from tttnn.figures.panels import CROSS, dots, new_panels, separate, whiskers
from tttnn.pile import ALL

LABEL = "difference in bits per byte\n\N{LEFTWARDS ARROW} better | worse \N{RIGHTWARDS ARROW}"
APART = 20
"""Differences are on a logarithmic axis if the largest is so many times their median."""


def methods(folder: Path) -> Figure:
    """Every other method against the main one of the same text, paired, on the tasks of both.

    A method that left every document as it was has no mark: it had no say, and did not lose.
    """
    table = tables.read(folder, "comparisons")
    table = table[table["task"] == ALL]
    scores = tables.read(folder, "scores")
    documents = few.read_documents(folder)
    main = tables.main_method(scores)
    looks = style.looks(tables.names(scores, "model"))
    # each at the most neighbours that both were evaluated at
    most = table.groupby(["model", "method"])["num_neighbors"].transform("max")
    table = table[table["num_neighbors"] == most]
    shown = [model for model in looks if model in set(table["model"])]
    raw, clean = (
        table[table["documents_kind"] == kind].set_index(["model", "method"], drop=False)
        for kind in ("raw", "clean")
    )
    same = _unchanged(documents, raw)
    order = _order(raw, same, main)
    usual = raw[["num_neighbors", "tasks"]].mode().iloc[0]
    figure, grid = new_panels(
        shown,
        [
            _label(raw[raw["method"] == method].iloc[0], clean, usual, main, same)
            for method in order.index
        ],
    )
    drawn = []
    for axes, model in zip(grid, shown, strict=True):
        colour = looks[model].colour
        for offset, rows, filled in ((-0.17, raw, False), (0.17, clean, True)):
            if model in set(rows["model"]):
                idle = same[model].reindex(order.index).eq(1)
                _draw(axes, rows.loc[model].reindex(order.index)[~idle], order, colour, filled)
                acting = rows.loc[model].reindex(order.index)[~idle]
                sparse = acting[few.few(acting)]
                if filled:  # where all documents are few they stand above already
                    whole = raw.loc[model].reindex(sparse.index)
                    sparse = sparse[~few.few(whole)]
                place = order["place"].reindex(sparse.index) + offset
                drawn += _draw_documents(axes, documents, sparse, place, colour, filled)
        axes.axvline(0, color="black", linewidth=0.6)
        if 0 < order["elsewhere"].sum() < len(order):
            separate(axes, len(order) - 1 - int(order["elsewhere"].sum()))
        axes.set_xlabel(LABEL)
    width = raw["difference"].abs()
    scale = ""
    if width.max() > APART * width.median() > 0:
        grid[0].set_xscale("symlog", linthresh=3 * width.median())
        scale = f" Logarithmic beyond {3 * width.median():.2g}."
    style.legend_above(
        figure,
        [
            *(
                style.line_handle(f"{kind} documents", **dots("black", kind == "clean"))
                for kind in ("all", "clean")
            ),
            *([few.handle()] if drawn else []),
            *([few.handle("one with a near-copy", **CROSS)] if any(drawn) else []),
        ],
    )
    style.write_note(figure, _note(raw, clean, usual, main, same, bool(drawn)) + scale)
    return figure


def _unchanged(documents: pd.DataFrame, raw: pd.DataFrame) -> pd.Series:
    """Of each row's model and method, the share of documents that are exactly as before."""
    share = documents.assign(same=documents["after"] == documents["before"])
    share = share.groupby(["model", "method"])["same"].mean()
    return share.reindex(raw.index)


def _order(raw: pd.DataFrame, same: pd.Series, main: str) -> pd.DataFrame:
    """Methods, best first; those of another text behind, and behind their likes the idle ones."""
    rows = raw.reset_index(drop=True).assign(same=same.to_numpy())
    best = rows.groupby("method")[["against", "difference", "same"]].min()
    best = best.assign(elsewhere=best["against"] != main, idle=best["same"] == 1)
    best = best.sort_values(["elsewhere", "idle", "difference"], kind="stable")
    return best.assign(place=range(len(best)))


def _draw(axes: Axes, rows: pd.DataFrame, order: pd.DataFrame, colour: str, filled: bool) -> None:
    """Marks of one kind of documents, with whiskers where there are enough."""
    state = few.without_few(rows, ["low", "high"])
    axes.errorbar(
        state["difference"],
        order["place"].reindex(state.index) + (0.17 if filled else -0.17),
        xerr=whiskers(state["difference"], state["low"], state["high"]),
        **dots(colour, filled),
        ecolor=colour,
        elinewidth=0.8,
    )


def _draw_documents(
    axes: Axes,
    documents: pd.DataFrame,
    rows: pd.DataFrame,
    places: pd.Series,
    colour: str,
    clean: bool,
) -> list[bool]:
    """Of rows of few documents, each one's difference; whether any has a near-copy, of each row.

    Of a method that was compared at fewer than its most neighbours there are none in the tables.
    """
    copies = []
    for row in rows.itertuples():
        own, other = (
            documents[
                (documents["model"] == row.model)
                & (documents["method"] == method)
                & (documents["num_neighbors"] == row.num_neighbors)
            ]
            for method in (row.method, row.against)
        )
        pairs = own.merge(other, on=["task", "document_id"], suffixes=("", "_other"))
        if clean:
            pairs = pairs[~pairs["copied"]]
        if pairs.empty:
            continue
        change = pairs["after"] - pairs["after_other"]
        place = places[row.method]
        few.mark(axes, change[~pairs["copied"]], place, colour)
        few.mark(axes, change[pairs["copied"]], place, colour, **CROSS)
        copies.append(bool(pairs["copied"].any()))
    return copies


def _label(
    row: pd.Series, clean: pd.DataFrame, usual: pd.Series, main: str, same: pd.Series
) -> str:
    kept = clean["documents"].get(row.name, 0)
    label = row["method"] if row["against"] == main else f"{row['method']} against {row['against']}"
    unusual = {"num_neighbors": "neighbours", "tasks": "tasks"}
    more = [
        f"{row[key]} {word if row[key] != 1 else word[:-1]}"
        for key, word in unusual.items()
        if row[key] != usual[key]
    ]
    idle = round(same[row.name] * row["documents"])
    if idle == row["documents"]:
        more.append("changed nothing")
    elif idle:
        more.append(f"{idle:,} unchanged")
    return ", ".join([label, *more]) + f" ({row['documents']:,} / {kept:,})"


def _note(
    raw: pd.DataFrame,
    clean: pd.DataFrame,
    usual: pd.Series,
    main: str,
    same: pd.Series,
    drawn: bool,
) -> str:
    fewer = clean["tasks"].lt(raw["tasks"].reindex(clean.index)).any()
    sentences = [
        f"Main method: {main}. Unless said otherwise, at {usual['num_neighbors']} neighbours and "
        f"over {usual['tasks']} tasks that both were evaluated on, weights renormalised"
        + (" (clean documents: over those of the tasks that have any)" if fewer else "")
        + ". In parentheses: documents / clean documents.",
    ]
    if (same == 1).any():
        idle = ", ".join(dict.fromkeys(raw.loc[same == 1, "method"]))
        sentences.append(
            f"Without a mark: {idle}, which left every document exactly as it was before (in "
            "context, a document that fills the model's window has no room for neighbours): a "
            "difference would be the main method's alone."
        )
    elif (same > 0).any():
        sentences.append("Unchanged: documents with which a method could do nothing.")
    shown = pd.concat([raw[same < 1], clean[same.reindex(clean.index) < 1]])
    if len(shown):
        sentences.append(few.sentences(shown, "Whiskers", "paired bootstrap", drawn))
    return " ".join(sentences)
