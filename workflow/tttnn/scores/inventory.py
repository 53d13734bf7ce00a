"""What a run has: its shards, its tasks, and why a task was not evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from tttnn.digests import read_record
from tttnn.pile import SPLITS, TASKS
from tttnn.scores.cells import Cell
from tttnn.scores.estimates import pile_weights


def corpus_rows(manifests: list[Path], run: str) -> Iterator[dict[str, Any]]:
    """A row a shard: documents, and what was rejected for which reasons."""
    for path in manifests:
        manifest = read_record(path)
        reasons = manifest["rejected"]
        yield {
            "run": run,
            "shard": path.stem,
            "documents": manifest["documents"],
            "rejected": sum(reasons.values()),
            "reasons": "; ".join(f"{reason}: {count}" for reason, count in reasons.items()),
            "subsets": manifest["subsets"],
        }


def task_rows(
    selection: dict[str, dict[str, int]],
    omitted: dict[str, set[int]],
    corpus: pd.DataFrame,
    cells: list[Cell],
    run: str,
) -> Iterator[dict[str, Any]]:
    """A row for each of the Pile's tasks, evaluated or not.

    `without_halves` counts the task's `omitted` documents: selected, but left out by the methods
    that evaluate halves, because they cannot be cut in two. It is 0 where none of them evaluates
    the task.
    """
    train = corpus.loc[~corpus["shard"].isin(SPLITS), "subsets"]
    evaluated = {cell.name.task for cell in cells}
    weights = pile_weights(task for task in TASKS if task in evaluated)
    for task, subset in TASKS.items():
        counts = selection[task]
        if task in evaluated:
            status = "evaluated"
        elif not counts["test_documents"]:
            status = "no documents"
        elif omitted.get(task):
            status = "no halves"
        else:
            status = "not evaluated" if counts["selected"] else "none selected"
        yield {
            "run": run,
            "task": task,
            "pile_set_name": subset.pile_set_name,
            "weight": subset.weight,
            "weight_renormalised": 100 * weights.get(task, 0.0),
            "train_documents": sum(shard.get(subset.pile_set_name, 0) for shard in train),
            "test_documents": counts["test_documents"],
            "selected": counts["selected"],
            "without_halves": len(omitted.get(task, ())),
            "status": status,
        }


def read_selection(path: Path) -> dict[str, dict[str, int]]:
    """For each task, how many documents there are and how many were selected.

    Raises `ValueError` for a file that lacks a task.
    """
    selection = read_record(path)["tasks"]
    missing = [task for task in TASKS if task not in selection]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}: select the documents again")
    return selection
