"""Exact search of a small shard by a few queries at a time, for whoever asks again and again.

The workflow's search (`tttnn.retrieval.exact`) starts three threads, takes a centre and subtracts
it from every vector, whoever asks. Of few vectors that is most of the work; and where requests
outnumber the cores, each thread's turn is waited for. So this keeps the vectors less their centre,
and does the same in the thread that asks: more than K by float32's products, these by their
distance in float64, and the bound that says which queries are done: of a few beyond K, and of as
many as the workflow ranks where these prove nothing. The others are for the workflow's search; what
is found is the same, bit for bit.
"""

from __future__ import annotations

import faiss
import numpy as np

from tttnn.retrieval.bounds import FLOAT32, limit
from tttnn.retrieval.exact_memory import SPARE
from tttnn.retrieval.vectors import VectorStore, squared_distances

MOST = 32 << 20  # bytes of a shard's vectors in float32; they are held twice at most
FEW = 8  # found beyond K at first, which nearly always proves as much as `SPARE`
RANKED = 512 << 10  # bytes of vectors ranked at once: in a core's own cache


class AtHand:
    """A shard's vectors, in memory."""

    def __init__(self, ids: np.ndarray, vectors: np.ndarray, centre: np.ndarray) -> None:
        self._ids, self._vectors, self._centre = ids, vectors, centre
        self._centred = vectors - centre

    @classmethod
    def of(cls, store: VectorStore, share: float) -> AtHand | None:
        """Of a share of a store; None where they are too many, none, or not all finite numbers."""
        count = store.held(share)
        if not 0 < count * store.dimension * 4 <= MOST:
            return None
        ids, vectors = zip(*store.blocks(share=share, as_stored=True), strict=True)
        all_ids, held = np.concatenate(ids), np.concatenate(vectors)
        with np.errstate(over="ignore", invalid="ignore"):
            centre = held.mean(axis=0, dtype=np.float64).astype(np.float32)
            made = cls(all_ids, held, centre)
            square = np.vdot(made._centred, made._centred)
        return made if np.isfinite(square) else None

    def find(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Squared distances and ids, both (m, at most k), by (distance, id), of queries (m, d).

        And which queries (m,) are proven to have no nearer ones.
        """
        found = self._found(queries, k, FEW)
        distances, ids, is_proven = found
        if not is_proven.all():
            again = np.flatnonzero(~is_proven)
            distances[again], ids[again], is_proven[again] = self._found(queries[again], k, SPARE)
        return found

    def _found(
        self, queries: np.ndarray, k: int, spare: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `find`, of k + spare vectors that the low-precision pass ranks."""
        dimension = queries.shape[1]
        with np.errstate(over="ignore"):
            centred = queries - self._centre
        wanted = min(k + spare, len(self._ids))
        scores, places = faiss.knn(centred, self._centred, wanted)
        distances = np.empty(places.shape)
        at_once = max(1, RANKED // (8 * wanted * dimension))
        for start in range(0, len(queries), at_once):
            rows = slice(start, start + at_once)
            near = self._vectors[places[rows]].astype(np.float64)
            distances[rows] = squared_distances(queries[rows], near)
        found = self._ids[places]
        order = np.lexsort((found, distances), axis=1)[:, :k]
        distances = np.take_along_axis(distances, order, 1)
        is_proven = (places >= 0).all(axis=1)  # else one's product is beyond float32
        if wanted < len(self._ids):
            norms = np.sqrt(np.einsum("nd,nd->n", centred, centred, dtype=np.float64))
            farthest = limit(FLOAT32, norms, distances[:, -1], dimension)
            is_proven &= scores[:, -1].astype(np.float64) > farthest
        return distances, np.take_along_axis(found, order, 1), is_proven
