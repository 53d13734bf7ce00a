"""Jobs that are cancelled, run out of time or memory, and jobs that SLURM refuses."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pyarrow.parquet as pq
import pytest

from remote import DEMO, submitted, wait_until

EVALUATION = "results/slurm-demo/evaluation/small/ttt"
CANCELLED, OVERDUE = "pile_github", "pile_arxiv"
RECALL = "results/slurm-demo/index/ivf/recall.csv"


@pytest.fixture(scope="module")
def trouble(copy):
    """Two evaluations at once, each with a GPU: one is cancelled half-way, one stopped until its
    walltime of a minute is over. And a measurement that is given too little memory."""
    slow = {"methods": {"ttt": {"window": 16}}, "environment": "gpu"}
    process = copy.submit(
        "--configfile",
        DEMO,
        str(copy.configure("slow", **slow)),
        "--set-resources",
        "evaluate_part:runtime=attempt",  # minutes
        "measure_recall:mem_mb=50*attempt**6",  # less than any Python needs, then 3 GB
        "--forcerun",
        "measure_recall",
        "--",
        *(f"{EVALUATION}/{task}/0.parquet" for task in (CANCELLED, OVERDUE)),
        RECALL,
    )

    def both():
        workers = list(copy.workers("evaluate_part"))
        tasks = {worker[1][worker[1].index("--task") + 1]: worker for worker in workers}
        return tasks if {CANCELLED, OVERDUE} <= set(tasks) else None

    def half_way(task):
        journal = copy.folder / EVALUATION / task / ".0.journal"
        return journal.is_file() and len(journal.read_text().splitlines()) > 2

    workers = wait_until("two evaluations at once", both)
    strikes = {
        CANCELLED: lambda worker: subprocess.run(
            ["scancel", worker[2]["SLURM_JOB_ID"]], check=True
        ),
        OVERDUE: lambda worker: os.kill(worker[0], signal.SIGSTOP),
    }

    def struck():
        for task in [task for task in strikes if half_way(task)]:
            strikes.pop(task)(workers[task])
        return not strikes

    wait_until("half of the documents in both journals", struck)
    return copy, workers, copy.finish(process)


def test_two_evaluations_at_once_see_different_gpus(trouble):
    _, workers, _ = trouble
    seen = {environment["CUDA_VISIBLE_DEVICES"] for _, _, environment in workers.values()}
    assert seen == {"0", "1"}


def test_jobs_are_offline(trouble):
    _, workers, _ = trouble
    assert all(environment["HF_HUB_OFFLINE"] == "1" for _, _, environment in workers.values())


@pytest.mark.parametrize("task", [CANCELLED, OVERDUE])
def test_a_cancelled_or_overdue_evaluation_goes_on_where_it_was(trouble, task):
    checkout, _, printed = trouble
    assert sum(task in job for job in submitted(printed)) == 2, "not submitted again"
    log = checkout.folder / f"results/slurm-demo/logs/evaluate_part/small/ttt/{task}/0.log"
    assert re.search(r"going on after [123] of 4 documents", log.read_text())
    table = pq.read_table(checkout.folder / EVALUATION / task / "0.parquet")
    columns = (table[name].to_pylist() for name in ("document_id", "num_neighbors"))
    queries = pq.read_table(checkout.folder / f"results/slurm-demo/queries/test/{task}.parquet")
    documents = queries["query_id"].to_pylist()
    rows = list(zip(*columns, strict=True))
    assert rows == [(document, n) for document in documents for n in (0, 1, 5)]


def test_a_warned_evaluation_saves_and_is_submitted_again(copy):
    """The warning that `slurm_extra` in the profile asks for, sent by SLURM the same way."""
    method, task = "warned", "pile_arxiv"
    slow = {"like": "ttt", "window": 16}
    overlay = copy.configure(method, methods={method: slow})
    rows = copy.folder / f"results/slurm-demo/evaluation/small/{method}/{task}/0.parquet"
    journal = rows.with_name(".0.journal")
    target = str(rows.relative_to(copy.folder))
    process = copy.submit("--configfile", DEMO, str(overlay), "--", target)
    wait_until(
        "document in the journal",
        lambda: journal.is_file() and journal.read_text().count("\n") > 1,
    )
    ((_, _, environment),) = copy.workers("evaluate_part")
    warned = environment["SLURM_JOB_ID"]
    subprocess.run(["scancel", "--signal=USR1", warned], check=True)

    printed = copy.finish(process)
    assert re.search(r"SIGUSR1: saved [123] of 4 documents", printed)
    assert sum("evaluate_part" in job for job in submitted(printed)) == 2, "not submitted again"
    log = copy.folder / f"results/slurm-demo/logs/evaluate_part/small/{method}/{task}/0.log"
    assert re.search(r"going on after [123] of 4 documents", log.read_text())
    whole = pq.read_table(copy.folder / f"{EVALUATION}/{task}/0.parquet")
    columns = ["document_id", "num_neighbors", "bytes"]
    assert pq.read_table(rows).select(columns).equals(whole.select(columns))


def test_a_job_over_its_memory_is_killed_and_gets_more(trouble):
    checkout, _, printed = trouble
    assert "Error in rule measure_recall" in printed
    assert len([job for job in submitted(printed) if "measure_recall" in job]) == 2
    (failed,) = checkout.folder.glob("logs/slurm/rule_measure_recall/ivf/*.log")
    assert "exceeded memory limit" in failed.read_text()


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        (["--default-resources", "slurm_partition=nowhere"], "set slurm_partition"),
        (["--set-resources", "measure_recall:gpu_model=h900"], "gpu_model"),
    ],
)
def test_what_slurm_refuses_fails_at_once_and_names_the_setting(copy, option, setting):
    printed = copy.fail(
        copy.submit("--configfile", DEMO, "--forcerun", "measure_recall", *option, "--", RECALL)
    )
    assert not submitted(printed)
    remedies = [line for line in printed.splitlines() if line.startswith("slurm/config.yaml: ")]
    assert len(remedies) == 1 and setting in remedies[0]


def test_a_missing_model_fails_before_anything_is_submitted(copy):
    missing = copy.configure(
        "missing",
        run="missing",
        models={"mine": {"kind": "local", "path": "/nowhere", "adapt_learning_rate": 1e-3}},
        evaluate={"models": ["mine"]},
        methods={"random": {"models": ["mine"]}},
    )
    printed = copy.fail(copy.submit("--configfile", DEMO, str(missing)))
    assert "models.mine.path: there is no folder /nowhere" in printed
    assert not submitted(printed)
    assert not (copy.folder / "results/missing/corpus").exists()
