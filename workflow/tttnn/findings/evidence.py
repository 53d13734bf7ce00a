"""A run's documents, resampled: what claims about it are measured with.

Every score is a vector of 1 + R numbers, of the documents and of R resamples of them; whatever is
computed from such vectors is one, with its interval, and paired (see `tttnn.scores.bootstrap`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tttnn.pile import TASKS
from tttnn.reading import read_csv, read_json, read_parquet
from tttnn.scores.bootstrap import resample_counts
from tttnn.scores.cells import Cell, Name, read_cells
from tttnn.sections.search import RANDOM

Samples = npt.NDArray[np.float64]
"""[1 + R]: the documents themselves, then the resamples."""

MAIN = "ttt"
"""What claims call the paper's method, which others are held against; see `Evidence.main`."""

TABLES = ("alphas", "differences", "duplicates", "efficiency", "recall", "tasks")
COLUMNS = [*Name._fields, "document_id", "num_neighbors", "bytes", "before", "after"]


class Measured(NamedTuple):
    """A number with its interval (NaN: there is none); the label says what was measured."""

    label: str
    value: float
    low: float
    high: float
    documents: int
    tasks: int


class Curve(NamedTuple):
    """One cell at K numbers of neighbours, each [1 + R, K].

    Seconds and tokens of training are means over documents, up to there; NaN where not known.
    """

    points: list[int]
    documents: int
    bits_per_byte: Samples
    train_seconds: Samples
    train_tokens: Samples


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(
            f"{path} is missing: the tables must stand in their run's folder, beside config.json"
        )
    return read_json(path)


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ValueError(f"{path} is missing: make the run's tables again (rule score)")
    return read_csv(path, ["index" if path.stem == "recall" else "run"])


def _evaluations(tables: Path, rows: pd.DataFrame) -> Iterator[Cell]:
    """The cells of a task's evaluations, where their files are there."""
    folder = tables.parent / "evaluation"
    for name, documents in rows.groupby(list(Name._fields), sort=False):
        files = sorted(folder.joinpath(*name).glob("*.parquet"))
        if not files:
            continue
        (cell,) = read_cells(files, {name[2]: len(documents)})  # fewer than selected, of halves
        if not np.isnan(cell.alphas).all():
            continue  # its documents are only known to the tables at the alpha that was chosen
        after = -cell.loglikelihood[:, -1] / cell.bytes / math.log(2)
        if not np.allclose(after, documents["after"], rtol=1e-9):
            raise ValueError(
                f"{tables} and {folder} disagree on {cell.name}: make the tables again (rule score)"
            )
        yield cell


class Evidence:
    """The run whose tables stand in this folder.

    Raises `ValueError` where a table or the run's `config.json` beside their folder is missing, and
    where tables and evaluations disagree.
    """

    def __init__(self, tables: Path) -> None:
        """Read and resample; `evaluation/` beside the tables has the numbers of neighbours between.

        Without that folder, the largest number of neighbours and 0 are all there is.
        """
        self.config = _read_json(tables.parent / "config.json")
        self.tables = {name: _read_table(tables / f"{name}.csv") for name in TABLES}
        if not (tables / "documents.parquet").is_file():
            raise ValueError(
                f"{tables}/documents.parquet is missing: make the run's tables again (rule score)"
            )
        documents = read_parquet(tables / "documents.parquet", COLUMNS)
        self.name: str = self.config["run"]
        self.main = self._main(list(documents["method"].unique()))
        self.models = list(documents["model"].unique())
        self.confidence: float = self.config["score"]["confidence"]
        self._curves: dict[Name, Curve] = {}
        for task, rows in documents.groupby("task", sort=False):
            self._resample(task, tables, rows)

    def _main(self, methods: list[str]) -> str:
        """The method that claims call `MAIN`: it, or else the first one, if that can stand for it.

        In the order of the config, as figures have it; it must train on neighbours that were
        retrieved, or what is claimed of them would be measured on something else.
        """
        first, table = methods[0], self.tables["differences"]
        if MAIN in methods or self.config["methods"][first]["kind"] != "ttt":
            return MAIN
        candidates = table.loc[table["method"] == first, "candidates"]
        return first if candidates.notna().any() and (candidates != RANDOM).all() else MAIN

    def called(self, name: str) -> str:
        """The run's name of a method that claims call so."""
        return self.main if name == MAIN else name

    def _resample(self, task: str, tables: Path, rows: pd.DataFrame) -> None:
        score = self.config["score"]
        between = {cell.name: cell for cell in _evaluations(tables, rows)}
        for key, documents in rows.groupby(list(Name._fields), sort=False):
            name, n = Name(*key), len(documents)
            drawn = resample_counts(n, score["resamples"], score["seed"], task)
            counts = np.vstack([np.ones(n), drawn])
            size = documents["bytes"].to_numpy()
            if cell := between.get(name):
                points = cell.points.tolist()
                bits = -cell.loglikelihood / math.log(2)
                seconds, tokens = cell.train_seconds, cell.train_tokens
            else:
                points = [0, int(documents["num_neighbors"].iloc[0])]
                bits = documents[["before", "after"]].to_numpy() * size[:, None]
                seconds = tokens = np.full((n, 2), math.nan)
            if points[-1] == 0:
                continue
            self._curves[name] = Curve(
                points,
                n,
                (counts @ bits) / (counts @ size)[:, None],
                counts @ seconds / n,
                counts @ tokens / n,
            )

    def tasks(self, model: str, *methods: str) -> list[str]:
        """The tasks that a model was evaluated on with all of these methods."""
        return [t for t in TASKS if all(Name(model, m, t) in self._curves for m in methods)]

    def models_with(self, *methods: str) -> list[str]:
        """The models that were evaluated with all of these methods on one task at least."""
        return [model for model in self.models if self.tasks(model, *methods)]

    def points(self, model: str, *methods: str) -> list[int]:
        """The numbers of neighbours above 0 at which all of these methods were evaluated."""
        curves = [self.curve(model, m, task) for m in methods for task in self.tasks(model, m)]
        return sorted(set.intersection(*(set(curve.points) for curve in curves)) - {0})

    def curve(self, model: str, method: str, task: str) -> Curve:
        """A cell's curve."""
        return self._curves[Name(model, method, task)]

    def mean(
        self,
        model: str,
        method: str,
        point: int,
        tasks: list[str],
        column: str = "bits_per_byte",
    ) -> Samples:
        """The mean over these tasks with the Pile's weights (paper section 5), renormalised."""
        total = math.fsum(TASKS[task].weight for task in tasks)
        curves = [(TASKS[t].weight / total, self.curve(model, method, t)) for t in tasks]
        return sum(w * getattr(c, column)[:, c.points.index(point)] for w, c in curves)

    def measured(
        self, label: str, samples: Samples, model: str, method: str, tasks: list[str]
    ) -> Measured:
        """The number and its interval: percentiles, none where no task has a second document."""
        counts = [self.curve(model, method, task).documents for task in tasks]
        low = high = math.nan
        if max(counts) > 1 and np.isfinite(samples).all():
            tail = (1 - self.confidence) / 2
            low, high = np.quantile(samples[1:], [tail, 1 - tail])
        return Measured(label, float(samples[0]), low, high, sum(counts), len(tasks))
