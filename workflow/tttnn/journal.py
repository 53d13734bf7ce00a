"""A journal of finished work beside an output, so that a job that was killed goes on behind it.

Its first line is the identity of what it was made from (`tttnn.resume.identity`), each further one
a finished piece: JSON, a tab and the CRC-32 of the JSON's bytes.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tttnn.files import replacing


class _Kept(NamedTuple):
    lines: list[bytes]
    entries: list[Any]


def _line(entry: Any) -> bytes:
    text = json.dumps(entry).encode("ascii")
    return b"%s\t%08x\n" % (text, zlib.crc32(text))


def _read(path: Path, made_from: str) -> _Kept:
    """The lines of a journal of this identity that are what was written; says what is not."""
    kept = _Kept([], [])
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    if not lines:
        return kept
    if lines[0] != f"{made_from}\n".encode():
        print(f"{path}: of other inputs, settings or code: thrown away", file=sys.stderr)
        return kept
    for number, line in enumerate(lines[1:], start=2):
        try:
            entry = json.loads(line.rpartition(b"\t")[0])
            whole = _line(entry) == line
        except (ValueError, RecursionError):
            whole = False
        if whole:
            kept.lines.append(line)
            kept.entries.append(entry)
        else:
            print(
                f"{path}, line {number}: damaged, thrown away: what it was of is done again",
                file=sys.stderr,
            )
    return kept


def read_note(path: Path) -> Any | None:
    """What a note beside half-done work says, JSON; None if there is none, or it is damaged.

    The latter is said on stderr, and whoever asks starts anew.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        print(f"{path}: damaged, thrown away: what it was of is done again", file=sys.stderr)
        return None


class Journal:
    """The journal at `path`: `entries` that an earlier attempt left, and a place for more.

    A journal of another identity is thrown away, and so is a line that is damaged or torn, each
    with a line on stderr. It is a context manager, which closes the file and leaves it there.
    """

    def __init__(self, path: Path, made_from: str) -> None:
        self._path = path
        lines, self.entries = _read(path, made_from)
        with replacing(path) as beside:
            beside.write_bytes(b"".join([f"{made_from}\n".encode(), *lines]))
        self._file = path.open("ab")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, entry: Any) -> None:
        """Write an entry down; it is on the disk when this returns."""
        self._file.write(_line(entry))
        self._file.flush()
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Remove the journal, when the output stands."""
        self._file.close()
        self._path.unlink()
