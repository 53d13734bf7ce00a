"""Recall against cost: the table of what an index finds, what it takes, and what that is worth."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tttnn.pile import ALL
from tttnn.reading import read_csv

WORTH = ["model", "method", "num_neighbors", "before", "after", "ratio", "tasks"]
COSTS = [
    "index_bytes",
    "embedding_bytes",
    "build_seconds",
    "batched_per_second",
    "single_per_second",
]


def index_table(recall: pd.DataFrame, rates: list[Path], differences: pd.DataFrame) -> pd.DataFrame:
    """A row an index, in the order of `recall`.

    `index, factory, ntotal`, the costs (see `tttnn.retrieval.rates`), `recall_at_{k}` for each k,
    empty where an index was not measured at it, and `WORTH`: bits per byte over all tasks before
    and after training on the most neighbours, of the first method that takes them straight from
    this index, and the first model that it was evaluated with. These are empty without such a
    method.
    """
    wide = recall.pivot(index="index", columns="k", values="recall")
    wide.columns = [f"recall_at_{k}" for k in wide.columns]
    first = recall.groupby("index", sort=False)[["factory", "ntotal"]].first()
    costs = pd.concat([read_csv(path, ["index", *COSTS]) for path in rates]).set_index("index")
    whole = differences[(differences["documents_kind"] == "raw") & (differences["task"] == ALL)]
    most = whole.groupby(["model", "method"])["num_neighbors"].transform("max")
    whole = whole[whole["num_neighbors"] == most]
    # `first` of a group would take each column's first number
    worth = whole.drop_duplicates("candidates").set_index("candidates")[WORTH]
    table = first.join([costs[COSTS], wide, worth])
    for count in ("ntotal", "num_neighbors", "tasks"):  # some are empty
        table[count] = table[count].astype("Int64")
    return table.rename_axis("index").reset_index()
