"""The low-precision pass of exact search on a CPU: float32, through faiss."""

from __future__ import annotations

import faiss
import numpy as np

from tttnn.retrieval.bounds import FLOAT32
from tttnn.retrieval.exact_pass import Found, Vectors


def scan(vectors: Vectors, queries: np.ndarray, wanted: int) -> Found:
    """The `wanted` nearest of `queries` (m, d), which are less the centre."""
    heap = faiss.ResultHeap(len(queries), wanted)
    least, seen = [], 0
    for ids, block in vectors.centred():
        distances, places = faiss.knn(queries, block, min(wanted, len(block)))
        none = places < 0  # its distance overflowed, and is no number
        least.append(np.where(none[:, 0], np.inf, distances[:, 0]))
        heap.add_result(
            np.where(none, np.float32(np.inf), distances), np.where(none, -1, ids[places])
        )
        seen += len(ids)
    heap.finalize()
    rest = np.where((heap.I < 0).any(axis=1), np.inf, heap.D[:, -1].astype(np.float64))
    norms = np.sqrt(np.einsum("nd,nd->n", queries, queries, dtype=np.float64))
    return Found(heap.I, rest, np.array(least).T, seen, norms, FLOAT32, 1.0, 1.0)
