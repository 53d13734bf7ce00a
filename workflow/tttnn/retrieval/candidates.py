"""The table of candidates, which every way to find and to choose neighbours starts from.

Whatever found them, candidates get their distances from one fixed routine and are ordered by
(distance, passage id). A task has as many for each of its queries, so that the rows of some queries
are read without those of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tttnn.retrieval.vectors import VectorStore, squared_distances
from tttnn.tables import OPTIONS, check_table, read_table, sealing

CANDIDATES = pa.schema(
    [
        ("query_id", pa.int64()),
        ("rank", pa.int32()),  # from 0
        ("passage_id", pa.int64()),
        ("distance", pa.float64()),  # squared Euclidean
    ]
)
GROUP_BYTES = 128  # of a query and a candidate while rows are read, joined, sorted and written
VECTOR_BYTES = 24  # of a number of a candidate's vector: by id, by query, less the query's


def read_query_ids(queries: list[Path]) -> list[np.ndarray]:
    """The query ids of each task's file."""
    return [read_table(path, ["query_id"])["query_id"].to_numpy() for path in queries]


def groups(count: int, each: float, memory: int) -> list[slice]:
    """`count` queries in groups that take at most `memory` bytes, of one query at least."""
    step = max(1, int(memory // max(1, each)))
    return [slice(start, min(count, start + step)) for start in range(0, count, step)]


def exact_distances(
    store: VectorStore, vectors: np.ndarray, ids: np.ndarray, memory: int
) -> np.ndarray:
    """Squared distances (n, k) of each of `vectors` (n, d) to the passages of its row of `ids`."""
    distances = np.empty(ids.shape)
    for group in groups(len(ids), VECTOR_BYTES * ids.shape[1] * store.dimension, memory):
        distances[group] = squared_distances(vectors[group], store.fetch(ids[group]))
    return distances


def rank_exactly(
    store: VectorStore, vectors: np.ndarray, ids: np.ndarray, k: int, memory: int
) -> tuple[np.ndarray, np.ndarray]:
    """Order each query's candidates by (exact distance, id) and keep the first `k`.

    Returns distances and ids, both (n, k). In `ids` (n, at least k), -1 means none, which stays
    at the end, at an infinite distance.
    """
    none = ids < 0
    some = np.where(none, ids.max(initial=-1), ids)
    if (some < 0).all():
        return np.full((len(ids), k), np.inf), np.full((len(ids), k), -1, np.int64)
    distances = np.where(none, np.inf, exact_distances(store, vectors, some, memory))
    order = np.lexsort((ids, distances), axis=1)[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(ids, order, 1)


class QueryTable:
    """A table with as many rows, K, for each of `members`, of which some are read at a time.

    Raises `ValueError` if it is another one.
    """

    def __init__(self, path: Path, members: np.ndarray) -> None:
        check_table(path)
        self.path, self._members = path, members
        self._file = pq.ParquetFile(path)
        metadata = self._file.metadata
        self.k: int = metadata.num_rows // max(1, len(members))
        counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._ends = np.cumsum([0, *counts])
        if metadata.num_rows != self.k * len(members):
            raise self._other()

    def _other(self) -> ValueError:
        return ValueError(
            f"{self.path} is not a table of K candidates for each query of the task: remove it and "
            "search again"
        )

    @property
    def said(self) -> dict[str, str]:
        """The schema's metadata."""
        return {k.decode(): v.decode() for k, v in (self._file.schema_arrow.metadata or {}).items()}

    def read(self, queries: slice) -> dict[str, np.ndarray]:
        """Columns of some queries, (queries, K) each; their ids are compared, and left out."""
        count, first, last = (
            queries.stop - queries.start,
            *(row * self.k for row in (queries.start, queries.stop)),
        )
        low = max(0, int(np.searchsorted(self._ends, first, side="right")) - 1)
        high = max(low, int(np.searchsorted(self._ends, last, side="left")))
        table = self._file.read_row_groups(list(range(low, high)) if last > first else [])
        table = table.slice(first - self._ends[low] if last > first else 0, last - first)
        members = np.repeat(self._members[queries], self.k)
        if not np.array_equal(members, table["query_id"].to_numpy()):
            raise self._other()
        return {
            name: table[name].to_numpy().reshape(count, self.k)
            for name in table.column_names
            if name != "query_id"
        }


class CandidateWriter:
    """Writes a task's table, some queries after others."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, members: np.ndarray, distances: np.ndarray, ids: np.ndarray) -> None:
        """Of each of the queries `members` its row of `distances` and `ids`, (n, k), in order."""
        counts = np.full(len(members), ids.shape[1])
        self.write_rows(np.repeat(members, counts), counts, ids.ravel(), distances.ravel())

    def write_rows(
        self, query_ids: np.ndarray, counts: np.ndarray, ids: np.ndarray, distances: np.ndarray
    ) -> None:
        """Rows, of which each query has `counts`; ranks count from 0."""
        starts = np.cumsum(counts) - counts
        ranks = np.arange(len(ids)) - np.repeat(starts, counts)
        columns = [query_ids, ranks.astype(np.int32), ids, distances]
        self._writer.write_table(pa.table(columns, schema=CANDIDATES))


@contextmanager
def writing(path: Path) -> Iterator[CandidateWriter]:
    """A table of candidates, sealed when it is whole."""
    with sealing(path) as beside, pq.ParquetWriter(beside, CANDIDATES, **OPTIONS) as writer:
        yield CandidateWriter(writer)
