"""A journal of finished work beside an output, so that a job that was killed goes on behind it.

Its first line is the identity of what it was made from (`tttnn.resume.identity`), each further one
a finished piece: JSON, a tab and the CRC-32 of the JSON's bytes.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import zlib
from collections.abc import Iterable
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
    content = path.read_bytes() if path.is_file() else b""
    if content and not _is_of(content, made_from):
        print(f"{path}: of other inputs, settings or code: thrown away", file=sys.stderr)
        content = b""
    return _parsed(content, path)


def _is_of(content: bytes, made_from: str) -> bool:
    return content.startswith(f"{made_from}\n".encode())


def _parsed(content: bytes, path: Path) -> _Kept:
    """The lines behind that of the identity that are what was written; says what is not."""
    kept = _Kept([], [])
    lines = content.splitlines(keepends=True)
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


def write_finished(path: Path, made_from: str, entries: Iterable[Any]) -> None:
    """Keep the entries of a journal that is done with, compressed."""
    content = b"".join([f"{made_from}\n".encode(), *map(_line, entries)])
    with replacing(path) as beside:
        beside.write_bytes(gzip.compress(content, mtime=0))


def read_finished(path: Path, made_from: str) -> list[Any]:
    """The entries that `write_finished` kept; none of another identity, which is not said.

    Those that are damaged are left out, with a line on stderr.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        print(f"{path}: damaged ({error}): what it was of is done again", file=sys.stderr)
        return []
    return _parsed(content, path).entries if _is_of(content, made_from) else []


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

    def append(self, *entries: Any) -> None:
        """Write entries down; they are on the disk when this returns."""
        self._file.write(b"".join(map(_line, entries)))
        self._file.flush()
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Remove the journal, when the output stands."""
        self._file.close()
        self._path.unlink()
