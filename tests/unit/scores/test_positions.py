"""Bits per byte by position, against sums by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tttnn.methods.evaluate_windows import WINDOWS
from tttnn.scores.positions import COLUMNS, PositionsSpec, score_windows
from tttnn.tables import write_table

LIKE = {"document": ("document", False, None), "past": ("past", True, None)}
LIKE |= {"first": ("none", False, 64)}
BITS = math.log(2)


def write_windows(results: Path, method: str, task: str, values: dict, more: int = 0) -> None:
    """`values` by document: a list a window of (bytes, bits at 0, bits at the most)."""
    query, carry, chunk = LIKE[method]
    rows = [
        {
            "model": "m", "method": method, "task": task, "query": query, "carry": carry,
            "chunk_tokens": chunk, "document_id": document, "window": place,
            "windows": len(windows) + more, "num_neighbors": count,
            "loglikelihood": -BITS * bits, "bytes": size, "words": 1, "tokens": 1,
        }
        for document, windows in values.items()
        for place, (size, *both) in enumerate(windows)
        for count, bits in zip((0, 2), both, strict=True)
    ]  # fmt: skip
    path = results / "windows/m" / method / task / "0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pa.Table.from_pylist(rows, schema=WINDOWS))


def spec(*cells: tuple[str, str]) -> PositionsSpec:
    listed = [("m", method, task, 1) for method, task in cells]
    return PositionsSpec(run="r", cells=listed, resamples=500, confidence=0.9, seed=1)


def made(results: Path, *cells: tuple[str, str]) -> pd.DataFrame:
    score_windows(spec(*cells), results, results / "positions.csv")
    return pd.read_csv(results / "positions.csv")


ARXIV = {
    4: [(10, 20, 10), (10, 30, 15), (5, 5, 5)],
    9: [(20, 20, 20), (4, 8, 2)],
}
BETTER = {
    4: [(10, 20, 8), (10, 30, 15), (5, 5, 1)],
    9: [(20, 20, 16), (4, 8, 2)],
}


def test_numbers_by_hand(tmp_path):
    write_windows(tmp_path, "document", "pile_arxiv", ARXIV, more=1)
    write_windows(tmp_path, "past", "pile_arxiv", BETTER, more=1)
    write_windows(tmp_path, "first", "pile_arxiv", BETTER)
    table = made(
        tmp_path, ("document", "pile_arxiv"), ("past", "pile_arxiv"), ("first", "pile_arxiv")
    )
    assert [*table] == COLUMNS
    assert set(table["windows_kind"]) == {"all"}
    rows = table[table["task"] == "pile_arxiv"].set_index(["method", "by", "position"])
    assert set(rows.loc["past"].index) == {
        ("document", 1), *(("window", n) for n in (1, 2, 3)),
        # of 3 windows the 1st, 2nd and 4th fifth, of 2 the 1st and 3rd
        *(("fifth", n) for n in (1, 2, 3, 4)),
    }  # fmt: skip
    whole = rows.loc[("past", "document", 1)]
    assert whole[["before", "value", "against_value"]].tolist() == pytest.approx(
        [83 / 49, 42 / 49, 52 / 49]
    )
    assert whole["change"] == pytest.approx(-41 / 49)
    assert whole["difference"] == pytest.approx(-10 / 49)
    assert whole[["documents", "windows", "left_out", "tasks"]].tolist() == [2, 5, 2, 1]
    third = rows.loc[("past", "window", 3)]
    assert third[["value", "documents", "windows"]].tolist() == pytest.approx([1 / 5, 1, 1])
    assert math.isnan(third["low"])
    assert math.isnan(third["difference_low"])
    fourth = rows.loc[("past", "fifth", 4)]
    assert fourth["value"] == third["value"]
    told = rows.loc[("past", "window", 1), ["query", "carry", "against", "against_num_neighbors"]]
    assert told.tolist() == ["past", True, "document", 2]
    # times are no neighbours: against all of the other's
    assert rows.loc[("first", "document", 1), "against_num_neighbors"] == 2
    assert rows.loc[("first", "document", 1), "chunk_tokens"] == 64
    assert rows.loc["document"]["against"].isna().all()


def test_intervals_are_of_the_paired_difference_over_documents(tmp_path):
    """Of two documents, drawn with replacement: both (half of the time), or one of them twice."""
    write_windows(tmp_path, "document", "pile_arxiv", ARXIV)
    write_windows(tmp_path, "past", "pile_arxiv", BETTER)
    table = made(tmp_path, ("document", "pile_arxiv"), ("past", "pile_arxiv"))
    row = table[(table["method"] == "past") & (table["by"] == "document")].iloc[0]
    each = [(24 - 30) / 25, (18 - 22) / 24]
    assert row[["difference_low", "difference_high"]].tolist() == pytest.approx(sorted(each))
    assert row["change_low"] == pytest.approx(min((24 - 55) / 25, (18 - 28) / 24))


def test_long_documents_and_tasks_together(tmp_path):
    """Long ones have five windows; of all tasks it is the mean by the Pile's weights."""
    books = {1: [(1, 2, 1)] * 6, 2: [(1, 4, 2)] * 2}
    write_windows(tmp_path, "document", "pile_arxiv", {4: [(1, 8, 4)] * 5})
    write_windows(tmp_path, "document", "pile_books3", books)
    table = made(tmp_path, ("document", "pile_arxiv"), ("document", "pile_books3"))
    rows = table[table["by"] == "document"].set_index(["windows_kind", "task"])
    assert rows.loc[("all", "pile_books3"), ["value", "documents"]].tolist() == pytest.approx(
        [10 / 8, 2]
    )
    assert rows.loc[("long", "pile_books3"), ["value", "documents"]].tolist() == pytest.approx(
        [1, 1]
    )
    weights = {"arxiv": 8.96, "books3": 12.07}  # per cent of the Pile (Gao et al. 2020, table 1)
    mean = np.average([4, 1], weights=list(weights.values()))
    both = rows.loc[("long", "pile_all")]
    assert both["value"] == pytest.approx(mean, rel=1e-2)
    assert both[["documents", "tasks"]].tolist() == [2, 2]
    assert math.isnan(both["low"])


def test_other_windows_are_not_compared(tmp_path):
    write_windows(tmp_path, "document", "pile_arxiv", ARXIV)
    write_windows(tmp_path, "past", "pile_arxiv", {4: ARXIV[4]})
    with pytest.raises(ValueError, match="past and document were not evaluated on the same"):
        made(tmp_path, ("document", "pile_arxiv"), ("past", "pile_arxiv"))


def test_windows_of_another_method_are_refused(tmp_path):
    write_windows(tmp_path, "document", "pile_arxiv", ARXIV)
    here = tmp_path / "windows/m/past/pile_arxiv/0.parquet"
    here.parent.mkdir(parents=True)
    here.write_bytes((tmp_path / "windows/m/document/pile_arxiv/0.parquet").read_bytes())
    with pytest.raises(ValueError, match=r"0\.parquet"):
        made(tmp_path, ("past", "pile_arxiv"))
