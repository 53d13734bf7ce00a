"""Where libraries keep what they can fetch or make again, when the home folder is of no use."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

FOLDER = Path(".cache")  # in the project's folder


def _is_writable(folder: Path) -> bool:
    """Whether a folder can be made there; what permissions say is not so for root, or of /proc."""
    try:
        with tempfile.TemporaryDirectory(prefix=".tttnn-", dir=folder):
            return True
    except OSError:
        return False


def settle() -> None:
    """Have libraries keep their caches in the working directory, where the home folder cannot.

    That is a home that is unset, missing or not to be written to, as on some clusters' nodes and in
    containers. matplotlib, huggingface_hub, torch and Snakemake would end there in a warning or a
    traceback, or make a home that is missing. What the environment already says stays as it is.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.expanduser may raise
    kept = home / ".cache"
    if _is_writable(kept if os.path.lexists(kept) else home):
        return
    caches = os.environ.setdefault("XDG_CACHE_HOME", str(FOLDER.absolute()))
    os.environ.setdefault("MPLCONFIGDIR", str(Path(caches, "matplotlib")))
