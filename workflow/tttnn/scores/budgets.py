"""What methods left out because a document's time was over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tttnn.scores.cells import Name
from tttnn.tables import read_table

BUDGET_COLUMNS = [
    "run",
    "model",
    "method",
    "task",
    "seconds",
    "documents",
    "neighbors",
    "left_out",
    "documents_cut",
    "documents_without",
]
"""Of `budget.csv`."""


def budget_rows(
    paths: list[Path], budgets: Mapping[str, float], run: str
) -> Iterator[dict[str, Any]]:
    """A row for each model and task of a method with a budget, of its seconds a document.

    `paths` are `…/{model}/{method}/{task}/{part}.parquet`. Of all documents: neighbours that were
    used, and that were left out; documents of which some were left out, and that had to do without
    any.
    """
    cells: dict[Name, list[pd.DataFrame]] = {}
    for path in paths:
        name = Name(*path.parts[-4:-1])
        if name.method in budgets:
            columns = ["document_id", "num_neighbors", "used_neighbors", "over_budget"]
            cells.setdefault(name, []).append(read_table(path, columns=columns).to_pandas())
    for name, frames in cells.items():
        rows = pd.concat(frames).sort_values("num_neighbors", kind="stable")
        last = rows.groupby("document_id").last()
        cut = last["over_budget"] > 0
        yield {
            "run": run,
            **name._asdict(),
            "seconds": budgets[name.method],
            "documents": len(last),
            "neighbors": int(last["used_neighbors"].sum()),
            "left_out": int(last["over_budget"].sum()),
            "documents_cut": int(cut.sum()),
            "documents_without": int((cut & (last["used_neighbors"] == 0)).sum()),
        }
