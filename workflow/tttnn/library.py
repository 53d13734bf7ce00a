"""What a notebook needs, and `import tttnn` gives: adapt a model, ask runs, choose neighbours.

Texts and folders are given as they are; what a stage of the workflow reads of files and of the
configuration is an argument here, with the paper's defaults. Nothing is downloaded and nothing is
written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.adapting import adapt, adapted, bits_per_byte, log_likelihood, recipe_for
from tttnn.arguments import checked_path, checked_text, checked_vectors, positive, whole
from tttnn.live.query import Finder
from tttnn.live.shard import Run
from tttnn.methods.measure import Query
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import load_causal
from tttnn.places import run_folder
from tttnn.reading import one_line, read_csv, read_parquet
from tttnn.records.manifest import is_record
from tttnn.records.runs import Record
from tttnn.retrieval.selections import hull as hull_selection
from tttnn.retrieval.selections import sift as sift_selection

__all__ = [
    "Query",
    "Recipe",
    "adapt",
    "adapted",
    "bits_per_byte",
    "hull",
    "load_model",
    "log_likelihood",
    "read_tables",
    "recipe_for",
    "search",
    "sift",
]


def load_model(
    folder: str | Path, device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model from a folder in Hugging Face format, in float32, and its tokenizer.

    Raises `ValueError` with a remedy where the folder holds none, and for a device that is not
    there; nothing is downloaded.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a name that is none; none of that name here
        said = f"device {device!r} cannot be used ({one_line(error)}): take cpu"
        raise ValueError(said) from error
    if torch.device(device).type == "meta":
        raise ValueError("device meta holds no weights: take cpu, or cuda")
    return load_causal(checked_path(folder, "the model's folder"), device=device)


def search(text: str, run: str | Path, k: int = 20, index: str | None = None) -> pd.DataFrame:
    """The k passages of a finished run that are nearest to a text, nearest first.

    `run` is the name of a run in the current folder, or the path of its `results/NAME`; `index` one
    of its indexes, None: its first. Columns: `rank` (from 0), `passage_id`, `distance` (squared
    Euclidean), `subset`, `text`. There are fewer rows where the index has fewer passages. Raises
    `ValueError` where the run has no embeddings yet, and for a text of white space alone.
    """
    if not checked_text(text).strip():
        raise ValueError("the text is empty: give one of a word or more")
    count = whole(k, "k", 1)
    return pd.DataFrame(Finder(Run(checked_path(run, "the run"), index)).neighbors(text, count))


def sift(
    candidates: npt.ArrayLike,
    query: npt.ArrayLike,
    picks: int,
    noise: float,
    replacement: bool = True,
) -> npt.NDArray[np.int64]:
    """Choose, one by one, what most reduces the posterior variance of the query (SIFT).

    The model is a Gaussian process with the vectors' inner product as kernel, of which every pick
    is an observation with variance `noise`. A candidate is picked again where that tells more than
    another would, unless `replacement` is false.

    `candidates` is (K, d), `query` (d,), of unit length as in the workflow; returns `picks` places
    among the candidates, int64, in the order picked. Raises `ValueError` for a noise that is not
    above 0, and for more picks than candidates where none may be picked twice.

    Source: Hübotter et al. 2025, arXiv 2410.08020.
    """
    rows, one = checked_vectors(candidates, query)
    count, variance = whole(picks, "picks", 1), positive(noise, "noise")
    if not replacement and count > len(rows):
        raise ValueError(
            f"picks is {count}, of {len(rows)} candidates none of which may be picked twice: lower "
            "it, or set replacement=True"
        )
    return sift_selection.sift(rows, one, count, variance, replacement)


def hull(
    candidates: npt.ArrayLike, query: npt.ArrayLike, picks: int, iterations: int = 200
) -> npt.NDArray[np.int64]:
    """Choose the texts that a convex combination near the query is made of (HullFT).

    `candidates` is (K, d), `query` (d,), of unit length as in the workflow; returns `picks` places
    among the candidates, int64, heaviest first. A text is repeated in proportion to its weight in
    the combination, copies next to each other, so there may be more picks than candidates.
    `iterations` are the Frank-Wolfe steps, at most. Raises `ValueError` for what is not so.

    Source: Khamis and Maalouf 2026, arXiv 2605.30337.
    """
    rows, one = checked_vectors(candidates, query)
    count, steps = whole(picks, "picks", 1), whole(iterations, "iterations", 1)
    return hull_selection.hull(rows, one, count, steps)


def read_tables(run: str | Path) -> Mapping[str, pd.DataFrame]:
    """A run's tables as data frames, by name: `scores`, `differences`, `costs`, …

    `run` is as for `search`, or the path of a record of a run, whose tables are compared with their
    digests. Raises `ValueError` where there are none yet.
    """
    path = checked_path(run, "the run")
    if is_record(path):
        record = Record(path)
        return {name: record.table(name) for name in record.manifest.tables}
    folder = run_folder(path) / "tables"
    files = sorted([*folder.glob("*.csv"), *folder.glob("*.parquet")])
    if not files:
        raise ValueError(
            f"{folder} holds no tables: run the workflow, or name another run, or a folder that "
            "tttnn record wrote"
        )
    return {
        file.stem: read_csv(file) if file.suffix == ".csv" else read_parquet(file) for file in files
    }
