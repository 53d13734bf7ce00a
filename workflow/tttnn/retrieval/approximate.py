"""The K nearest by an index that approximates: it is asked for more, which are ranked exactly."""

from __future__ import annotations

import faiss
import numpy as np

from tttnn.retrieval.candidates import groups, rank_exactly
from tttnn.retrieval.vectors import VectorStore

SPARE = 32  # found beyond K, so that an index's rounding does not decide who comes K-th
FOUND_BYTES = 64  # of a query and a candidate, as found and as ranked


def nearest_found(
    index: faiss.Index, store: VectorStore, vectors: np.ndarray, k: int, memory: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances, float64, and passage ids, both (n, k), by (distance, id).

    Of an index of fewer than k there are fewer columns; where the index finds fewer the rest is -1.
    """
    k = min(k, index.ntotal)
    distances, ids = np.full((len(vectors), k), np.inf), np.full((len(vectors), k), -1, np.int64)
    if k == 0:
        return distances, ids
    wanted = min(k + SPARE, index.ntotal)
    for group in groups(len(vectors), FOUND_BYTES * wanted, memory // 2):
        _, found = index.search(vectors[group], wanted)
        distances[group], ids[group] = rank_exactly(store, vectors[group], found, k, memory // 2)
    return distances, ids
