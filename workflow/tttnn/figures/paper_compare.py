"""A run's gains beside the published ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from tttnn.figures import few, style, tables
from tttnn.figures.gains import Series, compare_changes
from tttnn.pile import ALL, TASKS
from tttnn.reading import read_csv


def side_by_side(table: pd.DataFrame) -> Figure:
    """Change in bits per byte by task, of the first method and as published."""
    method = tables.main_method(table)
    rows = table[(table["method"] == method) & (table["quantity"] == "ratio")]
    rows = rows[rows["num_neighbors"] == rows["num_neighbors"].max()]
    if rows.empty:
        raise ValueError(
            f"method {method!r} was evaluated at none of the published 1 to 50 neighbours: put one "
            "of them into its evaluate_at"
        )
    neighbors = rows["num_neighbors"].iloc[0]
    rows = rows.set_index(["model", "task"]).sort_index()
    ours = rows.rename(columns={"value": "ratio", "low": "ratio_low", "high": "ratio_high"})
    published = rows[["published", "documents"]].rename(columns={"published": "ratio"})
    published[["ratio_low", "ratio_high"]] = float("nan")
    tasks = tables.present(rows)
    per_task = rows.groupby("task").first()
    labels = [
        f"{tables.title(task, count.tasks)} ({count.documents:,} / {count.published_documents:,})"
        for task, count in per_task.loc[tasks].iterrows()
    ]
    named = sorted(set(per_task.drop(ALL)["subset"]))
    dagger = (
        f" † Weights renormalised over {per_task.loc[ALL, 'tasks']} of {len(TASKS)} tasks, in the "
        "published numbers too."
        if per_task.loc[ALL, "tasks"] < len(TASKS)
        else ""
    )
    return compare_changes(
        [
            Series(f"this run ({method}, {neighbors} neighbours)", ours, True),
            Series(f"published ({neighbors} neighbours)", published, False),
        ],
        labels,
        tasks,
        tables.looked_models(table, rows),
        "In parentheses: documents here / published. "
        f"This run: {', '.join(named)}. {few.sentences(rows, 'Whiskers', drawn=False)} None were "
        f"published (Hardt & Sun, arXiv:2305.18466).{dagger}",
    )


def draw_side_by_side(table: Path, svg: Path, pdf: Path) -> None:
    """Draw the table of `tttnn.published.compare`, its first method at the most neighbours."""
    with rc_context(style.RC):
        style.save(side_by_side(read_csv(table, ["within"])), svg, pdf)
