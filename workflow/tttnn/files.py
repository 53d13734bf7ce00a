"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until what was written to a file, or which names a folder has, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
        ):  # not every file system can for folders
            raise
    finally:
        os.close(descriptor)


def put(beside: Path, path: Path) -> None:
    """Rename a file or folder to `path`, in the place of what is there, for good.

    A machine that loses its power now has the old one or the new one, and never an empty one.
    """
    inside = sorted(beside.rglob("*"), reverse=True) if beside.is_dir() else []
    for written in [*inside, beside]:
        _to_disk(written)
    if beside.is_dir():
        _remove(path)
    beside.replace(path)
    _to_disk(path.parent)


@contextmanager
def replacing(path: Path, *, directory: bool = False) -> Iterator[Path]:
    """A path beside `path` to write to; renamed to `path` on success, removed on failure.

    With `directory`, an empty folder is made there first. The suffix is kept, because libraries
    choose formats by it; the name is always the same, so that what a killed job left behind is
    gone with the next attempt. Content and name are on the disk before this ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".new.{path.name}")
    _remove(beside)
    if directory:
        beside.mkdir()
    try:
        yield beside
        put(beside, path)
    finally:
        _remove(beside)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN is an error, for JSON has none."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reserve(descriptor: int, path: Path, size: int) -> None:
    """Make an open file `size` bytes long, with all of its space on the disk.

    Raises `OSError` where there is not so much. On a file system that cannot reserve space the file
    only gets its length: whoever writes to it must do so by `write`, and not through a memory map,
    for which a full disk is the end of the process.
    """
    try:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise no_space(error, path, size) from error
    os.truncate(descriptor, size)


def no_space(error: OSError, path: Path, size: int) -> OSError:
    """The same error, saying which file needs how many bytes and how many are free."""
    free = shutil.disk_usage(path.parent).free
    return OSError(
        error.errno,
        f"{error.strerror}: {size} bytes are needed for it, {free} are free: make room, or set the "
        "folder on a larger disk, and run again",
        str(path),
    )
