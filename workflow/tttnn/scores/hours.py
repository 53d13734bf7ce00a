"""What was left out because the hours of a run's evaluations are over."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tttnn.files import replacing
from tttnn.pile import TASKS
from tttnn.scores.inventory import read_selection
from tttnn.sections.base import Section
from tttnn.sections.hours import Afforded

COLUMNS = ["run", "task", "documents", "selected", "left_out", "hours", "expected_hours"]
"""Of `hours.csv`."""


class HoursSpec(Section):
    """The run's name, and what its `select.hours` led to."""

    run: str
    afforded: Afforded


def list_hours(spec: HoursSpec, selection: Path, table: Path) -> None:
    """Write a row for each evaluated task, in the Pile's order: documents there, drawn, left out.

    `selection` is `queries/test/selection.json`. `hours` are those asked for, of all tasks;
    `expected_hours` what the task's evaluations take by the plan's rates, with as many documents as
    were drawn.
    """
    counts, afforded = read_selection(selection), spec.afforded
    rows = [
        {
            "run": spec.run,
            "task": task,
            "documents": counts[task]["test_documents"],
            "selected": (selected := counts[task]["selected"]),
            "left_out": counts[task]["test_documents"] - selected,
            "hours": afforded.hours,
            "expected_hours": afforded.expected(task, selected) / 3600,
        }
        for task in TASKS
        if task in afforded.documents
    ]
    with replacing(table) as beside:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(beside, index=False, lineterminator="\n")
