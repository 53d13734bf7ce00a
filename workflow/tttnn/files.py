"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
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


@contextmanager
def replacing(path: Path, *, directory: bool = False) -> Iterator[Path]:
    """A path beside `path` to write to; renamed to `path` on success, removed on failure.

    With `directory`, an empty folder is made there first. The suffix is kept, because libraries
    choose formats by it; the name is always the same, so that what a killed job left behind is
    gone with the next attempt.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".new.{path.name}")
    _remove(beside)
    if directory:
        beside.mkdir()
    try:
        yield beside
        if directory:
            _remove(path)
        beside.replace(path)
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
