"""The K nearest vectors, exactly: every vector is compared."""

from __future__ import annotations

import faiss
import numpy as np

from tttnn.retrieval.candidates import rank_exactly
from tttnn.retrieval.vectors import VectorStore

SPARE = 32  # found beyond K in float32, to be ranked in float64


def nearest(
    store: VectorStore,
    queries: np.ndarray,
    k: int,
    *,
    share: float = 1.0,
    memory: int,
    device: str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances, float64, and passage ids, both (queries, k), by (distance, id).

    There are fewer than k columns where a share of the passages has fewer. `queries` is float32 of
    shape (queries, d).
    """
    wanted = min(k + SPARE, store.held(share))
    heap = faiss.ResultHeap(len(queries), wanted)
    rows = max(1, min(65536, memory // (16 * store.dimension)))
    for ids, block in store.blocks(rows, share):
        distances, places = faiss.knn(queries, block, min(wanted, len(block)))
        heap.add_result(distances, ids[places])
    heap.finalize()
    return rank_exactly(store, queries, heap.I, min(k, wanted), memory)
