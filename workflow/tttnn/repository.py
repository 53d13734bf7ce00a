"""The commit of this repository: what a run, or a record of one, was made from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import tttnn

PACKAGE = Path(tttnn.__file__).parent
WORKFLOW = ("workflow", "rules", "envs", "config.yaml")
"""What a run is made from, below the repository's folder."""


def commit(folder: Path = PACKAGE, *paths: str) -> str | None:
    """The commit of the repository about `folder`, with ", changed" where `paths` have changed.

    Without `paths`, that is anything below `folder`. None where there is no git or no repository.
    """
    git = shutil.which("git")
    if git is None:
        return None
    said = []
    for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", *(paths or ["."])]):
        done = subprocess.run([git, "-C", folder, *words], capture_output=True, text=True)
        if done.returncode:
            return None
        said.append(done.stdout.strip())
    head, changed = said
    return f"{head}, changed" if changed else head


def of_workflow() -> str | None:
    """The commit of the workflow that this package lies in."""
    return commit(PACKAGE.parents[1], *WORKFLOW)
