"""Passages on disk: their ids, their schema, and fetching some of them by id.

A passage id names its shard and its row there, so that it survives merging and needs no lookup
table: `shard << 40 | row`.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tttnn.files import write_json

ROW_BITS = 40
ROW_GROUP = 256  # rows; small, because neighbours are fetched from all over a shard

PASSAGES = pa.schema(
    [
        ("passage_id", pa.int64()),
        ("pile_set_name", pa.string()),
        ("text", pa.string()),
        ("sha256", pa.binary(32)),
    ]
)


def passage_id(shard: int, row: int) -> int:
    """The id of row `row` of shard number `shard`."""
    return shard << ROW_BITS | row


def list_passages(passages: list[Path], manifest: Path) -> None:
    """Write the list of all chunk files, JSON, for those who want passages from any of them.

    Files are in order of shard and chunk, named from the manifest's folder, with their rows.
    """
    files = [
        {
            "file": os.path.relpath(path, manifest.parent),
            "rows": pq.ParquetFile(path).metadata.num_rows,
        }
        for path in passages
    ]
    write_json(manifest, {"passages": files})


def listed(manifest: Path) -> list[Path]:
    """The chunk files that a manifest lists."""
    files = json.loads(manifest.read_text(encoding="utf-8"))["passages"]
    return [manifest.parent / entry["file"] for entry in files]


class PassageStore:
    """Reads passages by id from the chunk files of all shards, which stay closed until needed.

    `chunks` holds the files in order of shard and chunk, and the first id of each tells which
    file has an id; ids of files without rows cannot be asked for.
    """

    def __init__(self, chunks: Iterable[Path]) -> None:
        self._starts: list[int] = []
        self._files: list[Path] = []
        for path in chunks:
            file = pq.ParquetFile(path)
            if file.metadata.num_rows == 0:
                continue
            first = file.metadata.row_group(0).column(0).statistics.min
            self._starts.append(first)
            self._files.append(path)
        if self._starts != sorted(self._starts):
            raise ValueError("chunk files are not in the order of their passage ids")

    def fetch(self, ids: Iterable[int]) -> dict[int, tuple[str, str | None]]:
        """Text and subset for each of `ids`; every row group that holds one is read once.

        Raises `ValueError` for an id that no file holds.
        """
        by_file: dict[int, list[int]] = {}
        for wanted in set(ids):
            by_file.setdefault(bisect_right(self._starts, wanted) - 1, []).append(wanted)
        found: dict[int, tuple[str, str | None]] = {}
        for position, members in sorted(by_file.items()):
            if position < 0:
                raise ValueError(f"passage {members[0]} is before every chunk")
            path, start = self._files[position], self._starts[position]
            file = pq.ParquetFile(path)
            offsets = [0]
            for group in range(file.num_row_groups):
                offsets.append(offsets[-1] + file.metadata.row_group(group).num_rows)
            by_group: dict[int, list[int]] = {}
            for wanted in members:
                row = wanted - start
                if row >= offsets[-1]:
                    raise ValueError(f"passage {wanted} is beyond the {offsets[-1]} rows of {path}")
                by_group.setdefault(bisect_right(offsets, row) - 1, []).append(row)
            for group, rows in sorted(by_group.items()):
                table = file.read_row_group(group, columns=["text", "pile_set_name"])
                for row in rows:
                    place = row - offsets[group]
                    text, subset = (column[place].as_py() for column in table.columns)
                    found[start + row] = (text, subset)
        return found
