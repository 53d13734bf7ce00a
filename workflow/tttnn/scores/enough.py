"""`tttnn enough`: how many documents an interval of a wanted width takes, from a pilot run."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, isfinite, isnan
from pathlib import Path

import pandas as pd

from tttnn.pile import ALL
from tttnn.places import run_folder
from tttnn.reading import read_csv
from tttnn.scores.few import FEW

ROW = "{:<24}{:>9}{:>12}{:>12}{:>12}"
SUFFICES = "suffices"


def needed(documents: int, half_width: float, wanted: float) -> int:
    """Documents for an interval of half-width `wanted`, where `documents` gave `half_width`.

    A mean's interval narrows with the square root of the number of documents. Of one document there
    is none, so two are the fewest.
    """
    return max(2, ceil(documents * (half_width / wanted) ** 2 * (1 - 1e-12)))


def lines(tables: Path, width: float | None) -> Iterator[str]:
    """A block for each model, of the run's main method at its largest number of neighbours."""
    rows = read_csv(tables / "differences.csv", ["run", "documents_kind", "low", "high"])
    if rows.empty:
        raise ValueError(f"{tables / 'differences.csv'} has no gain: evaluate a method first")
    rows = rows[(rows["documents_kind"] == "raw") & (rows["method"] == rows["method"].iloc[0])]
    rows = rows[rows["num_neighbors"] == rows["num_neighbors"].max()]
    confidence = f"{100 * rows['confidence'].iloc[0]:g} %"
    goal = "a tenth of the gain" if width is None else f"{width:g} bits per byte"
    yield (
        f"Run {rows['run'].iloc[0]}, {rows['method'].iloc[0]}, {rows['num_neighbors'].iloc[0]} "
        f"neighbours: documents for a {confidence} interval of the gain of ± {goal}"
    )
    suffice = False
    for model, block in rows.groupby("model", sort=False):
        yield ""
        yield ROW.format(model, "now", "gain", "± now", "needed")
        for row in block.itertuples():
            line = _row(row, width)
            suffice |= line.endswith(SUFFICES)
            yield line
    if suffice:
        yield ""
        yield f"Where it says {SUFFICES}, the documents that are there give it, or a narrower one."
    if rows.loc[rows["task"] != ALL, "documents"].min() < FEW:
        yield ""
        yield (
            f"Of fewer than {FEW} documents, an interval says little about its own width: take the "
            "numbers as orders of magnitude, and look again with more documents."
        )


def _row(row: pd.Series, width: float | None) -> str:
    half = (row.high - row.low) / 2
    wanted = abs(row.difference) / 10 if width is None else width
    found = "-"
    if not isnan(half) and wanted > 0:
        count = needed(row.documents, half, wanted)
        found = SUFFICES if count <= row.documents else f"{count:,}"
    return ROW.format(
        row.task,
        row.documents,
        f"{-row.difference:+.4f}",
        "-" if isnan(half) else f"{half:.4f}",
        found,
    )


def enough(*, run: Path, width: float | None = None) -> None:
    """Say how many documents of each task an interval of a wanted width takes, from a finished run.

    --run    a pilot with a few documents of each task: its name in this folder, or the path of its
             results/NAME
    --width  bits per byte that the gain's interval may reach to either side; without: a tenth of
             the gain

    Intervals narrow with the square root of the number of documents. `select.count` of a
    configuration is how many are drawn; a larger draw has the documents of a smaller one.
    """
    if width is not None and not (width > 0 and isfinite(width)):
        raise ValueError(f"--width is {width}: it must be a number of more than 0")
    tables = run_folder(run) / "tables"
    if not (tables / "differences.csv").is_file():
        raise ValueError(
            f"{tables / 'differences.csv'} is missing: run it to its end, or give --run one that "
            "has its tables"
        )
    print("\n".join(lines(tables, width)))
