"""Snakemake's list of jobs, as the commands get it: which there are, and the state of each."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tttnn.operations.jobs import ask, kept

TINY = ("--configfile", "tiny.yaml")


def status(checkout, *options: str) -> dict[str, list[str]]:
    """By rule, its row: done, running, queued, interrupted, failed, stale, waiting, and more."""
    done = checkout.tttnn("status", *options)
    assert done.returncode == 0, done.stdout
    rows = (line.split() for line in done.stdout.splitlines())
    return {row[0]: row[1:] for row in rows if len(row) == 11 and row[0] != "rule"}


@pytest.mark.parametrize("overlay", [None, "local", "paper", "slurm-demo", "ablations"])
def test_the_jobs_are_those_of_a_dry_run(checkout, overlay, monkeypatch):
    monkeypatch.chdir(checkout.folder)
    files = [checkout.folder / f"config/{overlay}.yaml"] if overlay else []
    _, listed = ask(files, [])
    options = [word for file in files for word in ("--configfile", str(file))]
    assert all(job.needed for job in listed)
    assert Counter(job.rule for job in listed) == checkout.plan(*options)


def test_a_finished_run_is_done(finished):
    rows = status(finished)
    assert {tuple(row[1:7]) for row in rows.values()} == {("-",) * 6}
    assert rows["search_shard"][0] == "6"


def test_logs_and_benchmarks_are_where_the_list_says(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    _, listed = ask([finished.folder / "tiny.yaml"], [])
    started_with = kept(finished.folder / "results/tiny/jobs.json")
    assert [job._replace(needed=True) for job in listed] == started_with
    for job in listed:
        assert (finished.folder / job.log).is_file(), job
        assert (finished.folder / job.benchmark).is_file(), job


def test_what_snakemake_would_make_again_is_stale(copy):
    copy.edit(
        "workflow/tttnn/methods/ttt/engine.py", "import annotations", "import annotations\nX = 1"
    )
    planned = copy.plan(*TINY)
    rows = status(copy)
    assert planned["evaluate_part"] > 0
    assert {rule: int(row[5]) for rule, row in rows.items() if row[5] != "-"} == planned
    assert rows["embed_chunk"][0] == "2"


def test_a_changed_configuration_makes_stale_what_depends_on_it(finished, overlay):
    changed = overlay(score={"resamples": 60})
    rows = status(finished, "--configfile", "tiny.yaml", changed)
    stale = {rule: int(row[5]) for rule, row in rows.items() if row[5] != "-"}
    assert stale == finished.plan("--configfile", "tiny.yaml", changed)
    assert stale["score"] == 1 and "evaluate_part" not in stale


@pytest.mark.parametrize(
    "setting",
    [
        "select={count: null, fraction: '0.5'}",
        "evaluate={ablations: null, tasks: [pile_github]}",
        "corpus={train_has_subsets: false, shards: '2'}",
        "models={small: {architecture: {n_layer: 3, tie_word_embeddings: true}}}",
        "search={recall_at: [1, five]}",
        "select={count: 2.5}",
        "run='007'",
        "select=",
    ],
)
def test_what_snakemake_takes_on_the_command_line_the_plan_takes(checkout, setting):
    plan = checkout.tttnn("plan", "--config", setting)
    taken = plan.returncode == 0
    dry = checkout.snakemake("--dry-run", "--quiet", "rules", "--config", setting, ok=taken)
    if taken:
        total = re.search(r"^total +(\d+)$", dry, re.M)
        assert f"In all {int(total[1]) - 1} jobs" in plan.stdout  # without `all`
    else:
        faults = [line for line in plan.stdout.splitlines() if line.startswith("  ")]
        assert faults and all(line in dry for line in faults)
    assert taken == (setting[-1] == "}" and "five" not in setting and "2.5" not in setting)
