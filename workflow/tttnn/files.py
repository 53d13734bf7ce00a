"""Files that appear whole or not at all, and names of files that others wrote."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
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


def check_name(name: object, said_by: object) -> str:
    """A file's name below some folder, as something from outside gives it: `a` or `a/b`.

    Raises `ValueError`, naming `said_by`, for whatever is a path and not a name: an absolute one,
    one with `.`, `..` or an empty part, a backslash, a drive, or what no file can be called.
    """
    if not isinstance(name, str):
        fault = "is not a string"
    elif name.startswith("/") or re.match("[A-Za-z]:", name):
        fault = "is absolute"
    elif "\\" in name:
        fault = "has a backslash"
    elif ".." in name.split("/"):
        fault = "leads out of its folder"
    elif {"", "."} & set(name.split("/")):
        fault = "has an empty part"
    elif any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in name):
        fault = "has a character that no name has"
    else:
        return name
    raise ValueError(
        f"{said_by} names the file {name!r}, which {fault}: it must be the name of a file in the "
        "same folder or below it, parts joined by /. Correct it there, or take the files from "
        "another place."
    )


def name_within(
    folder: Path, name: object, said_by: object, *, links_to: Path | None = None
) -> Path:
    """The path of what `said_by`, something from outside, calls `name` in `folder`.

    Nothing needs to be there. Raises `ValueError` as `check_name` does, and where a link leads
    out of `folder`; it may lead to `links_to`, as snapshots in the hub's cache link to its blobs.
    """
    path = folder / check_name(name, said_by)
    allowed = [folder.resolve(), *([links_to.resolve()] if links_to else [])]
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # a link to itself
        target = None
    if target is None or not any(target.is_relative_to(place) for place in allowed):
        raise ValueError(
            f"{said_by} names the file {name!r}, but {path} is a link that leads out of {folder} "
            f"({target or 'to itself'}): put the file itself in the place of the link."
        )
    return path


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
