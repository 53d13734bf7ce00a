"""What a near-copy is, and which documents have none among their neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tttnn.scores.cells import Cell
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
