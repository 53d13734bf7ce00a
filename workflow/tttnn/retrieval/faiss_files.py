"""faiss's index files, sealed: read only when they are what was written, and what is asked for.

faiss trusts what a file says of its lengths; a flipped bit there ends the process. So what an index
is stands in its seal, and is compared with what is wanted before faiss reads a byte.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss

from tttnn.digests import AGAIN, MAGIC, SHA256_BYTES, DamagedError, check_seal, seal
from tttnn.files import replacing

METRIC = "squared Euclidean"


def guards(kind: str, factory: str, dimension: int, embedder: str) -> dict[str, Any]:
    """What has to be the same of all parts of an index, and of what is searched in it."""
    return {
        "kind": kind,
        "factory": factory,
        "metric": METRIC,
        "dimension": dimension,
        "embedder": embedder,
        "faiss": faiss.__version__,
    }


def check_guards(
    path: Path, said: dict[str, Any], expected: dict[str, Any], remedy: str = AGAIN
) -> None:
    """Compare what a file says of its index with what is needed; raises `DamagedError`."""
    for name, wanted in expected.items():
        if (found := said.get(name)) != wanted:
            raise DamagedError(
                f"{path} is an index of another {name}: it has {found!r}, {wanted!r} is needed "
                f"here: {remedy}"
            )


def write_index(index: faiss.Index, path: Path, said: dict[str, Any]) -> None:
    """Write an index and, behind its end, a digest and what it is."""
    write_sealed(lambda beside: to_file(index, beside, path), path, said)


def write_sealed(write: Callable[[Path], None], path: Path, said: dict[str, Any]) -> None:
    """Have an index written to a path beside, then sealed and renamed to `path`."""
    with replacing(path) as beside:
        write(beside)
        seal(beside, said, path)


def to_file(index: faiss.Index, beside: Path, path: Path) -> None:
    """Write an index as faiss does.

    Raises `OSError`, with the bytes that were written, where the disk has no room.
    """
    try:
        faiss.write_index(index, str(beside))
    except RuntimeError as error:  # faiss's own, for a short write
        written = beside.stat().st_size if beside.is_file() else 0
        free = shutil.disk_usage(path.parent).free
        raise OSError(
            f"{path} could not be written: faiss stopped after {written} bytes, {free} are "
            f"free ({error}): make room and run again"
        ) from error


def checked(path: Path, expected: dict[str, Any], remedy: str = AGAIN) -> dict[str, Any]:
    """What a sealed index says of itself; raises `DamagedError` where it is not what it was.

    Its SHA-256 is compared as a whole, and `expected` with what it says.
    """
    said = check_seal(path, remedy)
    check_guards(path, said, expected, remedy)
    return said


def read_index(path: Path, expected: dict[str, Any]) -> tuple[faiss.Index, dict[str, Any]]:
    """An index, in memory, and what it says of itself; raises `DamagedError`."""
    said = checked(path, expected)
    return faiss.read_index(str(path)), said


def sealed_digest(path: Path) -> str:
    """The SHA-256 that a sealed file ends in, which is not compared with the file."""
    with path.open("rb") as file:
        file.seek(-SHA256_BYTES - len(MAGIC), os.SEEK_END)
        return file.read(SHA256_BYTES).hex()
