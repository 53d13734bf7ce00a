"""The list of jobs that status and plan go by is Snakemake's."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tttnn.config.merge import read
from tttnn.operations.jobs import jobs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("overlay", [None, "local", "paper", "slurm-demo", "ablations"])
def test_jobs_are_snakemake_s(checkout, overlay):
    files = [f"config/{overlay}.yaml"] if overlay else []
    config = read([ROOT / file for file in files], [], ROOT / "config.yaml")
    options = [word for file in files for word in ("--configfile", file)]
    printed = checkout.snakemake("--summary", *options)
    table = printed[printed.index("output_file\t") :].splitlines()
    theirs = {(row["rule"], row["output_file"]) for row in csv.DictReader(table, delimiter="\t")}
    listed = jobs(config)
    assert {(job.rule, output) for job in listed for output in job.outputs} == theirs
    assert len(set(listed)) == len(listed)


def test_logs_and_benchmarks_are_where_the_rules_put_them(finished):
    config = read([finished.folder / "tiny.yaml"], [], finished.folder / "config.yaml")
    for job in jobs(config):
        assert (finished.folder / job.file("tiny", "logs", ".log")).is_file(), job
        assert (finished.folder / job.file("tiny", "benchmarks", ".tsv")).is_file(), job
