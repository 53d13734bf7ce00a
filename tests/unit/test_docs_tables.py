"""docs/tables.md has every column of every table that the code writes, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from documented import COLUMNS, ROOT, check_columns, columns_of
from synthetic_run import make_run
from tttnn.published import compare, follow_ups
from tttnn.retrieval.distances import PAIRS_SCHEMA
from tttnn.scores import experts, hours, positions, tuning


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return make_run(folder, {"pile_arxiv": 4, "pile_github": 3}, resamples=20)


def test_of_the_tables_that_every_run_has(tables):
    found = {path.stem: path for path in tables.iterdir() if path.suffix in (".csv", ".parquet")}
    assert len(found) > 10
    for name, path in found.items():
        if name != "recall":  # the synthetic run's is written by hand
            check_columns(name, columns_of(path))


@pytest.mark.parametrize(
    ("table", "written"),
    [
        ("experts", experts.COLUMNS),
        ("hours", hours.COLUMNS),
        ("positions", positions.COLUMNS),
        ("tuning", tuning.CHOICE_COLUMNS),
        ("side_by_side", compare.COLUMNS),
        ("follow_ups", follow_ups.COLUMNS),
        ("pairs", PAIRS_SCHEMA.names),
    ],
)
def test_of_the_tables_that_some_runs_have(table, written):
    check_columns(table, list(written))


def test_every_table_that_a_rule_writes_has_a_section():
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    assert set(re.findall(r'"<results>/tables/(\w+)\.\w+"', rules)) <= COLUMNS.keys()
