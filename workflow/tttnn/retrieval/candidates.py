"""The table of candidates, which every way to find and to choose neighbours starts from.

Whatever found them, candidates get their distances from one fixed routine and are ordered by
(distance, passage id).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from tttnn.retrieval.tensors import load_tensors
from tttnn.retrieval.vectors import VectorStore, squared_distances
from tttnn.tables import read_table, write_table

CANDIDATES = pa.schema(
    [
        ("query_id", pa.int64()),
        ("rank", pa.int32()),  # from 0
        ("passage_id", pa.int64()),
        ("distance", pa.float64()),  # squared Euclidean
    ]
)
QUERIES_AT_ONCE = 256  # whose candidates' vectors are in memory together


def read_query_ids(queries: list[Path]) -> list[np.ndarray]:
    """The query ids of each task's file."""
    return [read_table(path, ["query_id"])["query_id"].to_numpy() for path in queries]


def exact_distances(store: VectorStore, vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
    starts = tqdm(range(0, len(ids), QUERIES_AT_ONCE), desc="distances", mininterval=5)
    groups = (slice(start, start + QUERIES_AT_ONCE) for start in starts)
    parts = [squared_distances(vectors[group], store.fetch(ids[group])) for group in groups]
    return np.concatenate(parts) if parts else np.empty(ids.shape)


def rank_exactly(
    store: VectorStore, vectors: np.ndarray, ids: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Order each query's candidates by (exact distance, id) and keep the first `k`.

    Returns distances and ids, both (n, k). In `ids` (n, at least k), -1 means none; the first of a
    query must be one.
    """
    none = ids < 0
    distances = np.where(
        none, np.inf, exact_distances(store, vectors, np.where(none, ids[:, :1], ids))
    )
    order = np.lexsort((ids, distances), axis=1)[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(ids, order, 1)


def write_candidates(
    outputs: list[Path], query_ids: list[np.ndarray], distances: np.ndarray, ids: np.ndarray
) -> None:
    """Write `CANDIDATES`, a file a task: of each query its row of `distances` and `ids`, (n, k)."""
    row, k = 0, ids.shape[1]
    for path, members in zip(outputs, query_ids, strict=True):
        rows = slice(row, row + len(members))
        row += len(members)
        columns = [
            np.repeat(members, k),
            np.tile(np.arange(k, dtype=np.int32), len(members)),
            ids[rows].ravel(),
            distances[rows].ravel(),
        ]
        write_table(path, pa.table(columns, schema=CANDIDATES))


def load_vectors(path: Path, query_ids: list[np.ndarray]) -> np.ndarray:
    """The queries' embeddings (n, d), float32, a row for each of `query_ids` in their order.

    Raises `ValueError` if there are more or fewer, or of other queries, or in another order.
    """
    tensors, _ = load_tensors(path)
    found, vectors = tensors["query_id"], tensors["vectors"]
    expected = np.concatenate([np.empty(0, np.int64), *query_ids])
    shared = min(len(found), len(expected))
    remedy = "they are not those queries' embeddings; remove it and run again"
    other = np.flatnonzero(found[:shared] != expected[:shared])
    if len(other):
        row = other[0]
        raise ValueError(
            f"{path}: vector {row} is of query {found[row]}, where the queries' files have query "
            f"{expected[row]}: {remedy}"
        )
    if len(found) != len(expected):
        longer, where = (found, "it") if len(found) > shared else (expected, "the queries' files")
        raise ValueError(
            f"{path} has {len(found)} vectors for {len(expected)} queries, and query "
            f"{longer[shared]} only {where} has: {remedy}"
        )
    return vectors.astype(np.float32)
