"""Figures of what an index misses, and of what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from tttnn.figures import style, tables

AT = "recall_at_"

MISSED = "missed of the {k} nearest (%)"


def recall(folder: Path) -> Figure:
    """Share of the true nearest neighbours that each index misses, from none."""
    table = tables.read(folder, "recall")
    figure = style.new_figure(style.COLUMN, 2.6)
    axes = figure.subplots()
    looks = style.looks(table["index"])
    handles = []
    for number, (index, rows) in enumerate(table.groupby("index", sort=False)):
        first = rows.iloc[0]
        look: dict[str, Any] = {
            "color": looks[str(index)].colour,
            "linestyle": style.LINES[number % len(style.LINES)],
            "marker": looks[str(index)].marker,
        }
        axes.plot(rows["k"], missed(rows["recall"]), clip_on=False, zorder=3, **look)
        label = f"{index} ({first.factory}, {first.ntotal:,} vectors)"
        handles.append(style.line_handle(label, **look))
    axes.set_xscale("log")
    axes.set_xticks(sorted(table["k"].unique()))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    from_none(axes, table["recall"])
    axes.set_xlabel("k, neighbours asked for")
    axes.set_ylabel(MISSED.format(k="k"))
    axes.grid(axis="y")
    style.legend_above(figure, handles)
    style.write_note(
        figure,
        f"Against exact search, {table['queries'].max():,} queries. Missed is 100 % less the "
        "recall@k. Colours here are of indexes.",
    )
    return figure


def recall_cost(folder: Path) -> Figure:
    """Recall by queries a second, and by bytes a passage: a colour and a marker an index.

    At the largest k that every index was measured at.
    """
    table = tables.read(folder, "indexes")
    at = _shared(table)
    figure = style.new_figure(style.PAGE, 2.6)
    left, right = figure.subplots(1, 2, sharey=True)
    handles = []
    looks = style.looks(table["index"])
    for row in table.to_dict("records"):
        own = looks[row["index"]]
        look = {"color": own.colour, "marker": own.marker, "markersize": 5}
        look |= {"linestyle": "", "clip_on": False}
        recall = missed(row[f"{AT}{at}"])
        rates = row["single_per_second"], row["batched_per_second"]
        left.plot(rates, (recall, recall), color=look["color"], linewidth=0.8)
        left.plot(rates[0], recall, **look, markerfacecolor="white")
        left.plot(rates[1], recall, **look)
        right.plot(row["index_bytes"], recall, **look)
        label = f"{row['index']} ({row['factory']}, {int(row['ntotal']):,} vectors)"
        handles.append(style.line_handle(label, **look))
    left.set_xscale("log")
    left.set_xlabel("queries a second (logarithmic)")
    right.set_xlabel("bytes a passage beyond the embeddings")
    right.set_xlim(left=0)
    from_none(left, table[f"{AT}{at}"])
    left.set_ylabel(MISSED.format(k=at))
    style.plain_log_ticks(left.xaxis)
    for axes in (left, right):
        axes.grid()
    style.legend_above(figure, handles)
    style.write_note(figure, _note(table))
    return figure


def _shared(table: pd.DataFrame) -> int:
    measured = [name for name in table if name.startswith(AT) and table[name].notna().all()]
    if not measured:
        raise ValueError(
            "the indexes were measured at no k in common: give them one in search.recall_at, or "
            "take the figure out of `figures`"
        )
    return max(int(name.removeprefix(AT)) for name in measured)


def missed(recall: Any) -> Any:
    """Per cent of the nearest passages that are not found, of a recall."""
    return 100 * (1 - recall)


def from_none(axes: Axes, recall: pd.Series) -> None:
    """An axis of what is missed, which starts at nothing and holds all."""
    axes.set_ylim(0, 1.12 * max(missed(recall).max(), 0.5))


def _note(table: pd.DataFrame) -> str:
    embedded = sorted({round(each) for each in table["embedding_bytes"]})
    return (
        "Hollow: one query alone; filled: all in one batch, both with the job's threads and exact "
        "distances of what is found. Missed is 100 % less the recall. Embeddings, which are "
        "searched or ranked by, take "
        f"{' or '.join(f'{each:,}' for each in embedded)} bytes a passage more. Colours here are "
        "of indexes."
    )
