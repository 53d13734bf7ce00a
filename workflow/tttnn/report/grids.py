"""Tables as the page takes them: columns with their digits, and rows of plain values."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

MOST_ROWS = 5_000
"""Of a table within the page; the file beside it has them all."""

SIGNIFICANT, DIGITS = 7, 4  # of a number in the page, and as it is printed
WIDE = 1e4  # a column of this span of sizes has no common number of decimals
CHOICES = 60  # a column of words of as many values, at most, is filtered by a list


NAMES = ("model", "method", "task")  # these stay at the left


class Column(NamedTuple):
    """A column: `kind` is text, whole, fixed or significant; `digits` go with the last two."""

    name: str
    kind: str
    digits: int
    choices: list[str]


class Grid(NamedTuple):
    """A table: its columns, rows of JSON's values, and how many rows its file has."""

    columns: list[Column]
    rows: list[list[Any]]
    total: int


def _decimals(values: pd.Series) -> tuple[str, int]:
    """How numbers that are not whole are printed: alike, or each with as many digits."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)].to_numpy(np.float64))
    if not len(sizes):
        return "fixed", 1
    low, middle, high = np.quantile(sizes, [0.05, 0.5, 0.95])
    if high / low > WIDE:
        return "significant", DIGITS
    return "fixed", int(np.clip(DIGITS - 1 - math.floor(math.log10(middle)), 0, 8))


def _column(name: str, values: pd.Series) -> Column:
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        words = sorted({_plain(value) for value in values} - {None})
        return Column(name, "text", 0, words if 1 < len(words) <= CHOICES else [])
    known = values.dropna()
    if (known == known.round()).all():
        return Column(name, "whole", 0, [])
    return Column(name, *_decimals(known), [])


def _plain(value: Any) -> Any:
    """A cell as JSON has it: no NaN, numbers to `SIGNIFICANT` digits, the rest words."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{SIGNIFICANT}g}") if math.isfinite(value) else None
    return None if value is None or value is pd.NA else str(value)


def grid(table: pd.DataFrame) -> Grid:
    """A table without the run's name, which is the page's, and with at most `MOST_ROWS` rows.

    A column without any value is text. Columns that say the same in every row are the last ones, so
    that what differs is seen without moving the table sideways.
    """
    shown = table.drop(columns=["run"], errors="ignore").head(MOST_ROWS)
    same = [name for name in shown if name not in NAMES and shown[name].nunique(dropna=False) < 2]
    if len(shown) > 1:
        shown = shown[[name for name in shown if name not in same] + same]
    columns = [_column(str(name), shown[name]) for name in shown.columns]
    rows = [[_plain(value) for value in row] for row in shown.itertuples(index=False)]
    return Grid(columns, rows, len(table))
