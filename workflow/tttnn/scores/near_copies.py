"""What a near-copy is, which documents have none, and with which a method could do nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tttnn.scores.cells import Cell, Name
from tttnn.sections.score import Score

Mask = npt.NDArray[np.bool_]


def copied(cell: Cell, spec: Score) -> Mask:
    """[n], which documents one of the cell's neighbours is a near-copy of."""
    return (
        cell.exact | (cell.overlap >= spec.clean_below) | (cell.jaccard >= spec.clean_jaccard_below)
    )


def clean_documents(cells: list[Cell], spec: Score) -> dict[str, set[int]]:
    """For each task, the documents that no cell's neighbours nearly copy.

    Of a task, and not of a cell, so that methods are compared on the same documents.
    """
    everything: dict[str, set[int]] = {}
    copies: dict[str, set[int]] = {}
    for cell in cells:
        task = cell.name.task
        everything.setdefault(task, set()).update(cell.documents.tolist())
        copies.setdefault(task, set()).update(cell.documents[copied(cell, spec)].tolist())
    return {task: everything[task] - copies[task] for task in everything}


def unchanged_documents(
    cells: list[Cell], keep: dict[str, set[int]] | None
) -> dict[Name, npt.NDArray[np.int64]]:
    """For each cell, [K], how many documents are exactly as likely as without neighbours.

    As in context, where a document leaves no room in the model's window. Of the documents that a
    task has in `keep`, if that is given.
    """
    counts = {}
    for cell in cells:
        same = cell.loglikelihood == cell.loglikelihood[:, :1]
        if keep is not None:
            same = same[np.isin(cell.documents, list(keep.get(cell.name.task, ())))]
        counts[cell.name] = same.sum(axis=0)
    return counts
