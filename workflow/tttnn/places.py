"""Where a run's results lie, however a command is told of the run."""

from __future__ import annotations

import os
from pathlib import Path

from tttnn.sections.base import nearest


def run_folder(run: str | Path) -> Path:
    """A run's folder: by its name in the working directory, by the folder's path, or its tables'.

    Raises `ValueError` where there is none.
    """
    path = Path(run)
    named = Path("results") / path
    is_name = len(path.parts) == 1 and path.name != ".." and (named.is_dir() or not path.is_dir())
    found = named if is_name else path.parent if path.name == "tables" else path
    if not found.is_dir():
        there = [each.parent.name for each in Path("results").glob("*/config.json")]
        raise ValueError(
            f"there is no folder {found}: give the name of a run that was started in this folder, "
            "or the path of its results/NAME." + (nearest(path.name, there) if there else "")
        )
    return found


def project_of(run: Path) -> Path:
    """The folder that a run was started in, which has its figures and Snakemake's notes.

    Raises `ValueError` for a run's folder that lies elsewhere than where a run makes it.
    """
    whole = Path(os.path.abspath(run))  # noqa: PTH100 — results/NAME may be a link
    if whole.parent.name != "results":
        raise ValueError(
            f"{run} is no run's folder, which is results/NAME: name that, or NAME in the folder "
            "that the run was started in"
        )
    return whole.parent.parent


def run_or_record(given: Path) -> Path:
    """A record, a folder of records, or a run as `run_folder` has it.

    What is neither is left as it is, for whoever opens it to say so.
    """
    marks = ("manifest.json", "*/manifest.json", "config.json")
    if given.name == "tables" or any(next(given.glob(mark), None) for mark in marks):
        return given
    try:
        return run_folder(given)
    except ValueError:
        return given
