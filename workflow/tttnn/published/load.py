"""Read the published numbers from the folder of this package; see its README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tttnn.published.names import MAIN, MODELS
from tttnn.reading import read_csv, read_parquet

REMEDY = "take the file from the repository again"
KEYS = ["model", "method", "task", "num_neighbors"]
COLUMNS = ("in_context", "interpolate", "dynamic_eval", "ttt_nn", "base")
"""Table 1's, from left to right; all of GPT-2-Large."""

_LARGE = MODELS[1]
_RELEASED = {
    "in_context": ("baseline_context/baseline_gpt2_large.txt", "in-context"),
    "interpolate": ("baseline_interpolation/comparison.txt", "interpolate"),
}


def curves(data: Path) -> pd.DataFrame:
    """The four runs, a row a model, method, task and number of neighbours from 0 to 50.

    Columns: `bits_per_byte`, `byte_perplexity`, `word_perplexity`, and of training on that
    neighbour `seconds` (evaluation included) and `train_loss` (nats a token), means over documents.
    `pile_all` is a row's task too, without perplexities; at 0 neighbours nothing was trained.
    """
    table = read_parquet(data / "curves.parquet", remedy=REMEDY)
    perplexity = np.exp2(table["bits_per_byte"]).where(table["word_perplexity"].notna())
    table.insert(table.columns.get_loc("word_perplexity"), "byte_perplexity", perplexity)
    return table


def documents(data: Path) -> pd.DataFrame:
    """By task: `test_documents` in the Pile's test split, `documents` drawn from them (20 %)."""
    return read_csv(data / "documents.csv", ["documents"], REMEDY, index_col="task")


def table1(data: Path) -> pd.DataFrame:
    """Table 1 as printed, bits per byte by task and `COLUMNS`."""
    return read_csv(data / "table1.csv", COLUMNS, REMEDY, index_col="task")


def table1_released(data: Path) -> pd.DataFrame:
    """Table 1's columns from the released files, unrounded; `pile_all` only where released.

    No file holds `dynamic_eval`.
    """
    files = read_csv(data / "baselines.csv", ["file"], REMEDY)
    baselines = {
        column: files[(files["file"] == file) & (files["method"] == method)].set_index("task")
        for column, (file, method) in _RELEASED.items()
    }
    run = curves(data).set_index(KEYS).sort_index().loc[(_LARGE, MAIN), "bits_per_byte"]
    columns = {name: rows["bits_per_byte"] for name, rows in baselines.items()}
    columns |= {"ttt_nn": run.xs(50, level=1), "base": run.xs(0, level=1)}
    return pd.DataFrame(columns).reindex(index=table1(data).index, columns=list(COLUMNS))
