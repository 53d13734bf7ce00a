"""Recovering with a SLURM that is played by scripts, and with real local processes."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from tttnn.files import write_json
from tttnn.operations.started import Start, last, refuse_second

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
SLURM run ID: tttnn_{run}
Provided remote nodes: 100
"""


def noted(place: Path, program: list[str], arguments: list[str], **more: object) -> None:
    """Write down a start of a process that is gone."""
    start = Start(
        run="mine",
        program=program,
        arguments=arguments,
        folder=str(place),
        directory=str(place),
        configfiles=[],
        settings=[],
        host=platform.node(),
        process=1,
        since=0.0,
    )
    write_json(place / "results/mine/started.json", start._asdict() | more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that a Snakemake left locked, with two of its jobs and another's in the queue."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    noted(tmp_path, ["snakemake"], ["--cores", "1"])
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
    assert "2 jobs left: tttnn recover --cancel" in done.stdout
    assert list((folder / ".snakemake/locks").iterdir())
    assert not (folder / "cancelled").exists()


def test_cancel_ends_this_folder_s_jobs_and_unlocks(folder):
    done = recover(folder, "--cancel")
    assert done.returncode == 0, done.stdout
    assert (folder / "cancelled").read_text() == "7 8"
    assert (folder / "queue").read_text().startswith("9|")
    assert "run mine:\n  snakemake --rerun-incomplete --cores 1\n" in done.stdout
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


def test_of_a_finished_run_nothing_is_to_be_recovered(folder):
    (folder / "queue").write_text("")
    (folder / ".snakemake/locks/0.output.lock").unlink()
    job = {"rule": "score", "wildcards": {}, "temporary": [], "log": None, "benchmark": None}
    job |= {"outputs": ["results/mine/tables/scores.csv"]}
    values = yaml.safe_load((WORKFLOW.parent / "config.yaml").read_text())
    write_json(folder / "results/mine/config.json", values)
    write_json(folder / "results/mine/jobs.json", [job | {"needed": True}])
    done = recover(folder)
    assert done.returncode == 0 and "Nothing is to be recovered" in done.stdout
    assert "To go on with run mine" in done.stdout  # it ended without its table
    write_json(folder / "results/mine/jobs.json", [job | {"needed": False}])
    done = recover(folder)
    assert done.returncode == 0 and "Nothing is to be recovered" in done.stdout
    assert "All that run mine was last started for is made." in done.stdout
    assert "To go on" not in done.stdout


def test_a_run_on_another_host_is_named(folder):
    noted(folder, ["snakemake"], ["--cores", "1"], host="login7")
    (folder / "queue").write_text("")
    done = recover(folder)
    assert done.returncode == 0, done.stdout
    assert "started on login7: make sure" in done.stdout


def test_without_a_record_no_command_is_guessed(folder):
    shutil.rmtree(folder / "results")
    done = recover(folder, "--cancel")
    assert done.returncode == 0, done.stdout
    assert not list(folder.glob(".snakemake/locks/*"))
    assert "How the last run here was started is not known" in done.stdout
    assert "snakemake -" not in done.stdout


def test_the_last_of_several_starts_is_gone_on_with(folder):
    other = folder / "results/other"
    shutil.copytree(folder / "results/mine", other)
    later = json.loads((other / "started.json").read_text())
    later |= {"run": "other", "arguments": ["--cores", "3"], "since": 10.0}
    write_json(other / "started.json", later)
    assert (
        "run other:\n  snakemake --rerun-incomplete --cores 3\n"
        in recover(folder, "--cancel").stdout
    )


def test_the_command_can_be_pasted(tmp_path):
    """It is given to a shell, with a program that prints its folder and its arguments."""
    here = tmp_path / "with a 'space'"
    here.mkdir()
    program = here / "my snakemake"
    program.write_text("import os, sys, json\nprint(json.dumps([os.getcwd(), sys.argv[1:]]))\n")
    arguments = ["--config", 'select={count: 3, name: "a b"}', "$HOME", "--", "a target"]
    noted(tmp_path, [sys.executable, str(program)], arguments, folder=str(here))
    command = last(tmp_path).command("--rerun-incomplete")
    said = subprocess.run(command, shell=True, cwd="/", capture_output=True, text=True).stdout
    assert json.loads(said) == [str(here), ["--rerun-incomplete", *arguments]]
    twice = last(tmp_path)._replace(arguments=["--rerun-incomplete"])
    assert twice.command("--rerun-incomplete").count("--rerun-incomplete") == 1


def test_a_second_start_is_refused_while_the_first_is_alive(folder):
    refuse_second(folder)
    alive = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=folder)
    try:
        since = psutil.Process(alive.pid).create_time()
        noted(folder, ["snakemake"], [], process=alive.pid, since=since - 60)
        refuse_second(folder)  # another process that has that number now
        noted(folder, ["snakemake"], [], process=alive.pid, since=since)
        with pytest.raises(
            ValueError, match=rf"process {alive.pid}\) is at work in .* on run mine"
        ):
            refuse_second(folder)
        noted(folder, ["snakemake"], [], process=alive.pid, since=since, host="login7")
        refuse_second(folder)
        noted(folder, ["snakemake"], [], process=alive.pid, since=since, directory="/original")
        refuse_second(folder)  # a copy of the folder that it works in
    finally:
        alive.kill()
        alive.wait()
    noted(folder, ["snakemake"], [], process=alive.pid, since=since)
    refuse_second(folder)
    now = psutil.Process()
    noted(folder, ["snakemake"], [], process=now.pid, since=now.create_time())
    refuse_second(folder)  # itself


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
