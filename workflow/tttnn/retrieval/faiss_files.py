"""faiss's index files, sealed: read only when they are what was written.

faiss trusts what a file says of its lengths; a flipped bit there ends the process.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import faiss

from tttnn.digests import AGAIN, check_seal, seal
from tttnn.environment import Environment
from tttnn.files import replacing


def write_index(index: faiss.Index, path: Path, environments: list[Environment]) -> None:
    """Write an index and, behind its end, a digest and what it was made with.

    Raises `OSError`, with the bytes that were written, where the disk has no room.
    """
    with replacing(path) as beside:
        try:
            faiss.write_index(index, str(beside))
        except RuntimeError as error:  # faiss's own, for a short write
            written = beside.stat().st_size if beside.is_file() else 0
            free = shutil.disk_usage(path.parent).free
            raise OSError(
                f"{path} could not be written: faiss stopped after {written} bytes, {free} are "
                f"free ({error}): make room and run again"
            ) from error
        seal(beside, {"environments": environments}, path)


def read_index(path: Path, remedy: str = AGAIN) -> tuple[faiss.Index, list[Environment]]:
    """An index, in memory, and what it was made with; raises `DamagedError`."""
    said = check_seal(path, remedy)
    return faiss.read_index(str(path)), said["environments"]
