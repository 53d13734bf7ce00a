"""Evaluation rows of one model, method and task, read and checked as a whole.

Cell: all documents of a task, evaluated with one model and one method.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = [
    "model",
    "method",
    "task",
    "document_id",
    "num_neighbors",
    "loglikelihood",
    "bytes",
    "words",
    "train_tokens",
    "train_seconds",
    "evaluate_seconds",
    "overlap",
]


class Name(NamedTuple):
    """What a cell is called."""

    model: str
    method: str
    task: str

    def __str__(self) -> str:
        return "/".join(self)


class Cell(NamedTuple):
    """n documents in ascending order, evaluated at K numbers of neighbors, the first of them 0."""

    name: Name
    documents: npt.NDArray[np.int64]  # [n]
    points: npt.NDArray[np.int64]  # [K]
    loglikelihood: npt.NDArray[np.float64]  # [n, K], natural log
    bytes: npt.NDArray[np.int64]  # [n]
    words: npt.NDArray[np.int64]  # [n]
    overlap: npt.NDArray[np.float64]  # [n], at the largest number of neighbors
    train_tokens: npt.NDArray[np.int64]  # [n], up to there
    train_seconds: npt.NDArray[np.float64]  # [n], up to there
    evaluate_seconds: npt.NDArray[np.float64]  # [n], mean over the K evaluations


def _read_part(path: Path, name: Name) -> pd.DataFrame:
    try:
        table = pq.ParquetFile(path).read()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} cannot be read ({error}): delete it and run again") from None
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


def _read_cell(name: Name, paths: list[Path], selected: int) -> Cell | None:
    frame = pd.concat([_read_part(path, name) for path in paths], ignore_index=True)
    frame = frame.sort_values(["document_id", "num_neighbors"], kind="stable")
    documents = frame["document_id"].unique()
    points = np.sort(frame["num_neighbors"].unique())
    twice = frame[frame.duplicated(["document_id", "num_neighbors"])]
    if len(twice):
        row = twice.iloc[0]
        raise ValueError(
            f"{name}: document {row.document_id} is there twice at {row.num_neighbors} neighbors: "
            "delete this cell's folder and run again"
        )
    if len(documents) != selected:
        raise ValueError(
            f"{name}: {len(documents)} documents evaluated, {selected} selected: evaluate the "
            "missing ones, or delete what an earlier selection left"
        )
    if not selected:
        return None
    if len(frame) != len(documents) * len(points):
        counts = frame.groupby("document_id").size()
        raise ValueError(
            f"{name}: document {counts.idxmin()} lacks some of the evaluations at "
            f"{', '.join(map(str, points))} neighbors: evaluate it again"
        )
    if points[0] != 0:
        raise ValueError(f"{name}: not evaluated at 0 neighbors: put 0 first in evaluate_at")
    for column in ("loglikelihood", "overlap"):
        broken = frame[~np.isfinite(frame[column])]
        if len(broken):
            row = broken.iloc[0]
            raise ValueError(
                f"{name}: {column} of document {row.document_id} is {row[column]} at "
                f"{row.num_neighbors} neighbors: did training diverge? Try a lower learning_rate"
            )
    last = frame[frame["num_neighbors"] == points[-1]]
    grid = (len(documents), len(points))
    return Cell(
        name,
        documents,
        points.astype(np.int64),
        frame["loglikelihood"].to_numpy().reshape(grid),
        _same_everywhere(frame, name, "bytes"),
        _same_everywhere(frame, name, "words"),
        last["overlap"].to_numpy(),
        last["train_tokens"].to_numpy(),
        last["train_seconds"].to_numpy(),
        frame["evaluate_seconds"].to_numpy().reshape(grid).mean(axis=1),
    )


def read_cells(paths: list[Path], selected: dict[str, int]) -> list[Cell]:
    """Read every `…/{model}/{method}/{task}/{part}.parquet`; cells in the order of the paths.

    `selected` is the number of documents for each task. Cells of a task without documents are left
    out.

    Raises `ValueError`, naming file or cell, when a file is broken or in the wrong folder; when a
    cell lacks documents or evaluations, or has some twice, or holds a number that is none; and when
    the cells of a task were not evaluated on the same documents, or those of a model and method not
    at the same numbers of neighbors.
    """
    parts: dict[Name, list[Path]] = {}
    for path in paths:
        name = Name(*path.parts[-4:-1])
        if name.task not in selected:
            raise ValueError(f"{path}: {name.task!r} is not among the selected tasks")
        parts.setdefault(name, []).append(path)
    cells = [
        cell
        for name, files in parts.items()
        if (cell := _read_cell(name, files, selected[name.task])) is not None
    ]
    of_task: dict[str, Cell] = {}
    of_pair: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        model, method, task = cell.name
        other = of_task.setdefault(task, cell)
        if not np.array_equal(cell.documents, other.documents):
            raise ValueError(
                f"{cell.name} and {other.name} were not evaluated on the same documents: evaluate "
                "both again"
            )
        other = of_pair.setdefault((model, method), cell)
        if not np.array_equal(cell.points, other.points):
            raise ValueError(
                f"{cell.name} and {other.name} were not evaluated at the same numbers of "
                "neighbors: evaluate both again"
            )
    return cells
