"""The figure of recall against what an index costs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tttnn.figures import style, tables

AT = "recall_at_"


def recall_cost(folder: Path) -> Figure:
    """Recall by queries a second, and by bytes a passage: a colour and a marker an index.

    At the largest k that every index was measured at.
    """
    table = tables.read(folder, "indexes")
    at = _shared(table)
    figure = style.new_figure(style.PAGE, 2.6)
    left, right = figure.subplots(1, 2, sharey=True)
    handles = []
    for number, row in enumerate(table.to_dict("records")):
        look = {"color": style.colour(number), "marker": style.marker(number), "markersize": 5}
        look |= {"linestyle": "", "clip_on": False}
        recall = row[f"{AT}{at}"]
        rates = row["single_per_second"], row["batched_per_second"]
        left.plot(rates, (recall, recall), color=look["color"], linewidth=0.8)
        left.plot(rates[0], recall, **look, markerfacecolor="white")
        left.plot(rates[1], recall, **look)
        right.plot(row["index_bytes"], recall, **look)
        label = f"{row['index']} ({row['factory']}, {int(row['ntotal']):,} vectors)"
        handles.append(style.line_handle(label, **look))
    left.set_xscale("log")
    left.set_xlabel("queries a second")
    right.set_xlabel("bytes a passage beyond the embeddings")
    right.set_xlim(left=0)
    _limit(left, table[f"{AT}{at}"].min())
    left.set_ylabel(f"recall@{at}")
    for axes in (left, right):
        axes.grid()
    style.legend_above(figure, handles, columns=min(2, len(handles)))
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


def _limit(axes: Axes, lowest: float) -> None:
    """As in the figure `recall`: from 0.9, or from below the lowest."""
    axes.set_ylim(min(0.9, lowest) - 0.02, 1.005)


def _note(table: pd.DataFrame) -> str:
    embedded = sorted({round(each) for each in table["embedding_bytes"]})
    return (
        "Hollow: one query alone; filled: all in one batch, both with the job's threads and exact "
        "distances of what is found. Recall does not start at 0. Embeddings, which are searched or "
        f"ranked by, take {' or '.join(f'{each:,}' for each in embedded)} bytes a passage more."
    )
