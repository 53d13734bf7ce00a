"""What figures read: the tables of `tttnn.scores.score`, and the words that describe them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tttnn.figures import style
from tttnn.pile import ALL, TASKS
from tttnn.reading import read_csv, read_parquet
from tttnn.sections.search import RANDOM

LISTED = 8
"""Absent tasks named in a note, at most; `tasks.csv` names them all."""


@dataclass(frozen=True)
class View:
    """The part of its tables that a figure shows; what is empty leaves nothing out.

    A model keeps the look that it has among all of the tables' models, or one that is given.
    """

    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    method: str = ""
    note: str = ""  # ends the figure's note
    clean: bool = True  # whether the tables tell clean documents apart
    looks: Mapping[str, style.Look] = field(default_factory=dict)  # of all models, or of none

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of the chosen models and tasks, which are columns or levels of the index."""
        for level, chosen in (("model", self.models), ("task", self.tasks)):
            if chosen:
                table = table.query(f"{level} in @chosen")
        return table


EVERYTHING = View()


FIRST = {"recall": "index", "indexes": "index", "distances": "candidates"}
"""A column of each table that says what it is; of the others, `run`."""

REMEDY = "make the run's tables again (rule score)"


def read(tables: Path, name: str) -> pd.DataFrame:
    """Read one table, of a run or of a record of it (`tttnn.records`).

    An empty one is an error, for nothing can be drawn from it.
    """
    path = tables / f"{name}.csv"
    recorded = path.with_suffix(".parquet")
    if recorded.is_file():
        table = read_parquet(recorded, remedy=REMEDY)
    else:
        table = read_csv(path, [FIRST.get(name, "run")], REMEDY)
    if table.empty:
        raise ValueError(f"{path} has no rows: take the figures that need it out of `figures`")
    return table


def names(table: pd.DataFrame, column: str) -> list[str]:
    """Models, methods or tasks in the table's order, which is the config's."""
    return list(table[column].unique())


def main_method(table: pd.DataFrame) -> str:
    """The method that the paper is about: the first of the config."""
    return names(table, "method")[0]


def control_method(differences: pd.DataFrame) -> str:
    """The first method whose neighbours are random."""
    main = main_method(differences)
    for method in names(differences[differences["candidates"] == RANDOM], "method"):
        if method != main:
            return method
    raise ValueError(
        f"the figure compares {main!r} with a method whose candidates are {RANDOM!r}, and none was "
        "evaluated: add one to evaluate.methods, or take the figure out of `figures`"
    )


def trained(
    differences: pd.DataFrame, method: str, kind: str = "raw", at: int | None = None
) -> pd.DataFrame:
    """Rows of a method after `at` neighbours, without it the most, by model and task."""
    rows = differences[(differences["method"] == method) & (differences["documents_kind"] == kind)]
    rows = rows[rows["num_neighbors"] == (rows["num_neighbors"].max() if at is None else at)]
    return rows.set_index(["model", "task"]).sort_index()


def most_in_common(differences: pd.DataFrame, *methods: str) -> int:
    """The largest number of neighbours, above 0, after which all of these methods were measured."""
    counts = [
        set(differences.loc[differences["method"] == method, "num_neighbors"]) for method in methods
    ]
    if not (common := set.intersection(*counts) - {0}):
        raise ValueError(
            f"{' and '.join(map(repr, methods))} were measured after no number of neighbours in "
            "common: give their evaluate_at one, or take the figure out of `figures`"
        )
    return max(common)


def looked_models(
    table: pd.DataFrame, rows: pd.DataFrame, view: View = EVERYTHING
) -> dict[str, style.Look]:
    """Models of `rows`, each with its look among those of the whole `table`, or by the view."""
    found = set(rows.index.get_level_values("model"))
    looks = view.looks or style.looks(names(table, "model"))
    return {name: look for name, look in looks.items() if name in found}


def present(rows: pd.DataFrame) -> list[str]:
    """Tasks of a table indexed by model and task, the weighted mean first.

    Of a single task there is no mean, which would be the same again.
    """
    found = set(rows.index.get_level_values("task"))
    if len(found - {ALL}) == 1:
        found -= {ALL}
    return [task for task in [ALL, *TASKS] if task in found]


def largest(tasks: list[str], number: int) -> list[str]:
    """The weighted mean, then the tasks with the largest weights in the Pile."""
    ranked = sorted((task for task in tasks if task != ALL), key=lambda t: -TASKS[t].weight)
    return [*(task for task in tasks if task == ALL), *ranked[:number]]


def title(task: str, tasks: int = len(TASKS)) -> str:
    """A task's name in print, daggered if it is a mean over fewer than all tasks."""
    if task != ALL:
        return TASKS[task].pile_set_name
    return "All (weighted)" + ("†" if tasks < len(TASKS) else "")


def label(rows: pd.DataFrame, task: str) -> str:
    """A task's name and number of documents."""
    row = rows.xs(task, level="task").iloc[0]
    return f"{title(task, row.tasks)} ({row.documents:,})"


def intervals(rows: pd.DataFrame, marks: str) -> str:
    """What `marks` (whiskers, bands) mean: a sentence, another one where there are none."""
    if rows["low"].isna().all():
        return "Without intervals: these tables have none."
    return f"{marks}: {100 * rows['confidence'].iloc[0]:g} % bootstrap intervals."


def absence(table: pd.DataFrame, tasks: int) -> str:
    """What the dagger means: a sentence, empty if all tasks were evaluated."""
    if tasks == len(TASKS):
        return ""
    absent = table.loc[table["status"] != "evaluated", ["pile_set_name", "status"]]
    reasons = "; ".join(
        f"{status}: {', '.join(group['pile_set_name']) if len(group) <= LISTED else len(group)}"
        for status, group in absent.groupby("status", sort=False)
    )
    sentence = f" † Weights renormalised over {tasks} of {len(TASKS)} tasks"
    return f"{sentence} ({reasons})." if reasons else f"{sentence}."
