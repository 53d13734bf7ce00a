"""The texts that neighbours need, fetched in one pass over the passages.

A corpus is read once for all queries, tasks and ways to find neighbours: which passages are wanted
is listed first, then each shard's are copied, each row group that holds one read once. A copy has
row groups of its own, each of one task's passages by id, so that a task's neighbours are joined
from what is its own.

The copies are no more than a short cut: a passage that none has is read from where it is from, with
the same result.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from tttnn.corpus.passages import ROW_BITS
from tttnn.digests import AGAIN, DamagedError
from tttnn.sections.gather import Gather
from tttnn.tables import OPTIONS, open_table, read_table, sealing, table_digest

WANTED = pa.schema([("task", pa.string()), ("passage_id", pa.int64())])
TEXTS = pa.schema(
    [
        ("task", pa.string()),
        ("passage_id", pa.int64()),
        ("size", pa.int64()),  # bytes of text
        ("pile_set_name", pa.string()),
        ("text", pa.string()),
        ("sha256", pa.binary(32)),
    ]
)
TEXTS_AT_ONCE = 64  # of a task: when there are so many, they are written together
BYTES_AT_ONCE = 1 << 20  # or so many bytes of text
PASSAGES_KEY = b"passages"  # of a copy's metadata: the digests of the files it is from

Text = tuple[str, str | None]  # and its subset


def want_texts(spec: Gather, candidates: list[Path], outputs: list[Path]) -> None:
    """List the passages among the first `spec.depth` candidates of any query, a file a shard.

    `candidates` are files of tasks by their names, several of a task for several queries and ways;
    `outputs` are named by the shards' numbers. Of a task in turn, so that no more than its ids are
    in memory. Raises `ValueError` for a passage of another shard.
    """
    shards = {int(path.stem): path for path in outputs}
    by_task = sorted(candidates, key=lambda path: path.stem)
    with ExitStack() as stack:
        writers = {
            shard: stack.enter_context(
                pq.ParquetWriter(stack.enter_context(sealing(path)), WANTED, **OPTIONS)
            )
            for shard, path in shards.items()
        }
        for task, files in groupby(by_task, key=lambda path: path.stem):
            ids = np.empty(0, np.int64)
            for path in files:
                table = read_table(path, ["rank", "passage_id"])
                table = table.filter(pc.less(table["rank"], spec.depth))
                ids = np.union1d(ids, table["passage_id"].to_numpy())
            if others := set((ids >> ROW_BITS).tolist()) - set(shards):
                raise ValueError(
                    f"candidates of {task} are of shard {min(others)}, which the corpus has not: "
                    "remove the candidates and run again"
                )
            for shard, writer in writers.items():
                first, end = np.searchsorted(ids, [shard << ROW_BITS, (shard + 1) << ROW_BITS])
                columns = [[task] * int(end - first), ids[first:end]]
                writer.write_table(pa.table(columns, schema=WANTED))


def _read_group(file: pq.ParquetFile, path: Path, group: int, **columns: list[str]) -> pa.Table:
    try:
        return file.read_row_group(group, **columns)
    except (pa.ArrowException, OSError) as error:
        raise DamagedError(
            f"{path}: row group {group} of passages cannot be read ({error}): {AGAIN}"
        ) from error


def _checked(path: Path, rows: pa.Table) -> Iterator[tuple[int, Text]]:
    """Passages by id; raises `DamagedError` for a text that is not the one that was written."""
    names = ("passage_id", "text", "pile_set_name", "sha256")
    for wanted, text, subset, expected in zip(
        *(rows[name].to_pylist() for name in names), strict=True
    ):
        digest = hashlib.sha256(text.encode()).digest()
        if digest != expected:
            raise DamagedError(
                f"{path}: passage {wanted} has a text of SHA-256 {digest.hex()}, {expected.hex()} "
                "is expected: remove it and run again"
            )
        yield wanted, (text, subset)


# --- collecting ------------------------------------------------------------------------------


class _Copy:
    """A copy that is being written: rows come by id, and go into row groups of one task each."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._rows: dict[str, list[pa.Table]] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    def add(self, task: str, rows: pa.Table) -> None:
        for start in range(0, len(rows), TEXTS_AT_ONCE):
            part = rows.slice(start, TEXTS_AT_ONCE)
            count, size = self._sizes.get(task, (0, 0))
            self._rows.setdefault(task, []).append(part)
            self._sizes[task] = count + len(part), size + pc.sum(part["size"]).as_py()
            if self._sizes[task][0] >= TEXTS_AT_ONCE or self._sizes[task][1] >= BYTES_AT_ONCE:
                self._flush(task)

    def _flush(self, task: str) -> None:
        rows = pa.concat_tables(self._rows.pop(task))
        del self._sizes[task]
        rows = rows.add_column(0, "task", pa.array([task] * len(rows), pa.string()))
        self._writer.write_table(rows.select(TEXTS.names).cast(TEXTS))

    def end(self) -> None:
        """Write what is left."""
        for task in list(self._rows):
            self._flush(task)


def collect_texts(wanted: Path, passages: list[Path], output: Path) -> None:
    """Copy a shard's wanted passages; of its files, each row group that holds one is read once.

    In memory are a row group, and of each task what is not written yet. Raises `ValueError` for a
    passage that no file holds, and `DamagedError` where a text is not what was written.
    """
    table = read_table(wanted)
    tasks = table["task"].combine_chunks().dictionary_encode()
    names, codes = tasks.dictionary.to_pylist(), tasks.indices.to_numpy()
    ids = table["passage_id"].to_numpy()
    order = np.lexsort((codes, ids))
    ids, codes = ids[order], codes[order]
    schema = TEXTS.with_metadata({PASSAGES_KEY: "\n".join(map(table_digest, passages)).encode()})
    found = 0
    with (
        sealing(output) as beside,
        pq.ParquetWriter(beside, schema, **OPTIONS) as writer,
    ):
        copy = _Copy(writer)
        for path in tqdm(passages, desc=output.stem, mininterval=5):
            file = open_table(path)
            for group in range(file.num_row_groups):
                bounds = file.metadata.row_group(group).column(0).statistics
                if bounds is None or not bounds.has_min_max:  # no rows
                    continue
                first, end = np.searchsorted(ids, [bounds.min, bounds.max + 1])
                if first == end:
                    continue
                rows = _rows(path, _read_group(file, path, group), np.unique(ids[first:end]))
                places = np.searchsorted(rows["passage_id"].to_numpy(), ids[first:end])
                for code in np.unique(codes[first:end]).tolist():
                    copy.add(names[code], rows.take(places[codes[first:end] == code]))
                found += int(end - first)
        copy.end()
        if found != len(ids):
            raise ValueError(
                f"{wanted} lists {len(ids)} passages, of which {len(ids) - found} are in none of "
                f"{passages[0].parent}: remove it and run again"
            )


def _rows(path: Path, rows: pa.Table, ids: np.ndarray) -> pa.Table:
    """The passages `ids`, ascending, of a row group, checked, with their sizes."""
    held = rows["passage_id"].to_numpy()
    places = np.searchsorted(held, ids)
    if not np.array_equal(held[np.minimum(places, len(held) - 1)], ids):
        raise DamagedError(f"{path}: passages are not in the order of their ids: {AGAIN}")
    rows = rows.take(places)
    sizes = [len(text.encode()) for _, (text, _) in _checked(path, rows)]
    return rows.append_column("size", pa.array(sizes, pa.int64()))


# --- joining ---------------------------------------------------------------------------------


class TextStore:
    """Reads a task's passages by id from the copies `files`.

    A copy of passages that are not among `digests` counts for nothing.
    """

    def __init__(self, files: list[Path], task: str, digests: set[str]) -> None:
        self._files: list[Path] = []
        self._groups: list[list[int]] = []  # of the task, by file
        self._firsts: list[list[int]] = []  # the ids that those begin with
        ids, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for path in files:
            file = open_table(path)
            said = (file.schema_arrow.metadata or {}).get(PASSAGES_KEY, b"").decode().split("\n")
            if not digests.issuperset(said):
                print(f"{path} is of other passages, which are read anew", file=sys.stderr)
                continue
            groups = [
                group
                for group in range(file.num_row_groups)
                if file.metadata.row_group(group).column(0).statistics.min == task
            ]
            firsts = []
            for group in groups:
                rows = _read_group(file, path, group, columns=["passage_id", "size"])
                ids.append(rows["passage_id"].to_numpy())
                sizes.append(rows["size"].to_numpy())
                firsts.append(int(ids[-1][0]))
            self._files.append(path)
            self._groups.append(groups)
            self._firsts.append(firsts)
        order = np.argsort(np.concatenate(ids))
        self._ids, self._sizes = np.concatenate(ids)[order], np.concatenate(sizes)[order]

    def sizes(self, ids: np.ndarray) -> np.ndarray:
        """Bytes of text of passages; -1 for one that the copies have not."""
        if not len(self._ids):
            return np.full(len(ids), -1)
        places = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return np.where(self._ids[places] == ids, self._sizes[places], -1)

    def fetch(self, ids: np.ndarray) -> dict[int, Text]:
        """Text and subset of those of `ids` that the copies have; a row group is read once.

        Raises `DamagedError` where a text is not what was written.
        """
        found: dict[int, Text] = {}
        wanted = np.unique(ids[self.sizes(ids) >= 0])
        for path, groups, firsts in zip(self._files, self._groups, self._firsts, strict=True):
            mine = wanted[wanted >> ROW_BITS == firsts[0] >> ROW_BITS] if firsts else wanted[:0]
            if not len(mine):
                continue
            file = open_table(path)
            places = np.searchsorted(firsts, mine, side="right") - 1
            for place in np.unique(places).tolist():
                rows = _read_group(file, path, groups[place])
                rows = rows.filter(pc.is_in(rows["passage_id"], pa.array(mine)))
                found.update(_checked(path, rows))
        return found
