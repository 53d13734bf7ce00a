"""Passages on disk: their ids, their schema, and fetching some of them by id.

A passage id names its shard and its row there, so that it survives merging and needs no lookup
table: `shard << 40 | row`.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tttnn.digests import AGAIN, DamagedError, read_record, write_record
from tttnn.files import name_within
from tttnn.tables import open_table, table_digest

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

    Files are in order of shard and chunk, named from the manifest's folder, with their rows and
    digests (`tttnn.tables.table_digest`).
    """
    files = [
        {
            "file": os.path.relpath(path, manifest.parent),
            "rows": open_table(path).metadata.num_rows,
            "digest": table_digest(path),
        }
        for path in passages
    ]
    write_record(manifest, {"passages": files})


def listed(manifest: Path) -> list[Path]:
    """The chunk files that a manifest lists; raises `DamagedError` unless they are those."""
    files = []
    for entry in read_record(manifest)["passages"]:
        files.append(name_within(manifest.parent, entry["file"], manifest))
        if table_digest(files[-1]) != entry["digest"]:
            raise DamagedError(
                f"{files[-1]} is not the file that {manifest} lists: remove the latter and run "
                "again"
            )
    return files


class PassageStore:
    """Reads passages by id from the chunk files of all shards, which stay closed until needed.

    `chunks` holds the files in order of shard and chunk, and the first id of each tells which
    file has an id; ids of files without rows cannot be asked for.
    """

    def __init__(self, chunks: Iterable[Path]) -> None:
        self._starts: list[int] = []
        self._files: list[Path] = []
        for path in chunks:
            file = open_table(path)
            if file.metadata.num_rows == 0:
                continue
            first = file.metadata.row_group(0).column(0).statistics.min
            self._starts.append(first)
            self._files.append(path)
        if self._starts != sorted(self._starts):
            raise ValueError("chunk files are not in the order of their passage ids")

    def fetch(self, ids: Iterable[int]) -> dict[int, tuple[str, str | None]]:
        """Text and subset for each of `ids`; every row group that holds one is read once.

        Raises `ValueError` for an id that no file holds, and `DamagedError` where a row is not what
        was written.
        """
        by_file: dict[int, list[int]] = {}
        for wanted in set(ids):
            by_file.setdefault(bisect_right(self._starts, wanted) - 1, []).append(wanted)
        found: dict[int, tuple[str, str | None]] = {}
        for position, members in sorted(by_file.items()):
            if position < 0:
                raise ValueError(f"passage {members[0]} is before every chunk")
            path, start = self._files[position], self._starts[position]
            file = open_table(path)
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
                table = _read_group(file, path, group)
                for row in rows:
                    values = table.slice(row - offsets[group], 1).to_pylist()[0]
                    text, digest = values["text"], hashlib.sha256(values["text"].encode()).digest()
                    if (values["passage_id"], values["sha256"]) != (start + row, digest):
                        raise DamagedError(
                            f"{path}: passage {start + row} has a text of SHA-256 {digest.hex()}, "
                            f"{values['sha256'].hex()} of passage {values['passage_id']} is "
                            "expected: remove it and run again"
                        )
                    found[start + row] = (text, values["pile_set_name"])
        return found


def _read_group(file: pq.ParquetFile, path: Path, group: int) -> pa.Table:
    try:
        return file.read_row_group(group)
    except (pa.ArrowException, OSError) as error:
        raise DamagedError(
            f"{path}: row group {group} of passages cannot be read ({error}): {AGAIN}"
        ) from error
