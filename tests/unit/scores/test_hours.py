"""What hours left out, task by task, against numbers by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from synthetic_run import write_selection
from tttnn.scores.hours import COLUMNS, HoursSpec, list_hours

SPEC = HoursSpec.model_validate(
    {
        "run": "mine",
        "afforded": {
            "hours": 2.0,
            "select": {"count": 6},
            "documents": {"pile_enron": 40, "pile_arxiv": 10},  # the plan's: arXiv has fewer
            "jobs": {"pile_enron": 72.0, "pile_arxiv": 36.0},
            "document": {"pile_enron": 180.0, "pile_arxiv": 900.0},
        },
    }
)


def test_a_task_s_row_has_what_is_there_drawn_and_left_out(tmp_path):
    # five times as many are there as are drawn
    counts = {"pile_arxiv": 2, "pile_enron": 6, "pile_github": 6}
    selection = write_selection(tmp_path / "selection.json", counts)
    list_hours(SPEC, selection, tmp_path / "hours.csv")
    table = pd.read_csv(tmp_path / "hours.csv")
    assert list(table.columns) == COLUMNS
    assert table.to_dict("records") == [
        {
            "run": "mine", "task": "pile_arxiv", "documents": 10, "selected": 2, "left_out": 8,
            "hours": 2.0, "expected_hours": pytest.approx((36 + 2 * 900) / 3600),
        },
        {
            "run": "mine", "task": "pile_enron", "documents": 30, "selected": 6, "left_out": 24,
            "hours": 2.0, "expected_hours": pytest.approx((72 + 6 * 180) / 3600),
        },
    ]  # fmt: skip
