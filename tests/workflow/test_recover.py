"""Snakemake is killed while its jobs run; one command makes the folder fit to go on in."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from checkout import SNAKEMAKE

RUN = ("--cores", "2", "--nocolor", "--configfile", "tiny.yaml")


def stages(checkout) -> list[psutil.Process]:
    """The Python processes that run a stage in this checkout."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if command[1:3] == ["-m", "tttnn"] and process.cwd() == str(checkout.folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def start(checkout, *arguments: str) -> subprocess.Popen[bytes]:
    """Start Snakemake in a group of its own, as a terminal does, to which Ctrl-C matters.

    Whoever runs the tests in a shell's background has SIGINT ignored, and children inherit that.
    """
    return subprocess.Popen(
        [str(SNAKEMAKE), *arguments],
        cwd=checkout.folder,
        env=os.environ | {"PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(logs: Path, snakemake: subprocess.Popen[bytes]) -> None:
    """Wait until a job has begun whose log is in this folder."""
    while not list(logs.rglob("*.log")):
        assert snakemake.poll() is None, "ended before it could be stopped"
        time.sleep(0.05)


def test_a_second_snakemake_is_refused_and_what_ctrl_c_ends_was_interrupted(tiny):
    # a training that a slow machine does not end while it is looked at from outside
    tiny.configure("long", models={"embedder": {"steps": 100_000}})
    snakemake = start(tiny, *RUN, "long.yaml")
    locks = tiny.folder / ".snakemake/locks"
    try:
        wait_for(tiny.folder / "results/tiny/logs/train_embedder", snakemake)
        refused = tiny.snakemake("paper_figures", ok=False)
        assert f"Snakemake (process {snakemake.pid}) is at work in" in refused
        assert "on run tiny: wait for its end" in refused
        assert not (tiny.folder / "results/published").exists()
        assert list(locks.iterdir()), "the first one's lock is gone"
        assert tiny.plan("paper_figures")  # to look is no start
    finally:
        os.killpg(snakemake.pid, signal.SIGINT)
        snakemake.wait(timeout=60)
    told = tiny.tttnn("status").stdout
    assert "Run tiny: no Snakemake at work on it" in told
    assert "\ninterrupted: " in told
    assert "failed: " not in told
    assert not list(locks.glob("*"))


@pytest.mark.slow
def test_after_sigkill_the_run_goes_on_and_ends_the_same(finished, checkout):
    shutil.copyfile(finished.folder / "tiny.yaml", checkout.folder / "tiny.yaml")
    snakemake = start(checkout, *RUN)
    evaluations = checkout.folder / "results/tiny/logs/evaluate_part/small/ttt"
    try:
        wait_for(evaluations, snakemake)
        watched = checkout.tttnn("status").stdout
        assert watched.startswith(f"Run tiny: process {snakemake.pid}\n"), watched
        for rule, jobs in (("download_shard", "4"), ("embed_chunk", "2")):
            (row,) = (line.split() for line in watched.splitlines() if line.startswith(rule))
            assert row[1:8] == [jobs, "-", "-", "-", "-", "-", "-"], watched
        assert "is at work in" in checkout.tttnn("recover", "--cancel").stdout
    finally:
        snakemake.send_signal(signal.SIGKILL)
        snakemake.wait()
    models = checkout.folder / "results/tiny/models"
    made = {path: path.stat().st_mtime_ns for path in models.rglob("*")}
    again = ("--configfile", "tiny.yaml", "--rerun-incomplete")
    assert "locked" in checkout.snakemake(*again, ok=False)

    done = checkout.tttnn("recover", "--cancel")
    assert done.returncode == 0, done.stdout
    assert stages(checkout) == []
    assert f"snakemake --rerun-incomplete {' '.join(RUN)}\n" in done.stdout
    printed = checkout.snakemake(*again)
    assert "Train language model" not in printed and "Embed chunk" not in printed
    assert made == {path: path.stat().st_mtime_ns for path in models.rglob("*")}
    (last,) = (
        line for line in checkout.tttnn("status").stdout.splitlines() if " jobs done" in line
    )
    done, of = last.split()[0:3:2]
    assert done == of, last
    for table in ("scores", "clean", "differences", "tasks", "corpus", "recall"):
        name = f"results/tiny/tables/{table}.csv"
        assert (checkout.folder / name).read_text() == (finished.folder / name).read_text(), table
