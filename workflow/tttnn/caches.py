"""Where libraries keep what they can fetch or make again, when the home folder is of no use."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(".cache")  # in the project's folder


def _is_writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def settle() -> None:
    """Have libraries keep their caches in the working directory, where the home folder cannot.

    That is a home that is unset, missing or not to be written to, as on some clusters' nodes and in
    containers. matplotlib, huggingface_hub, torch and Snakemake would end there in a warning or a
    traceback. What the environment already says stays as it is.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.expanduser may raise
    kept = home / ".cache"
    if _is_writable(home) and (_is_writable(kept) or not kept.exists()):
        return
    caches = os.environ.setdefault("XDG_CACHE_HOME", str(FOLDER.absolute()))
    os.environ.setdefault("MPLCONFIGDIR", str(Path(caches, "matplotlib")))
