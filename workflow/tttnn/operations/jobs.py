"""Every job of a run, as Snakemake lists them: asked for now, or kept from when the run started."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tttnn
from tttnn.config.load import load
from tttnn.config.root import Config
from tttnn.reading import reading

DAG = Path(tttnn.__file__).parents[1] / "dag.py"  # beside the Snakefile


EVALUATIONS = ("evaluate_part", "evaluate_tuned", "evaluate_windows", "evaluate_experts")
"""Rules that evaluate test documents."""


class Job(NamedTuple):
    """A rule's job; paths are from the folder that Snakemake runs in.

    `needed`: Snakemake would run it, or would have when the run started. `temporary` are those of
    `outputs` that are removed once they were used.
    """

    rule: str
    wildcards: dict[str, str]
    outputs: list[str]
    temporary: list[str]
    log: str | None
    benchmark: str | None
    needed: bool


def _jobs(values: list[dict[str, Any]]) -> list[Job]:
    return [Job(**job) for job in values]


def kept(file: Path) -> list[Job]:
    """The jobs that `onstart` wrote: those of the run's last start, as they were then."""
    with reading(file, "start the run once more, which writes it"):
        try:
            return _jobs(json.loads(file.read_text(encoding="utf-8")))
        except TypeError as error:  # jobs of another shape
            raise ValueError(error) from error


def ask(
    configfiles: Sequence[Path],
    settings: Sequence[str],
    snakefile: Path | None = None,
    folder: Path | None = None,
) -> tuple[Config, list[Job]]:
    """The configuration and the jobs behind `snakemake` with these options; takes seconds.

    Without a `snakefile` it is that of the project in `folder` (without: the working directory), if
    there is one, as Snakemake itself finds it; else the workflow's own.

    Raises `ValueError` with what Snakemake says where it makes no plan of them.
    """
    if not DAG.is_file():
        raise ValueError(f"{DAG} is missing: call tttnn from a checkout of the workflow")
    here = folder or Path.cwd()
    for option, files in (("--configfile", configfiles), ("--snakefile", [snakefile])):
        for file in filter(None, files):
            if not (here / file).is_file():
                raise ValueError(
                    f"{option}: there is no file {file}: its path starts in the folder where the "
                    f"command is given, {here}"
                )
    command = [sys.executable, str(DAG), *(["--snakefile", str(snakefile)] if snakefile else [])]
    command += ["--configfile", *map(str, configfiles), "--config", *settings]
    asked = subprocess.run(command, cwd=here, capture_output=True, encoding="utf-8")
    if asked.returncode:
        raise ValueError(asked.stdout.strip() or asked.stderr.strip())
    answer = json.loads(asked.stdout)
    return load(answer["config"]), _jobs(answer["jobs"])
