"""Snakemake is killed while its jobs run; one command makes the folder fit to go on in."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

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


def tttnn(checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tttnn", *arguments],
        cwd=checkout.folder,
        env=os.environ | {"PYTHONPATH": str(checkout.folder / "workflow")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )


@pytest.mark.slow
def test_after_sigkill_the_run_goes_on_and_ends_the_same(finished, checkout):
    shutil.copyfile(finished.folder / "tiny.yaml", checkout.folder / "tiny.yaml")
    environment = os.environ | {"PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}"}
    snakemake = subprocess.Popen(
        [str(SNAKEMAKE), *RUN],
        cwd=checkout.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    evaluations = checkout.folder / "results/tiny/logs/evaluate_part/small/ttt"
    try:
        while not list(evaluations.rglob("*.log")):
            assert snakemake.poll() is None, "ended before it could be killed"
            time.sleep(0.05)
        watched = tttnn(checkout, "status").stdout
        assert watched.startswith(f"Run tiny: process {snakemake.pid}\n"), watched
        (row,) = (line.split() for line in watched.splitlines() if line.startswith("download_"))
        assert row[1:7] == ["4", "-", "-", "-", "-", "-"], watched
        assert "is at work in" in tttnn(checkout, "recover", "--cancel").stdout
    finally:
        snakemake.send_signal(signal.SIGKILL)
        snakemake.wait()
    models = checkout.folder / "results/tiny/models"
    made = {path: path.stat().st_mtime_ns for path in models.rglob("*")}
    again = ("--configfile", "tiny.yaml", "--rerun-incomplete")
    assert "locked" in checkout.snakemake(*again, ok=False)

    done = tttnn(checkout, "recover", "--cancel")
    assert done.returncode == 0, done.stdout
    assert stages(checkout) == []
    assert "--cores 2 --nocolor --configfile tiny.yaml --rerun-incomplete" in done.stdout
    printed = checkout.snakemake(*again)
    assert "Train language model" not in printed and "Embed chunk" not in printed
    assert made == {path: path.stat().st_mtime_ns for path in models.rglob("*")}
    (last,) = (
        line for line in tttnn(checkout, "status").stdout.splitlines() if " jobs done" in line
    )
    done, of = last.split()[0:3:2]
    assert done == of, last
    for table in ("scores", "clean", "differences", "tasks", "corpus", "recall"):
        name = f"results/tiny/tables/{table}.csv"
        assert (checkout.folder / name).read_text() == (finished.folder / name).read_text(), table
