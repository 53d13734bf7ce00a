"""Evaluation rows of one model, method and task, read and checked as a whole.

Cell: all documents of a task, evaluated with one model and one method.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from tttnn.corpus.omissions import left_out
from tttnn.tables import open_table, read_table

KEY = ["document_id", "num_neighbors", "alpha"]
"""What a row of a cell is about."""

COLUMNS = [
    "model",
    "method",
    "task",
    *KEY,
    "loglikelihood",
    "bytes",
    "words",
    "lost_characters",
    "train_tokens",
    "train_seconds",
    "evaluate_seconds",
    "exact",
    "overlap",
    "jaccard",
]


class Name(NamedTuple):
    """What a cell is called."""

    model: str
    method: str
    task: str

    def __str__(self) -> str:
        return "/".join(self)


class Cell(NamedTuple):
    """n documents in ascending order, evaluated at K numbers of neighbours, the first of them 0.

    Where neighbours are mixed into predictions there are A shares alpha of them, else one, NaN.
    """

    name: Name
    documents: npt.NDArray[np.int64]  # [n]
    points: npt.NDArray[np.int64]  # [K]
    alphas: npt.NDArray[np.float64]  # [A]
    grid: npt.NDArray[np.float64]  # [n, K, A], natural log; at 0 neighbours all alphas are equal
    bytes: npt.NDArray[np.int64]  # [n]
    words: npt.NDArray[np.int64]  # [n]
    lost: npt.NDArray[np.float64]  # [n], characters without a token (`tttnn.spans`), NaN: unknown
    # of the neighbours, the largest at the largest number of them
    exact: npt.NDArray[np.bool_]  # [n]
    overlap: npt.NDArray[np.float64]  # [n]
    jaccard: npt.NDArray[np.float64]  # [n]
    train_tokens: npt.NDArray[np.int64]  # [n, K], up to there
    train_seconds: npt.NDArray[np.float64]  # [n, K], up to there
    evaluate_seconds: npt.NDArray[np.float64]  # [n, K], of the evaluation there alone

    @property
    def loglikelihood(self) -> npt.NDArray[np.float64]:
        """[n, K], of a cell with one alpha."""
        (only,) = np.moveaxis(self.grid, 2, 0)
        return only

    def at(self, alpha: float) -> Cell:
        """The cell with one of its alphas alone."""
        (place,) = np.flatnonzero(self.alphas == alpha)
        return self._replace(alphas=self.alphas[[place]], grid=self.grid[:, :, [place]])


def read_left_out(paths: list[Path]) -> dict[str, set[int]]:
    """For each task, the documents that its files list as left out (`tttnn.corpus.omissions`)."""
    omitted: dict[str, set[int]] = {}
    for path in paths:
        task = omitted.setdefault(Name(*path.parts[-4:-1]).task, set())
        task.update(left_out(open_table(path).schema_arrow))
    return omitted


def _read_part(path: Path, name: Name) -> pd.DataFrame:
    table = read_table(path)
    missing = [column for column in COLUMNS if column not in table.column_names]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}: evaluate this part again")
    frame = table.select(COLUMNS).to_pandas()
    for column, expected in name._asdict().items():
        strays = frame.loc[frame[column] != expected, column]
        if len(strays):
            raise ValueError(
                f"{path} holds {column} {strays.iloc[0]!r}, its folder says {expected!r}: "
                "was it copied from elsewhere?"
            )
    return frame


def _same_everywhere(values: pd.DataFrame, name: Name, column: str) -> npt.NDArray[np.int64]:
    grid = values[column].to_numpy().reshape(values["document_id"].nunique(), -1)
    if (grid != grid[:, :1]).any() or (grid <= 0).any():
        raise ValueError(f"{name}: {column} of a document must be positive and must not change")
    return grid[:, 0]


def _check_documents(frame: pd.DataFrame, name: Name, selected: int) -> None:
    """Raises `ValueError` for a row that is there twice, and for documents too few or too many."""
    twice = frame[frame.duplicated(KEY)]
    if len(twice):
        row = twice.iloc[0]
        raise ValueError(
            f"{name}: document {row.document_id} is there twice at {row.num_neighbors} neighbours: "
            "delete this cell's folder and run again"
        )
    documents = frame["document_id"].nunique()
    if documents != selected:
        raise ValueError(
            f"{name}: {documents} documents evaluated, {selected} selected: evaluate the "
            "missing ones, or delete what an earlier selection left"
        )


def _check_points(frame: pd.DataFrame, name: Name, points: npt.NDArray[Any], columns: int) -> None:
    """Raises `ValueError` for a document that lacks one of its `columns` evaluations."""
    counts = frame.groupby("document_id").size()
    if len(frame) != len(counts) * columns:
        raise ValueError(
            f"{name}: document {counts.idxmin()} lacks some of the evaluations at "
            f"{', '.join(map(str, points))} neighbours: evaluate it again"
        )
    if points[0] != 0:
        raise ValueError(f"{name}: not evaluated at 0 neighbours: put 0 first in evaluate_at")


def _check_numbers(frame: pd.DataFrame, name: Name) -> None:
    """Raises `ValueError` for what is not finite."""
    for column in ("loglikelihood", "overlap", "jaccard"):
        broken = frame[~np.isfinite(frame[column])]
        if len(broken):
            row = broken.iloc[0]
            raise ValueError(
                f"{name}: {column} of document {row.document_id} is {row[column]} at "
                f"{row.num_neighbors} neighbours: did training diverge? Try a lower learning_rate"
            )


def _read_cell(name: Name, paths: list[Path], selected: int) -> Cell | None:
    """The cell of these files, None of no documents.

    Sorted by `KEY`, their rows are a table with a line for each document and a column for each
    evaluation. At 0 neighbours nothing is mixed, so there is one column; here are those of A = 2
    alphas at K = 3 numbers of neighbours:

        number of neighbours   0 |   1    1 |   5    5
        alpha                 - | 0.1  0.2 | 0.1  0.2
        column                0 |   1    2 |   3    4
    """
    frame = pd.concat([_read_part(path, name) for path in paths], ignore_index=True)
    frame = frame.sort_values(KEY, kind="stable")
    _check_documents(frame, name, selected)
    if not selected:
        return None
    documents = frame["document_id"].unique()
    points = np.sort(frame["num_neighbors"].unique())
    alphas = np.sort(frame.loc[frame["num_neighbors"] > 0, "alpha"].dropna().unique())
    if not len(alphas):
        alphas = np.array([np.nan])
    columns = 1 + (len(points) - 1) * len(alphas)
    _check_points(frame, name, points, columns)
    _check_numbers(frame, name)

    def table(column: str) -> npt.NDArray[Any]:
        return frame[column].to_numpy().reshape(len(documents), columns)

    def by_points(column: str) -> npt.NDArray[Any]:
        """[n, K], of what is the same for every alpha: the first one's."""
        return table(column)[:, [0, *range(1, columns, len(alphas))]]

    likelihood = table("loglikelihood")
    before = np.repeat(likelihood[:, :1, None], len(alphas), axis=2)
    after = likelihood[:, 1:].reshape(len(documents), len(points) - 1, len(alphas))
    return Cell(
        name,
        documents,
        points.astype(np.int64),
        alphas,
        np.concatenate([before, after], axis=1),
        _same_everywhere(frame, name, "bytes"),
        _same_everywhere(frame, name, "words"),
        table("lost_characters")[:, 0].astype(np.float64),
        table("exact")[:, -1].astype(bool),
        table("overlap")[:, -1],
        table("jaccard")[:, -1],
        by_points("train_tokens"),
        by_points("train_seconds"),
        by_points("evaluate_seconds"),
    )


def read_cells(paths: list[Path], selected: dict[str, int]) -> list[Cell]:
    """Read every `…/{model}/{method}/{task}/{part}.parquet`; cells in the order of the paths.

    `selected` is the number of documents for each task. Cells of a task without documents are left
    out.

    Raises `ValueError`, naming file or cell, when a file is broken or in the wrong folder; when a
    cell lacks documents or evaluations, or has some twice, or holds a number that is none; and when
    the cells of a task were not evaluated on the same documents, or those of a model and method not
    at the same numbers of neighbours.
    """
    parts: dict[Name, list[Path]] = {}
    for path in paths:
        name = Name(*path.parts[-4:-1])
        if name.task not in selected:
            raise ValueError(f"{path}: {name.task!r} is not among the selected tasks")
        parts.setdefault(name, []).append(path)
    cells = [
        cell
        for name, files in tqdm(
            parts.items(), desc="reading", unit=" cells", mininterval=5, delay=5
        )
        if (cell := _read_cell(name, files, selected[name.task])) is not None
    ]
    first_on: dict[str, Cell] = {}
    first_with: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        model, method, task = cell.name
        other = first_on.setdefault(task, cell)
        if not np.array_equal(cell.documents, other.documents):
            raise ValueError(
                f"{cell.name} and {other.name} were not evaluated on the same documents: evaluate "
                "both again"
            )
        other = first_with.setdefault((model, method), cell)
        if not np.array_equal(cell.points, other.points):
            raise ValueError(
                f"{cell.name} and {other.name} were not evaluated at the same numbers of "
                "neighbours: evaluate both again"
            )
    return cells
