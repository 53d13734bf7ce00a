"""A run's numbers beside the published ones, for models of the same name."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from tttnn.files import replacing
from tttnn.pile import ALL
from tttnn.published import load
from tttnn.published.names import MAIN, MODELS
from tttnn.reading import read_csv
from tttnn.scores.estimates import pile_weights
from tttnn.sections.search import RANDOM
from tttnn.sections.select import Select

SEED = 1216
"""The paper's draw of test documents (released code, eval_tttlm.py)."""

CELL = ["run", "model", "method", "task", "num_neighbors"]
COLUMNS = [
    *CELL,
    "quantity",
    "value",
    "low",
    "high",
    "confidence",
    "published",
    "difference",
    "difference_low",
    "difference_high",
    "within",
    "documents",
    "published_documents",
    "subset",
    "tasks",
]


def subset(ours: pd.Series, published: pd.Series, seed: int) -> str:
    """How the documents of a task relate to the paper's, by their numbers and the seed.

    Both series hold `test_documents`, which the draw was from, and `documents`, which it gave.
    Equal numbers of the former are taken for the same test split.
    """
    if seed != SEED or ours.test_documents != published.test_documents:
        return "other documents"
    if ours.documents == published.documents:
        return "the paper's documents"
    less = ours.documents < published.documents
    return "some of the paper's documents" if less else "the paper's documents and more"


def _published(data: Path, tasks: list[str]) -> pd.DataFrame:
    """Bits per byte by model, task and number of neighbours; `pile_all` over these tasks alone."""
    curves = load.curves(data)
    curves = curves[(curves["method"] == MAIN) & curves["task"].isin(tasks)]
    weights = curves["task"].map(pile_weights(tasks))
    means = (curves["bits_per_byte"] * weights).groupby(
        [curves["model"], curves["num_neighbors"]], sort=False
    )
    mean = means.sum().reset_index(name="bits_per_byte").assign(task=ALL)
    rows = pd.concat([curves[mean.columns], mean]).set_index(["model", "task", "num_neighbors"])
    before = rows["bits_per_byte"].xs(0, level="num_neighbors")
    rows["ratio"] = rows["bits_per_byte"] / before
    return rows.rename_axis(columns="quantity").stack().rename("published").reset_index()


def _ours(tables: Path) -> pd.DataFrame:
    scores = read_csv(tables / "scores.csv", ["run", "metric"]).query("metric == 'bits_per_byte'")
    ratios = read_csv(tables / "differences.csv", ["run", "ratio"]).query("documents_kind == 'raw'")
    nearest = ratios.loc[ratios["candidates"] != RANDOM, "method"].unique()
    confidence = ratios["confidence"].iloc[0]
    scores = scores.rename(columns={"metric": "quantity"})
    ratios = ratios.drop(columns=["low", "high"]).rename(
        columns={"ratio": "value", "ratio_low": "low", "ratio_high": "high"}
    )
    both = [*CELL, "quantity", "value", "low", "high", "documents"]
    rows = pd.concat([scores[both], ratios.assign(quantity="ratio")[both]])
    rows = rows[rows["model"].isin(MODELS) & rows["method"].isin(nearest)]
    return rows.assign(confidence=confidence)


def compare_published(spec: Select, data: Path, tables: Path, table: Path) -> None:
    """Set a run's bits per byte, and their ratio to 0 neighbours, beside the published ones.

    `data` is the folder of `tttnn.published`, `tables` that of `tttnn.scores.score`, `spec` says
    how the run's documents were drawn. Compared are all methods whose neighbours are not random,
    where both were evaluated; a model and method's `pile_all` is over the tasks that it was
    evaluated on, in the published numbers too. `low` to `high` is the run's own interval and
    `within` says whether it holds the published number, which has no interval. So a number outside
    may differ by chance of the published documents, unless `subset` says that they are the same.

    Raises `ValueError` if nothing is there to compare.
    """
    published = load.documents(data)
    drawn = read_csv(tables / "tasks.csv", ["task", "selected"], index_col="task")
    drawn = drawn.rename(columns={"selected": "documents"})
    parts = []
    for _, rows in _ours(tables).groupby(["model", "method"], sort=False):
        tasks = [task for task in drawn.index if task in set(rows["task"])]
        rows = rows.merge(
            _published(data, tasks), on=["model", "task", "num_neighbors", "quantity"]
        )
        subsets = {task: subset(drawn.loc[task], published.loc[task], spec.seed) for task in tasks}
        found = set(subsets.values())
        subsets[ALL] = found.pop() if len(found) == 1 else "differs by task"
        counts = published["documents"].reindex(tasks)
        counts = counts.to_dict() | {ALL: int(counts.sum())}
        parts.append(
            rows.assign(
                published_documents=rows["task"].map(counts),
                subset=rows["task"].map(subsets),
                tasks=np.where(rows["task"] == ALL, len(tasks), 1),
            )
        )
    if not parts:
        raise ValueError(
            f"{tables} has no method with nearest neighbours on a model called one of "
            f"{', '.join(MODELS)}: there is nothing to compare with the published numbers"
        )
    rows = pd.concat(parts)
    for name, column in (("", "value"), ("_low", "low"), ("_high", "high")):
        rows[f"difference{name}"] = rows[column] - rows["published"]
    within = (rows["low"] <= rows["published"]) & (rows["published"] <= rows["high"])
    rows["within"] = within.astype(object).where(rows["low"].notna(), math.nan)
    with replacing(table) as beside:
        rows[COLUMNS].to_csv(beside, index=False, lineterminator="\n")
