"""A run draws as many documents as fit into its hours, and more of them once it has more."""

from __future__ import annotations

import re
from collections import Counter

import pandas as pd
import pyarrow.parquet as pq

from configured import read
from tttnn.operations.afford import affordable

TRAINED = {"documents": 50, "steps": 2, "warmup_steps": 1, "vocabulary": 300}
TASKS = ["pile_github", "pile_enron"]
CONFIG = {
    "run": "hours",
    "corpus": {"shards": 1},
    "sources": {"demo": {"train_documents": 66, "val_documents": 44, "test_documents": 110}},
    "models": {"embedder": TRAINED, "small": TRAINED},
    "search": {"indexes": ["flat"], "candidates": 4, "recall_at": [1]},
    "gather": {"depth": 2},
    "methods": {"ttt": {"num_neighbors": 2, "evaluate_at": [0, 2]}},
    "evaluate": {"models": ["small"], "methods": ["ttt"], "tasks": TASKS, "ablations": None},
    "score": {"resamples": 20},
    "figures": ["before_after"],
}
RESULTS = "results/hours"


def test_more_hours_evaluate_new_documents_alone_and_fewer_none(checkout):
    base = checkout.configure("base", **CONFIG)
    plan = affordable(read([base], ()), 1.0)  # of documents that all fit
    jobs, document = sum(plan.jobs.values()), sum(plan.document.values())

    def options(documents: float) -> tuple[str, ...]:
        hours = (jobs + documents * document) / 3600
        overlay = checkout.configure("hours", select={"count": None, "hours": hours})
        return ("--configfile", str(base), str(overlay))

    def evaluated() -> dict[str, set[int]]:
        files = {task: f"{RESULTS}/evaluation/small/ttt/{task}/0.parquet" for task in TASKS}
        return {
            task: set(pq.read_table(checkout.folder / file)["document_id"].to_pylist())
            for task, file in files.items()
        }

    def taken(task: str) -> list[str]:
        log = checkout.folder / f"{RESULTS}/logs/evaluate_part/small/ttt/{task}/0.log"
        return re.findall(r"(\d+ of \d+) documents are as evaluated before", log.read_text())

    checkout.snakemake(*options(2.5))
    first = evaluated()
    assert {task: len(some) for task, some in first.items()} == dict.fromkeys(TASKS, 2)
    assert checkout.plan(*options(2.5)) == Counter()  # whatever it measured
    assert checkout.plan(*options(2.9)) == Counter(list_hours=1, write_report=1)
    table = pd.read_csv(checkout.folder / RESULTS / "tables/hours.csv").set_index("task")
    assert set(table.index) == set(TASKS)
    assert (table["documents"] - table["left_out"] == 2).all()
    out = table["left_out"].sum()
    report = (checkout.folder / RESULTS / "report.html").read_text(encoding="utf-8")
    assert f"hours of evaluation left out {out} of {table['documents'].sum()} documents" in report

    checkout.snakemake(*options(3.5))
    second = evaluated()
    assert all(len(second[task]) == 3 and first[task] < second[task] for task in TASKS)
    assert [taken(task) for task in TASKS] == [["2 of 3"], ["2 of 3"]]

    checkout.snakemake(*options(2.5))
    assert evaluated() == first
    assert [taken(task) for task in TASKS] == [["2 of 2"], ["2 of 2"]]
    # the same draw by its number: the table is no longer asked for, and the report is without it
    by_count = ("--configfile", str(base), "--config", "select={count: 2}")
    assert checkout.plan(*by_count) == Counter(write_report=1)
    status = checkout.tttnn("status", "--run", "hours")
    assert re.search(r"^list_hours +1 ", status.stdout, re.M), status.stdout
