"""Recovering with a SLURM that is played by scripts, and with real local processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOW = Path(__file__).parents[3] / "workflow"
SNAKEFILE = """
rule all:
    input: "done.txt"
rule job:
    output: "done.txt"
    shell: "echo done > {output}"
"""
# Jobs are lines `number|name|state|comment` of a file; each look at RUNNING ones ages them.
SQUEUE = """#!/usr/bin/env python3
import pathlib, sys
names = next(w for w in sys.argv if w.startswith("--name=")).removeprefix("--name=").split(",")
jobs = pathlib.Path("queue")
rows = [line.split("|") for line in jobs.read_text().splitlines()]
print(*("|".join((n, s, c)) for n, name, s, c in rows if name in names), sep="\\n", end="")
left = [r for r in rows if r[2] not in ("COMPLETING", "FINISHING")]
jobs.write_text("".join("|".join(r) + "\\n" for r in left))
"""
SCANCEL = """#!/usr/bin/env python3
import pathlib, sys
jobs = pathlib.Path("queue")
rows = [line.split("|") for line in jobs.read_text().splitlines()]
for row in rows:
    if row[0] in sys.argv[1:]:
        row[2] = "COMPLETING"
jobs.write_text("".join("|".join(r) + "\\n" for r in rows))
pathlib.Path("cancelled").write_text(" ".join(sys.argv[1:]))
"""
LOG = """SNAKEMAKE
=========
  Host: {host}
  Command: /somewhere/bin/snakemake --profile slurm
SLURM run ID: tttnn_{run}
Provided remote nodes: 100
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that a Snakemake left locked, with two of its jobs and another's in the queue."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / ".snakemake/log").mkdir(parents=True)
    (tmp_path / ".snakemake/locks").mkdir()
    (tmp_path / ".snakemake/locks/0.output.lock").write_text("done.txt\n")
    for run, name in (("one", "2026-01-01T000000"), ("two", "2026-01-02T000000")):
        log = tmp_path / f".snakemake/log/{name}.snakemake.log"
        log.write_text(LOG.format(run=run, host=os.uname().nodename))
    (tmp_path / "bin").mkdir()
    for name, text in (("squeue", SQUEUE), ("scancel", SCANCEL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "queue").write_text(
        "7|tttnn_one|RUNNING|rule_embed_chunk_wildcards_embedder_00_0\n"
        "8|tttnn_two|PENDING|rule_evaluate_part\n"
        "9|tttnn_other|RUNNING|rule_somebody_else_s\n"
    )
    return tmp_path


def recover(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(WORKFLOW),
    }
    return subprocess.run(
        [sys.executable, "-m", "tttnn", "recover", *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )


def test_without_options_it_only_looks(folder):
    done = recover(folder)
    assert done.returncode == 1
    assert "SLURM job 7       RUNNING    rule_embed_chunk_wildcards_embedder_00_0" in done.stdout
    assert "SLURM job 8" in done.stdout and "SLURM job 9" not in done.stdout
    assert "2 jobs are left" in done.stdout
    assert list((folder / ".snakemake/locks").iterdir())
    assert not (folder / "cancelled").exists()


def test_cancel_ends_this_folder_s_jobs_and_unlocks(folder):
    done = recover(folder, "--cancel")
    assert done.returncode == 0, done.stdout
    assert (folder / "cancelled").read_text() == "7 8"
    assert (folder / "queue").read_text().startswith("9|")
    assert "  snakemake --profile slurm --rerun-incomplete\n" in done.stdout
    assert not list(folder.glob(".snakemake/locks/*"))


def test_wait_cancels_nothing(folder):
    queue = folder / "queue"
    queue.write_text(queue.read_text().replace("RUNNING|rule_e", "FINISHING|rule_e"))
    queue.write_text(queue.read_text().replace("PENDING", "FINISHING"))
    done = recover(folder, "--wait")
    assert done.returncode == 0, done.stdout
    assert not (folder / "cancelled").exists()
    assert not list(folder.glob(".snakemake/locks/*"))


def test_no_answer_from_slurm_is_no_permission(folder):
    (folder / "bin/squeue").write_text("#!/bin/sh\necho no route >&2\nexit 1\n")
    done = recover(folder, "--cancel")
    assert done.returncode == 1
    assert "squeue failed: no route" in done.stdout
    assert list((folder / ".snakemake/locks").iterdir())


def test_a_run_on_another_host_is_named(folder):
    for log in folder.glob(".snakemake/log/*"):
        log.write_text(log.read_text().replace(os.uname().nodename, "login7"))
    (folder / "queue").write_text("")
    done = recover(folder)
    assert done.returncode == 0, done.stdout
    assert "ran on login7: make sure" in done.stdout


def test_a_snakemake_at_work_is_left_alone(folder):
    (folder / "snakemake").write_text("import time\ntime.sleep(60)\n")
    alive = subprocess.Popen([sys.executable, "snakemake"], cwd=folder)
    try:
        done = recover(folder, "--cancel")
    finally:
        alive.kill()
        alive.wait()
    assert done.returncode == 1
    assert f"Snakemake (process {alive.pid}) is at work in" in done.stdout
    assert not (folder / "cancelled").exists()


def test_a_folder_without_snakemake_is_an_error(tmp_path):
    done = recover(tmp_path)
    assert done.returncode == 1
    assert "has no .snakemake" in done.stdout
