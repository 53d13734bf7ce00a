"""Few documents: these stand for themselves where an interval would only look like knowledge."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FEW = 10
"""Documents below which they are shown themselves, and no bootstrap interval.

A percentile interval of three documents is exactly their least and their greatest, for all three
draws are the least in 1 resample of 27, more often than the 1 of 40 that is cut off; and that of n
documents is by a factor of sqrt((n - 1) / n) too narrow, at ten by 5 %.
"""


BY = ["model", "method", "num_neighbors", "task"]
"""Columns of the table `documents` that tell its documents from those of other rows."""


def of_few(documents: pd.DataFrame, row: pd.Series) -> pd.DataFrame | None:
    """The documents of a row of `differences`, if there are few; None where there are enough.

    `documents` is the table of that name, `row` of one task or of all (`pile_all`).
    """
    if row.documents >= FEW:
        return None
    found = documents
    for column in BY[:-1]:
        found = found[found[column] == row[column]]
    if row.task in set(found["task"]):
        found = found[found["task"] == row.task]
    return found
