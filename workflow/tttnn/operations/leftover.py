"""What works in a folder: Snakemake itself, its local jobs, and its SLURM jobs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import psutil

from tttnn.stages import MODULES

RUN_ID = re.compile(r"^SLURM run ID: (\S+)$", re.M)


class Process(NamedTuple):
    """A local process: `what` is the stage it runs with its output, or `snakemake`."""

    pid: int
    what: str
    command: list[str]

    def __str__(self) -> str:
        return f"process {self.pid:<9} {self.what}"


class SlurmJob(NamedTuple):
    """A job that SLURM has not finished with; `comment` is the plugin's: rule and wildcards."""

    number: str
    state: str
    comment: str

    def __str__(self) -> str:
        return f"SLURM job {self.number:<7} {self.state:<10} {self.comment}"


def logs(folder: Path) -> list[Path]:
    """Snakemake's own logs, oldest first."""
    return sorted(folder.glob(".snakemake/log/*.snakemake.log"))


def _is_job_of_slurm(process: psutil.Process) -> bool:
    try:
        environment = process.environ()
    except psutil.Error:
        return False
    own = psutil.Process().environ().get("SLURM_JOB_ID")
    return environment.get("SLURM_JOB_ID", own) != own


def _what(command: list[str]) -> str | None:
    for position in range(len(command) - 2):
        if command[position : position + 2] == ["-m", "tttnn"] and command[position + 2] in MODULES:
            return command[position + 2]
    names = [Path(word).name for word in command[:2]]
    if "snakemake" in names or command[1:3] == ["-m", "snakemake"]:
        return "snakemake"
    return None


def processes(folder: Path) -> list[Process]:
    """Processes on this machine that run a stage, or Snakemake, in `folder`.

    Those inside SLURM jobs are left out: they are SLURM's to end.
    """
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            what = _what(command)
            if what and Path(process.cwd()) == folder and not _is_job_of_slurm(process):
                found.append(Process(process.pid, what, command))
        except psutil.Error:  # ended meanwhile, or another user's
            continue
    return found


def slurm_jobs(folder: Path) -> list[SlurmJob]:
    """Unfinished SLURM jobs of the runs that Snakemake's logs in `folder` name.

    Raises `OSError` if SLURM does not answer, for then nobody can say.
    """
    names = [name for log in logs(folder) for name in RUN_ID.findall(log.read_text("utf-8"))]
    if not names:
        return []
    if shutil.which("squeue") is None:
        raise OSError(
            f"{folder} has runs on SLURM, but there is no squeue here: go to the cluster's login "
            "node"
        )
    command = ["squeue", "--noheader", "--format=%i|%T|%k", f"--name={','.join(names)}"]
    asked = subprocess.run(command, capture_output=True, text=True)
    if asked.returncode:
        raise OSError(f"squeue failed: {asked.stderr.strip()}")
    return [SlurmJob(*line.split("|", 2)) for line in asked.stdout.splitlines()]
