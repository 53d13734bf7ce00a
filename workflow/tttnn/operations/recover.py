"""Tidy up after a Snakemake that was killed: the jobs it left behind, and its lock."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from tttnn.operations.leftover import Process, SlurmJob, processes, slurm_jobs
from tttnn.operations.started import FILE, Start, last
from tttnn.operations.status import recorded
from tttnn.wording import counted

POLL_SECONDS = 2
GRACE_SECONDS = 60  # between SIGTERM and SIGKILL for a local job


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


def _unlock(folder: Path, start: Start | None) -> None:
    options = start.arguments if start else []
    command = [sys.executable, "-m", "snakemake", "--unlock", *options]
    asked = subprocess.run(
        command, cwd=start.folder if start else folder, capture_output=True, text=True
    )
    if asked.returncode:
        raise ValueError(f"snakemake --unlock failed:\n{asked.stdout}{asked.stderr}")


def _is_locked(folder: Path) -> bool:
    """Whether a Snakemake that ended here did not tidy up: its locks, or outputs being made."""
    places = (folder / ".snakemake/locks", folder / ".snakemake/incomplete")
    return any(file.is_file() for place in places for file in place.rglob("*"))


def _is_finished(start: Start, folder: Path) -> bool:
    """Whether all that its last start set out to make is there; False where nobody wrote it down.

    What would be made again by now, since code or settings changed, is `tttnn status`'s to say.
    """
    try:
        return set(recorded(start, folder).states) == {"done"}
    except (OSError, ValueError):
        return False


def _wait(folder: Path, *, kill_after: float) -> None:
    started, told = time.monotonic(), ""
    while left := _left(folder):
        now = f"waiting for {counted(len(left), 'job')} to end"
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

    When none is left, the folder is unlocked, and the command that goes on with the run that was
    started last is printed, to be pasted. After Ctrl-C nothing of this is needed: the same command
    again goes on.

    Run one Snakemake at a time in a folder: whichever ends first removes the locks of all, so that
    an unlocked folder does not mean that nothing is at work in it.
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
        count = counted(len(left), "job")
        sys.exit(f"{count} left: tttnn recover --cancel ends what is left, --wait lets it end")
    if cancel:
        _cancel(left)
    _wait(folder, kill_after=GRACE_SECONDS if cancel else float("inf"))

    start = last(folder)
    if not left and not _is_locked(folder):
        print("Nothing is to be recovered: no job is left, and the folder is not locked.")
        if start is not None and _is_finished(start, folder):
            print(f"All that run {start.run} was last started for is made.")
            return
    else:
        _unlock(folder, start)
        print("No job is left, and the folder is unlocked.")
    if start is None:
        print(
            f"How the last run here was started is not known (no results/<run>/{FILE}): to go on, "
            "repeat its command with --rerun-incomplete."
        )
        return
    print(f"To go on with run {start.run}:\n  {start.command('--rerun-incomplete')}")
    if not start.is_here:
        print(f"It was started on {start.host}: make sure that it runs there no more.")
