"""A run's documents, resampled: what claims about it are measured with.

Every score is a vector of 1 + R numbers, of the documents and of R resamples of them; whatever is
computed from such vectors is one, with its interval, and paired (see `tttnn.scores.bootstrap`).
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tttnn.pile import TASKS
from tttnn.records.runs import Run
from tttnn.scores.bootstrap import resample_counts
from tttnn.scores.cells import Name
from tttnn.sections.search import RANDOM

Samples = npt.NDArray[np.float64]
"""[1 + R]: the documents themselves, then the resamples."""

MAIN = "ttt"
"""What claims call the paper's method, which others are held against; see `Evidence.main`."""

TABLES = ("alphas", "differences", "duplicates", "efficiency", "recall", "tasks")
COLUMNS = [
    *Name._fields,
    *("document_id", "num_neighbors", "bytes", "before", "after", "overlap", "copied"),
]


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


class Documents(NamedTuple):
    """A cell's documents one by one, before and after the most neighbours."""

    bytes: npt.NDArray[np.float64]  # [n]
    before: npt.NDArray[np.float64]  # [n], bits
    after: npt.NDArray[np.float64]  # [n], bits
    overlap: npt.NDArray[np.float64]  # [n], the largest of the neighbours'
    copied: npt.NDArray[np.bool_]  # [n], whether a neighbour is a near-copy


class Evidence:
    """A run, from its results or from a record (`tttnn.records.runs`).

    Raises `ValueError` where a table or the run's `config.json` is missing, and where tables and
    evaluations disagree.
    """

    def __init__(self, run: Run) -> None:
        """Read and resample; a run's evaluations have the numbers of neighbours between.

        Without them, the largest number of neighbours and 0 are all there is.
        """
        self.run, self.config, self.name = run, run.config, run.name
        self.tables = {name: run.table(name) for name in TABLES}
        documents = run.table("documents")
        if missing := [column for column in COLUMNS if column not in documents]:
            raise ValueError(
                f"{run.folder}: the table documents has no column {missing[0]!r}: make the run's "
                "tables again (rule score)"
            )
        self.main = self._main(list(documents["method"].unique()))
        self.models = list(documents["model"].unique())
        self.confidence: float = self.config["score"]["confidence"]
        self._curves: dict[Name, Curve] = {}
        self._idle: set[Name] = set()  # as without room for a neighbour: nothing to be judged by
        self.documents: dict[Name, Documents] = {}
        for task, rows in documents.groupby("task", sort=False):
            self._resample(task, rows)

    def only(self, models: list[str]) -> Evidence:
        """The same run with some of its models alone."""
        chosen = copy.copy(self)
        chosen.models = [model for model in self.models if model in models]
        return chosen

    def counts(self, n: int, task: str) -> Samples:
        """[1 + R, n]: how often each of a task's documents counts, and in each resample."""
        score = self.config["score"]
        drawn = resample_counts(n, score["resamples"], score["seed"], task)
        return np.vstack([np.ones(n), drawn])

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

    def _resample(self, task: str, rows: pd.DataFrame) -> None:
        for key, documents in rows.groupby(list(Name._fields), sort=False):
            name, n = Name(*key), len(documents)
            counts = self.counts(n, task)
            size = documents["bytes"].to_numpy()
            ends = documents[["before", "after"]].to_numpy() * size[:, None]
            if cell := self.run.cells.get(name):
                points = cell.points.tolist()
                bits = -cell.loglikelihood / math.log(2)
                seconds, tokens = cell.train_seconds, cell.train_tokens
            else:
                points = [0, int(documents["num_neighbors"].iloc[0])]
                bits = ends
                seconds = tokens = np.full((n, 2), math.nan)
            if points[-1] == 0:
                continue
            if name.method != self.main and (ends[:, 0] == ends[:, 1]).all():
                self._idle.add(name)
            self._curves[name] = Curve(
                points,
                n,
                (counts @ bits) / (counts @ size)[:, None],
                counts @ seconds / n,
                counts @ tokens / n,
            )
            self.documents[name] = Documents(
                size.astype(np.float64),
                ends[:, 0],
                ends[:, 1],
                documents["overlap"].to_numpy(),
                documents["copied"].to_numpy(bool),
            )

    def tasks(self, model: str, *methods: str) -> list[str]:
        """The tasks that a model was evaluated on with all these methods, which changed it."""
        changed = self._curves.keys() - self._idle
        return [t for t in TASKS if all(Name(model, m, t) in changed for m in methods)]

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
