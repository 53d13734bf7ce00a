"""A checkout whose Snakemake submits to SLURM, and what to look for."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

from checkout import SNAKEMAKE, Checkout

DEMO = "config/slurm-demo.yaml"
# The shipped profile is for schedulers that others wait for too.
IMPATIENT = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]


class RemoteCheckout(Checkout):
    """A checkout used by someone with an empty home and hardly anything set in the shell."""

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start Snakemake; it prints to the file `output`."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        with (self.folder / "output").open("w") as output:
            return subprocess.Popen(
                [str(SNAKEMAKE), "--nocolor", *arguments],
                cwd=self.folder,
                env={"PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}", "HOME": str(home)},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def submit(self, *arguments: str) -> subprocess.Popen[str]:
        """Start Snakemake with the shipped profile."""
        return self.start("--profile", "slurm", *IMPATIENT, *arguments)

    def wait(self, process: subprocess.Popen[str]) -> tuple[bool, str]:
        """Wait for Snakemake: whether it succeeded, and what it printed."""
        try:
            process.wait(timeout=900)
        finally:
            if process.poll() is None:  # or its jobs would outlive the test
                process.send_signal(signal.SIGINT)
                process.wait(timeout=60)
        return process.returncode == 0, (self.folder / "output").read_text()

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Wait for Snakemake, which must succeed; what it printed."""
        succeeded, printed = self.wait(process)
        assert succeeded, printed[-8000:]
        return printed

    def fail(self, process: subprocess.Popen[str]) -> str:
        """Wait for Snakemake, which must fail; what it printed."""
        succeeded, printed = self.wait(process)
        assert not succeeded, printed[-8000:]
        return printed

    def workers(self, stage: str) -> Iterator[tuple[int, list[str], dict[str, str]]]:
        """The running processes of a stage: id, command line, environment."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_text().split("\0")
                if command[1:4] == ["-m", "tttnn", stage] and (
                    (process / "cwd").readlink() == self.folder.resolve()
                ):
                    variables = (process / "environ").read_text().split("\0")
                    pairs = (variable.partition("=")[::2] for variable in variables)
                    yield int(process.name), command, dict(pairs)
            except OSError:  # it ended meanwhile
                continue


def submitted(printed: str) -> list[str]:
    """The rule or group of each SLURM job, with wildcards, as in the path of its log."""
    log = r"submitted with SLURM jobid \d+ \(log: \S*/logs/slurm/(\S+)/\d+\.log"
    return sorted(re.findall(log, printed))


def wait_until(what: str, condition, seconds: float = 120):
    """Ask until the answer is true, and return it."""
    end = monotonic() + seconds
    while not (answer := condition()):
        assert monotonic() < end, f"no {what} within {seconds} s"
        sleep(0.1)
    return answer
