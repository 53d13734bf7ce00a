"""Tidy up after a Snakemake that was killed: the jobs it left behind, and its lock."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tttnn.operations.leftover import Process, SlurmJob, logs, processes, slurm_jobs

POLL_SECONDS = 2
GRACE_SECONDS = 60  # between SIGTERM and SIGKILL for a local job
HOST = re.compile(r"^ *Host: (\S+)$", re.M)
RAN = re.compile(r"^Provided ", re.M)  # cores, or remote nodes; dry runs do not say this
COMMAND = re.compile(r"^ *Command: \S*?(snakemake .*)$", re.M)


def _left(folder: Path) -> list[Process | SlurmJob]:
    """The jobs that a killed Snakemake left; raises `ValueError` while one is alive."""
    local = processes(folder)
    for process in local:
        # with --mode it is itself a job of another Snakemake
        if process.what == "snakemake" and "--mode" not in process.command:
            raise ValueError(
                f"Snakemake (process {process.pid}) is at work in {folder}: there is nothing to "
                "recover. Ctrl-C stops it, and the same command goes on."
            )
    return [*slurm_jobs(folder), *local]


def _cancel(left: list[Process | SlurmJob]) -> None:
    numbers = [job.number for job in left if isinstance(job, SlurmJob)]
    if numbers:
        subprocess.run(["scancel", *numbers], check=True)
    for job in left:
        if isinstance(job, Process) and psutil.pid_exists(job.pid):
            psutil.Process(job.pid).terminate()


def _kill(left: list[Process | SlurmJob]) -> None:
    for job in left:
        if isinstance(job, Process) and psutil.pid_exists(job.pid):
            process = psutil.Process(job.pid)
            for member in [*process.children(recursive=True), process]:
                member.kill()


def _last_run(folder: Path) -> tuple[str, str]:
    """The command and the host of the last Snakemake that ran jobs in `folder`."""
    for log in reversed(logs(folder)):
        text = log.read_text("utf-8")
        command, host = COMMAND.search(text), HOST.search(text)
        if command and host and RAN.search(text):
            return command[1], host[1]
    return "snakemake", platform.node()


def _wait(folder: Path, *, kill_after: float) -> None:
    started, told = time.monotonic(), ""
    while left := _left(folder):
        now = f"waiting for {len(left)} jobs to end"
        if now != told:
            print(now, flush=True)
            told = now
        if time.monotonic() - started > kill_after:
            _kill(left)
        time.sleep(POLL_SECONDS)


def recover(cancel: bool = False, wait: bool = False) -> None:
    """Make the folder fit to go on in, after Snakemake in it was killed with jobs running.

    Run it in the folder in which Snakemake ran, on the same machine. Without options it lists the
    jobs that are left, in SLURM or as local processes.

    --cancel  end them: what they have saved is kept, and the next run goes on from there
    --wait    let them finish (new outputs of SLURM jobs count; a local job's are made again)

    When none is left, the folder is unlocked, and the command that goes on is printed. After Ctrl-C
    nothing of this is needed: the same command again goes on.
    """
    folder = Path.cwd()
    if not (folder / ".snakemake").is_dir():
        raise ValueError(f"{folder} has no .snakemake: go to where Snakemake was started")
    if cancel and wait:
        raise ValueError("--cancel and --wait exclude each other")
    left = _left(folder)
    for job in left:
        print(job)
    if left and not (cancel or wait):
        sys.exit(f"{len(left)} jobs are left: tttnn recover --cancel ends them, --wait lets them")
    if cancel:
        _cancel(left)
    _wait(folder, kill_after=GRACE_SECONDS if cancel else float("inf"))

    unlocked = subprocess.run(
        [sys.executable, "-m", "snakemake", "--unlock"], capture_output=True, text=True
    )
    if unlocked.returncode:
        raise ValueError(f"snakemake --unlock failed:\n{unlocked.stdout}{unlocked.stderr}")
    command, host = _last_run(folder)
    if "--rerun-incomplete" not in command:
        command += " --rerun-incomplete"
    print(f"No job is left, and the folder is unlocked. To go on:\n  {command}")
    if host != platform.node():
        print(f"The last Snakemake here ran on {host}: make sure that it does so no more.")
