"""Texts of passages for whoever asks again and again: what was read last stays in memory.

The workflow opens a file, compares its footer and reads a row group for each fetch
(`tttnn.corpus.passages`), which fits a pass over all of them. Here, of the same files, the last
used stay open, and the last used row groups stay decoded, for a number of bytes that is given. Each
text that is handed out is compared with its digest, wherever it comes from.
"""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa

from tttnn.corpus.passages import PassageStore
from tttnn.digests import AGAIN, DamagedError
from tttnn.tables import open_table

PARSED = 5  # bytes in memory for each of a footer; 3.9 were measured, and starts come to them
KEPT = 256 << 20  # bytes


class Kept:
    """What was used last, by key, of together at most `most` bytes; for several threads."""

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self.bytes = 0

    def get(self, key: Any) -> Any:
        """None where it is not there, or no more."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def keep(self, key: Any, value: Any, size: int) -> None:
        """Keep a value of so many bytes, and let go of what was used least recently."""
        with self._lock:
            self.bytes += size - self._values.pop(key, (None, 0))[1]
            self._values[key] = value, size
            while self.bytes > self._most:
                self.bytes -= self._values.popitem(last=False)[1][1]


class _Open:
    """A file of passages; its reader is for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.Lock()
        self._file = open_table(path)
        said = self._file.metadata
        groups = (said.row_group(number).num_rows for number in range(said.num_row_groups))
        self.starts = [0, *accumulate(groups)]
        self.size = PARSED * said.serialized_size

    def read(self, group: int) -> pa.RecordBatch:
        try:
            table = self._file.read_row_group(group, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DamagedError(
                f"{self.path}: row group {group} of passages cannot be read ({error}): {AGAIN}"
            ) from error
        return table.combine_chunks().to_batches()[0]


class KeptPassages(PassageStore):
    """As `PassageStore`, for several threads; `kept` may be that of other shards, too."""

    def __init__(self, chunks: Iterable[Path], kept: Kept) -> None:
        super().__init__(chunks)
        self._kept = kept
        self._opening = threading.Lock()

    def fetch(self, ids: Iterable[int]) -> dict[int, tuple[str, str | None]]:
        """Text and subset for each of `ids`; a row group that is not in memory is read once.

        Raises `ValueError` for an id that no file holds, and `DamagedError` where a row is not what
        was written.
        """
        by_group: dict[tuple[int, int], list[int]] = {}
        for wanted in sorted(set(ids)):
            by_group.setdefault(self._place(wanted), []).append(wanted)
        found: dict[int, tuple[str, str | None]] = {}
        for (number, group), members in by_group.items():
            file = self._opened(number)
            first = self._starts[number] + file.starts[group]
            rows = self._group(file, group)
            for passage in members:
                found[passage] = _row(rows, passage - first, passage, file.path)
        return found

    def _place(self, passage: int) -> tuple[int, int]:
        """The file and the row group that hold a passage."""
        number = bisect_right(self._starts, passage) - 1
        if number < 0:
            raise ValueError(f"passage {passage} is before every chunk")
        starts, row = self._opened(number).starts, passage - self._starts[number]
        if row >= starts[-1]:
            raise ValueError(
                f"passage {passage} is beyond the {starts[-1]} rows of {self._files[number]}"
            )
        return number, bisect_right(starts, row) - 1

    def _opened(self, number: int) -> _Open:
        path = self._files[number]
        file = self._kept.get(path)
        if file is None:
            with self._opening:
                file = self._kept.get(path)
                if file is None:
                    file = _Open(path)
                    self._kept.keep(path, file, file.size)
        return file

    def _group(self, file: _Open, group: int) -> pa.RecordBatch:
        key = file.path, group
        rows = self._kept.get(key)
        if rows is None:
            with file.lock:
                rows = self._kept.get(key)  # another thread may have read it meanwhile
                if rows is None:
                    rows = file.read(group)
                    self._kept.keep(key, rows, rows.nbytes)
        return rows


def _row(rows: pa.RecordBatch, row: int, passage: int, path: Path) -> tuple[str, str | None]:
    """A row's text and subset; raises `DamagedError` where they are not what was written."""
    name, subset, text, digest = (rows.column(number)[row].as_py() for number in range(4))
    got = hashlib.sha256(text.encode()).digest()
    if (name, digest) != (passage, got):
        raise DamagedError(
            f"{path}: passage {passage} has a text of SHA-256 {got.hex()}, {digest.hex()} of "
            f"passage {name} is expected: remove it and run again"
        )
    return text, subset
