"""Snakemake is killed while SLURM has its jobs; one command makes the folder fit to go on in."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from remote import DEMO, wait_until

EVALUATION = "results/slurm-demo/evaluation/small"
TASKS = ("pile_github", "pile_arxiv")


def recover(checkout, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tttnn", "recover", *options],
        cwd=checkout.folder,
        env=os.environ | {"PYTHONPATH": str(checkout.folder / "workflow")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("option", ["--cancel", "--wait"])
def test_after_sigkill_the_run_goes_on(copy, option):
    # A method that no run has evaluated: where Snakemake has a record of an output that was made
    # with other params, it makes again what orphans finished, for they leave no record.
    method = option.removeprefix("--")
    folder = copy.folder / EVALUATION / method
    targets = [f"{EVALUATION}/{method}/{task}/0.parquet" for task in TASKS]
    slow = {
        "like": "ttt",
        "candidates": "ivf",
        "num_neighbors": 5,
        "evaluate_at": [0, 1, 5],
        "window": 16,
    }
    overlay = copy.configure(method, methods={method: slow})
    arguments = ("--configfile", DEMO, str(overlay), "--", *targets)
    others = [
        path
        for path in (copy.folder / "results").rglob("*.parquet")
        if not path.is_relative_to(folder)
    ]
    made = {path: path.stat().st_mtime_ns for path in others}

    process = copy.submit(*arguments)
    journals = [folder / task / ".0.journal" for task in TASKS]
    wait_until(
        "finished document in a journal",
        lambda: any(j.is_file() and j.read_text().count("\n") > 1 for j in journals),
    )
    assert "is at work in" in recover(copy, option).stdout
    process.kill()
    process.wait()

    looked = recover(copy)
    assert looked.returncode == 1 and "rule_evaluate_part" in looked.stdout, looked.stdout
    done = recover(copy, option)
    assert done.returncode == 0, done.stdout
    assert not list(copy.workers("evaluate_part"))
    assert "--rerun-incomplete" in done.stdout
    finished = list(folder.rglob("0.parquet"))
    times = {path: path.stat().st_mtime_ns for path in finished}
    if option == "--wait":
        assert len(finished) == 2

    copy.finish(copy.submit("--rerun-incomplete", *arguments))
    for task in TASKS:
        table = pq.read_table(folder / task / "0.parquet")
        queries = pq.read_table(copy.folder / f"results/slurm-demo/queries/test/{task}.parquet")
        documents = queries["query_id"].to_pylist()
        rows = list(
            zip(*(table[n].to_pylist() for n in ("document_id", "num_neighbors")), strict=True)
        )
        assert rows == [(document, n) for document in documents for n in (0, 1, 5)]
    assert made == {path: path.stat().st_mtime_ns for path in others}
    if option == "--wait":  # what the orphans finished is not made again
        assert times == {path: path.stat().st_mtime_ns for path in finished}
