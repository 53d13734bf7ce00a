"""A run's numbers beside those of the paper's follow-ups, for models and methods of the same name.

The numbers stand in `follow_ups.csv`. Most could be read only where others quote them, as the
column `read` says.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from tttnn.files import replacing
from tttnn.pile import ALL
from tttnn.published.load import REMEDY
from tttnn.reading import read_csv

COLUMNS = [
    "work",
    "source",
    "read",
    "beside",
    "model",
    "method",
    "task",
    "num_neighbors",
    "quantity",
    "published",
    "ours",
    "low",
    "high",
    "documents",
    "tasks",
    "why",
]
CELL = ["model", "method", "task", "num_neighbors", "quantity"]


def follow_ups(data: Path) -> pd.DataFrame:
    """The published numbers, and the ratio to 0 neighbours where both numbers are published.

    `beside`: `yes`, if the two numbers can stand beside one another; `ratio`, if only the ratio to
    0 neighbours can; `no`. `why` says what differs all the same, or why not. `model` is null where
    it is not known which one a number is of, `task` where it is a mean that is not over all tasks.
    """
    rows = read_csv(data / "follow_ups.csv", [*CELL, "value", "beside"], REMEDY)
    rows = rows.rename(columns={"value": "published"})
    bits = rows[rows["quantity"] == "bits_per_byte"]
    base = bits[bits["num_neighbors"] == 0].set_index(["work", "model", "task"])["published"]
    after = bits[bits["num_neighbors"] > 0].join(base.rename("base"), on=["work", "model", "task"])
    ratios = after.assign(published=after["published"] / after["base"], quantity="ratio")
    ratios = ratios.drop(columns="base").dropna(subset="published")
    return pd.concat([rows, ratios], ignore_index=True)


def _ours(tables: Path) -> pd.DataFrame:
    """The run's bits per byte and ratios, raw, by `CELL`; a task's mean over its documents."""
    bits = read_csv(tables / "scores.csv", ["metric", "value"]).query("metric == 'bits_per_byte'")
    ratios = read_csv(tables / "differences.csv", ["ratio"]).query("documents_kind == 'raw'")
    ratios = ratios.drop(columns=["low", "high"]).rename(
        columns={"ratio": "ours", "ratio_low": "low", "ratio_high": "high"}
    )
    kept = [*CELL, "ours", "low", "high", "documents"]
    bits = bits.rename(columns={"value": "ours"}).assign(quantity="bits_per_byte")
    rows = pd.concat([bits[kept], ratios.assign(quantity="ratio")[kept]], ignore_index=True)
    counts = rows[rows["task"] != ALL].groupby(["model", "method"])["task"].nunique().rename("all")
    rows = rows.join(counts, on=["model", "method"])
    return rows.assign(tasks=np.where(rows["task"] == ALL, rows["all"], 1)).drop(columns="all")


def _found(published: pd.Series, ours: pd.DataFrame) -> pd.DataFrame:
    """What the run has beside a published number: a row, of several models or methods several."""
    same = ours["quantity"].eq(published["quantity"])
    same &= ours["num_neighbors"].eq(published["num_neighbors"])
    for name in ("model", "method"):  # not known whose it is, or nothing is trained
        if isinstance(published[name], str):
            same &= ours[name].eq(published[name])
    rows = ours[same]
    if published["num_neighbors"] == 0:
        rows = rows.drop_duplicates(["model", "task"])
    if isinstance(published["task"], str):
        return rows[rows["task"] == published["task"]]
    rows = rows[rows["task"] != ALL]
    means = rows.groupby(["model", "method", "num_neighbors", "quantity"], sort=False)
    mean = means.agg(ours=("ours", "mean"), documents=("documents", "sum"), tasks=("task", "size"))
    return mean.reset_index().assign(task=None, low=math.nan, high=math.nan)


def compare_follow_ups(data: Path, tables: Path, table: Path) -> None:
    """Set a run's numbers beside those that follow-ups of the paper published.

    `data` is the folder of `tttnn.published`, `tables` that of `tttnn.scores.score`. A row is a
    published number and the run's own, with its bootstrap interval `low` to `high`, `documents` and
    `tasks`; `ours` is empty where the two must not be compared. Where `task` is empty, both are
    means over tasks with equal weights, the run's over those that it evaluated. The table has no
    row if the run has no model and method of the same names.
    """
    ours = _ours(tables)
    parts = []
    for _, published in follow_ups(data).iterrows():
        found = _found(published, ours) if published["beside"] != "no" else ours.head(0)
        if published["beside"] == "no":
            method = ours["model"].eq(published["model"]) & ours["method"].eq(published["method"])
            known = {name: published[name] for name in CELL}
            found = pd.DataFrame([known] if method.any() else [], columns=ours.columns)
        said = {name: published[name] for name in COLUMNS[:4]}
        parts.append(found.assign(**said, published=published["published"], why=published["why"]))
    rows = pd.concat([part for part in parts if len(part)] or [pd.DataFrame(columns=COLUMNS)])
    with replacing(table) as beside:
        rows[COLUMNS].to_csv(beside, index=False, lineterminator="\n")
