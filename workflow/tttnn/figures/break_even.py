"""The figure of when experts that were trained before the test are worth it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tttnn.figures import style, tables

SHOWN = (1, 5, 20)
"""Numbers of neighbours of the method that experts are held against, if it was measured there."""

LABEL = 0.055  # height of a label beside the lines, of the panel's


def break_even(folder: Path) -> Figure:
    """Seconds by documents, of the first model: what is paid once, and what a document takes.

    Against the first method that experts are held against.
    """
    table = tables.read(folder, "experts")
    model = tables.names(table, "model")[0]
    table = table[(table["model"] == model) & (table["against"] == table["against"].iloc[0])]
    experts, others = _experts(table), _others(table)
    documents = _documents(experts, others)
    figure = style.new_figure(style.PAGE, 3.0)
    axes = figure.subplots()
    labels: dict[str, tuple[float, str]] = {}
    looks = style.looks(experts["method"])
    for row in experts.itertuples():
        colour = looks[row.method].colour
        paid = row.cluster_seconds + row.train_seconds
        seconds = paid + row.seconds * documents
        axes.plot(documents, seconds, color=colour)
        counted = (
            f"up to {row.num_neighbors} experts"
            if row.counts == "experts"
            else f"{row.num_neighbors} neighbour{'s' * (row.num_neighbors > 1)}"
        )
        name = f"{row.method}, {counted} ({row.bits_per_byte:.3f})"
        labels[name] = (seconds[-1], colour)
        for other in others.itertuples():
            if other.against_seconds > row.seconds:
                at = paid / (other.against_seconds - row.seconds)
                axes.plot(at, other.against_seconds * at, "o", color=colour)
    for line, other in enumerate(others.itertuples()):
        seconds = other.against_seconds * documents
        axes.plot(documents, seconds, color=style.GREY, linestyle=style.LINES[line % 4])
        neighbors = f"{other.against_neighbors} neighbour{'s' * (other.against_neighbors > 1)}"
        name = f"{other.against}, {neighbors} ({other.against_bits_per_byte:.3f})"
        labels[name] = (seconds[-1], style.GREY)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(documents[0], documents[-1])
    for axis in (axes.xaxis, axes.yaxis):
        style.plain_log_ticks(axis)
    axes.set_xlabel("documents (logarithmic)")
    axes.set_ylabel("seconds in all (logarithmic)")
    axes.grid()
    _name(axes, labels)
    style.write_note(figure, _note(table, model, experts))
    return figure


def _experts(table: pd.DataFrame) -> pd.DataFrame:
    """A row a method that merges experts, at its largest number."""
    largest = table.groupby("method", sort=False)["num_neighbors"].transform("max")
    return table[table["num_neighbors"] == largest].drop_duplicates("method")


def _others(table: pd.DataFrame) -> pd.DataFrame:
    """A row a number of neighbours that is shown, of the method that experts are held against."""
    rows = table.drop_duplicates("against_neighbors")
    shown = rows[rows["against_neighbors"].isin(SHOWN)]
    return shown if len(shown) else rows


def _documents(experts: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    """From one to well behind the last break-even."""
    paid = (experts["cluster_seconds"] + experts["train_seconds"]).max()
    saved = [
        other - own
        for own in experts["seconds"]
        for other in others["against_seconds"]
        if other > own
    ]
    last = paid / min(saved) if saved else paid / others["against_seconds"].min()
    return np.geomspace(1, max(10.0, 3 * last), 200)


def spread(places: list[float], gap: float) -> list[float]:
    """Ascending places moved as little upwards, then down from 1, as it takes to be `gap` apart."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    for k in range(len(moved) - 1, -1, -1):
        above = moved[k + 1] - gap if k + 1 < len(moved) else 1.0
        moved[k] = min(moved[k], above)
    return moved


def _name(axes: Axes, labels: dict[str, tuple[float, str]]) -> None:
    """Names to the right of the panel, in the order of the lines' ends."""
    low, high = np.log(axes.get_ylim())
    ranked = sorted(labels, key=lambda name: labels[name][0])
    places = [float(np.clip((np.log(labels[n][0]) - low) / (high - low), 0, 1)) for n in ranked]
    for name, place in zip(ranked, spread(places, LABEL), strict=True):
        axes.annotate(
            name,
            (1.02, place),
            xycoords="axes fraction",
            va="center",
            fontsize=style.SMALL + 0.5,
            color=labels[name][1],
            annotation_clip=False,
        )


def _note(table: pd.DataFrame, model: str, experts: pd.DataFrame) -> str:
    first = table.iloc[0]
    paid = "; ".join(
        f"{row.experts}: {row.clusters} experts, {row.train_seconds:,.0f} s of training"
        for row in experts.drop_duplicates("experts").itertuples()
    )
    return (
        f"{model}, {first.documents:,} documents of {first.tasks} tasks. In brackets: bits per "
        f"byte by the Pile's weights, {first.before:.3f} before. Seconds are of adaptation and one "
        f"evaluation a document, as the jobs' machines took them. Paid once: {paid}."
    )
