"""A run as others read it, from its results' folder or from a record of it."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tttnn.digests import read_record
from tttnn.environment import FIELDS
from tttnn.reading import read_csv, read_json, read_parquet
from tttnn.records.manifest import (
    AGAIN,
    EVALUATION_COLUMNS,
    EVALUATIONS,
    SELECTED,
    SELECTED_COLUMNS,
    Manifest,
    Model,
    RecordError,
    Shard,
    check_tables,
    is_record,
    read_manifest,
    table_path,
    without_paths,
)
from tttnn.scores.cells import Cell, Name, read_cells
from tttnn.tables import read_table

SCORE = "make the run's tables again (rule score)"
FIRST = {"recall": "index", "indexes": "index", "distances": "candidates", "pairs": "candidates"}
"""A column of each table that says what it is; of the others, `run`."""

DOCUMENTS = ["document_id", "num_neighbors", "bytes", "before", "after"]


class Rows(NamedTuple):
    """A cell's n documents, in ascending order, at K numbers of neighbours."""

    documents: npt.NDArray[np.int64]  # [n]
    points: npt.NDArray[np.int64]  # [K], the first of them 0
    loglikelihood: npt.NDArray[np.float64]  # [n, K], natural
    bytes: npt.NDArray[np.int64]  # [n]
    words: npt.NDArray[np.int64]  # [n]
    train_tokens: npt.NDArray[np.float64]  # [n, K], up to there
    train_seconds: npt.NDArray[np.float64]  # [n, K], up to there
    evaluate_seconds: npt.NDArray[np.float64]  # [n, K], of the evaluation there alone


class Run(ABC):
    """A run's name, configuration, tables and rows, wherever they lie."""

    folder: Path
    name: str
    config: dict[str, Any]

    @abstractmethod
    def table(self, name: str) -> pd.DataFrame:
        """One of the tables of `tttnn.scores.score`; raises `ValueError` where it is missing."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether the run has this table."""

    @property
    @abstractmethod
    def cells(self) -> dict[Name, Rows]:
        """What is known of each cell at every number of neighbours; others are left out."""

    @property
    @abstractmethod
    def corpus(self) -> dict[str, Shard]:
        """The shards of the corpus."""

    @property
    @abstractmethod
    def models(self) -> dict[str, Model]:
        """The models whose files were there."""

    @property
    @abstractmethod
    def made_with(self) -> list[dict[str, str]]:
        """Each environment that evaluations were made in, once (`tttnn.environment`)."""

    @property
    @abstractmethod
    def selected(self) -> pd.DataFrame:
        """`SELECTED_COLUMNS`: each evaluated document, with the SHA-256 of its text."""


class Record(Run):
    """A run of a recorded folder."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest and compare every table with its digest; raises `ValueError`."""
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)
        check_tables(folder, self.manifest)
        self.name, self.config = self.manifest.name, self.manifest.config

    @property
    def corpus(self) -> dict[str, Shard]:
        """As the manifest has it."""
        return self.manifest.corpus

    @property
    def models(self) -> dict[str, Model]:
        """As the manifest has them."""
        return self.manifest.models

    @property
    def made_with(self) -> list[dict[str, str]]:
        """As the manifest has them."""
        return self.manifest.made_with

    def has(self, name: str) -> bool:
        """Whether the record has this table."""
        return name in self.manifest.tables

    def table(self, name: str) -> pd.DataFrame:
        """One of its tables; raises `RecordError` where it has none of this name."""
        if not self.has(name):
            raise RecordError(f"{self.folder} has no table {name}: {AGAIN}")
        return read_parquet(table_path(self.folder, name), remedy=AGAIN)

    @cached_property
    def cells(self) -> dict[Name, Rows]:
        """Every cell of the table of evaluations."""
        path = table_path(self.folder, EVALUATIONS)
        frame = self.table(EVALUATIONS)
        cells = {}
        for key, rows in frame.groupby(list(Name._fields), sort=False):
            cells[Name(*key)] = _pivoted(path, Name(*key), rows)
        return cells

    @cached_property
    def selected(self) -> pd.DataFrame:
        """The table of documents."""
        return self.table(SELECTED)


class Results(Run):
    """A run of a folder of results."""

    def __init__(self, folder: Path) -> None:
        """Read the configuration; raises `ValueError` where it is missing."""
        self.folder = folder
        path = folder / "config.json"
        if not path.is_file():
            raise ValueError(
                f"{path} is missing: the tables must stand in their run's folder, beside "
                "config.json, or in a record (tttnn record)"
            )
        self.config = read_json(path)
        self.name = self.config["run"]

    def has(self, name: str) -> bool:
        """Whether the run has this table."""
        return any((self.folder / f"tables/{name}.{kind}").is_file() for kind in ("csv", "parquet"))

    def table(self, name: str) -> pd.DataFrame:
        """One of its tables; raises `ValueError` where it is missing."""
        path = self.folder / "tables" / f"{name}.csv"
        other = path.with_suffix(".parquet")
        if other.is_file():
            return read_parquet(other, remedy=SCORE)
        if not path.is_file():
            missing = other if name == "documents" else path
            raise ValueError(f"{missing} is missing: {SCORE}")
        return read_csv(path, [FIRST[name]] if name in FIRST else [], SCORE)

    @cached_property
    def cells(self) -> dict[Name, Rows]:
        """The cells whose evaluations are there, those that mix at the share that was chosen."""
        table = self.table("documents")
        found = {}
        for key, documents in table.groupby(list(Name._fields), sort=False):
            if rows := self._rows(Name(*key), documents):
                found[Name(*key)] = rows
        return found

    def _rows(self, name: Name, documents: pd.DataFrame) -> Rows | None:
        files = sorted((self.folder / "evaluation").joinpath(*name).glob("*.parquet"))
        if not files:
            return None
        (cell,) = read_cells(files, {name.task: len(documents)})  # fewer than selected, of halves
        if not np.isnan(cell.alphas).all():
            cell = cell.at(cell.alphas[np.abs(cell.alphas - self._alpha(name)).argmin()])
        after = -cell.loglikelihood[:, -1] / cell.bytes / math.log(2)
        if not np.allclose(after, documents["after"], rtol=1e-9):
            raise ValueError(
                f"{self.folder}/tables and {self.folder}/evaluation disagree on {name}: make the "
                "tables again (rule score)"
            )
        return _of_cell(cell)

    def _alpha(self, name: Name) -> float:
        """The share of the neighbours that was chosen for a task."""
        table = self.table("alphas")
        ours = (table[list(Name._fields)] == list(name)).all(axis=1)
        chosen = table.loc[ours & table["chosen"].astype(bool), "alpha"].unique()
        if len(chosen) != 1:
            path = self.folder / "tables/alphas.csv"
            raise ValueError(f"{path} has {len(chosen)} chosen alphas of {name}: {SCORE}")
        return float(chosen[0])

    @cached_property
    def corpus(self) -> dict[str, Shard]:
        """From the shards' manifests."""
        shards = {}
        for path in sorted((self.folder / "corpus").glob("*.json")):
            told = read_record(path)
            shards[path.stem] = Shard(
                sha256=told.get("sha256"),
                documents=told["documents"],
                text_bytes=told.get("text_bytes"),
            )
        return shards

    @cached_property
    def models(self) -> dict[str, Model]:
        """From the models' manifests."""
        found = {}
        for path in sorted((self.folder / "models").glob("*/manifest.json")):
            told = read_json(path)
            files = {without_paths(name): digest for name, digest in told["files"].items()}
            kind, parameters = told.get("kind", "unknown"), told.get("parameters")
            found[path.parent.name] = Model(kind=kind, parameters=parameters, files=files)
        return found

    @cached_property
    def made_with(self) -> list[dict[str, str]]:
        """From the table of environments."""
        table = self.table("environment").query("stage == 'evaluate_part'")
        return [
            {field: str(value) for field, value in row.items()}
            for row in table[list(FIELDS)].fillna("").drop_duplicates().to_dict("records")
        ]

    @cached_property
    def selected(self) -> pd.DataFrame:
        """The documents of the evaluated tasks, by their texts."""
        tasks = list(dict.fromkeys(self.table("documents")["task"]))
        return pd.DataFrame(self._digests(tasks), columns=SELECTED_COLUMNS)

    def _digests(self, tasks: list[str]) -> Iterator[tuple[str, int, str]]:
        for task in tasks:
            path = self.folder / "queries/test" / f"{task}.parquet"
            if not path.is_file():
                raise ValueError(f"{path} is missing: select the documents again (run snakemake)")
            table = read_table(path, columns=["query_id", "text"])
            for number, text in zip(table["query_id"], table["text"], strict=True):
                yield task, number.as_py(), hashlib.sha256(text.as_py().encode()).hexdigest()


def _of_cell(cell: Cell) -> Rows:
    return Rows(
        cell.documents,
        cell.points,
        cell.loglikelihood,
        cell.bytes,
        cell.words,
        cell.train_tokens.astype(np.float64),
        cell.train_seconds,
        cell.evaluate_seconds,
    )


def _pivoted(path: Path, name: Name, frame: pd.DataFrame) -> Rows:
    """A cell of a table's rows; raises `RecordError` where documents and numbers do not match."""
    frame = frame.sort_values(["document_id", "num_neighbors"], kind="stable")
    documents, points = frame["document_id"].unique(), np.sort(frame["num_neighbors"].unique())
    shape = len(documents), len(points)
    at = frame["num_neighbors"].to_numpy()
    if len(frame) != shape[0] * shape[1] or (at.reshape(shape) != points).any():
        raise RecordError(
            f"{path}, {name}: not every document is there once at each of "
            f"{', '.join(map(str, points))} neighbours: {AGAIN}"
        )
    if points[0] != 0:
        raise RecordError(f"{path}, {name}: nothing at 0 neighbours: {AGAIN}")

    def grid(column: str) -> npt.NDArray[np.float64]:
        values = frame[column].to_numpy(np.float64).reshape(shape)
        if not np.isfinite(values).all():
            raise RecordError(f"{path}, {name}: {column} is not everywhere a number: {AGAIN}")
        return values

    sizes, words = grid("bytes"), grid("words")
    if (sizes != sizes[:, :1]).any() or (sizes <= 0).any():
        raise RecordError(f"{path}, {name}: bytes of a document change, or are below 1: {AGAIN}")
    return Rows(
        documents,
        points.astype(np.int64),
        grid("loglikelihood"),
        sizes[:, 0].astype(np.int64),
        words[:, 0].astype(np.int64),
        grid("train_tokens"),
        grid("train_seconds"),
        grid("evaluate_seconds"),
    )


def evaluations(cells: dict[Name, Rows]) -> pd.DataFrame:
    """The cells as a table of `EVALUATION_COLUMNS`, a row a document and number of neighbours."""
    frames = []
    for name, rows in cells.items():
        n, k = rows.loglikelihood.shape
        grids = {
            column: getattr(rows, column).ravel()
            for column in ("loglikelihood", "train_tokens", "train_seconds", "evaluate_seconds")
        }
        frames.append(
            pd.DataFrame(
                {
                    **name._asdict(),
                    "document_id": np.repeat(rows.documents, k),
                    "num_neighbors": np.tile(rows.points, n),
                    "bytes": np.repeat(rows.bytes, k),
                    "words": np.repeat(rows.words, k),
                    **grids,
                }
            )[EVALUATION_COLUMNS]
        )
    return pd.concat(frames, ignore_index=True)


def open_run(path: Path) -> Run:
    """The run of a record, of a results' folder, or of the folder of its tables.

    Raises `ValueError` for a folder that is none of these.
    """
    if not path.is_dir():
        raise ValueError(f"{path} is no folder: name a record, or the results' folder of a run")
    if is_record(path):
        return Record(path)
    if not (path / "config.json").is_file() and path.name == "tables":
        path = path.parent
    return Results(path)


def open_all(paths: list[Path]) -> list[Run]:
    """The runs of these folders, and of all records in those that only hold records.

    Runs of one name are called by their folders, too. Raises `ValueError` where a folder holds
    none, and where one is given twice.
    """
    runs = []
    for path in paths:
        inside = sorted(child for child in path.glob("*") if is_record(child))
        alone = is_record(path) or (path / "config.json").is_file() or path.name == "tables"
        if not alone and path.is_dir() and not inside:
            raise ValueError(
                f"{path} is neither a record nor a run's results, and holds no records: name one "
                "that has manifest.json or config.json"
            )
        runs += [open_run(child) for child in (inside if inside and not alone else [path])]
    places = [run.folder.resolve() for run in runs]
    twice = [run.name for run in runs if places.count(run.folder.resolve()) > 1]
    if twice:
        raise ValueError(f"two of the runs are called {twice[0]!r}: name each folder once")
    names = [run.name for run in runs]
    for run in runs:  # other people's runs may have the same name
        if names.count(run.name) > 1:
            run.name = f"{run.name} ({run.folder})"
    return runs
