"""What a method left out because a document's time was over is counted."""

from __future__ import annotations

import pandas as pd

from synthetic_run import row, run_score, write_rows


def test_neighbours_and_documents_are_counted_by_task(tmp_path):
    """Of three documents in two parts: one whole, one cut after its first neighbour, one before."""
    of_parts = {0: [(1, 2, 0), (2, 1, 1)], 1: [(3, 0, 2)]}
    files = []
    for part, documents in of_parts.items():
        rows = [
            row(name, count, method="quick", used_neighbors=min(count, used), over_budget=over)
            for name, used, over in documents
            for count in (0, 1, 2)
        ]
        path = tmp_path / f"evaluation/small/quick/pile_arxiv/{part}.parquet"
        files.append(write_rows(path, rows))
    plain = [row(name, count) for name in (1, 2, 3) for count in (0, 1, 2)]
    other = tmp_path / "evaluation/small/nearest/pile_arxiv/0.parquet"
    files.append(write_rows(other, plain))
    candidates = {"quick": "flat", "nearest": "flat"}
    tables = run_score(
        tmp_path,
        files,
        {"pile_arxiv": 3},
        candidates=candidates,
        halves=[],
        budgets={"quick": 2.5},
    )
    (found,) = pd.read_csv(tables / "budget.csv").to_dict("records")
    assert found == {
        "run": "made-up",
        "model": "small",
        "method": "quick",
        "task": "pile_arxiv",
        "seconds": 2.5,
        "documents": 3,
        "neighbors": 3,
        "left_out": 3,
        "documents_cut": 2,
        "documents_without": 1,
    }


def test_without_a_budget_the_table_has_no_rows(tmp_path):
    rows = [row(1, count) for count in (0, 1)]
    path = tmp_path / "evaluation/small/nearest/pile_arxiv/0.parquet"
    files = [write_rows(path, rows)]
    tables = run_score(
        tmp_path, files, {"pile_arxiv": 1}, candidates={"nearest": "flat"}, halves=[]
    )
    table = pd.read_csv(tables / "budget.csv")
    assert len(table) == 0
    assert list(table.columns)[:4] == ["run", "model", "method", "task"]
