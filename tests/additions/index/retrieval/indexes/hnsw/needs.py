"""What a graph index takes: its files hold the vectors and their links."""

from __future__ import annotations

from tttnn.retrieval.indexes.hnsw.settings import Hnsw

from tttnn.needs.kinds import Vectors
from tttnn.needs.need import Need

COMPARED = 1e6  # vectors a second and core, roughly


def _code_bytes(spec: Hnsw, dimension: int) -> float:
    return 4 * dimension + 8 + 8 * int(spec.factory.removeprefix("HNSW"))


def learn(spec: Hnsw, vectors: Vectors) -> Need:
    return Need(0, 0, 0, "nothing to learn")


merge_learnt = learn


def fill(spec: Hnsw, vectors: Vectors) -> Need:
    size = vectors.rows * _code_bytes(spec, vectors.dimension)
    seconds = vectors.rows * spec.breadth / COMPARED
    return Need(2 * size, seconds, size, "a search for each vector", 0.0, 2 * size)


def search(spec: Hnsw, vectors: Vectors, queries: float) -> Need:
    size = vectors.rows * _code_bytes(spec, vectors.dimension)
    return Need(size, queries * spec.breadth / COMPARED, 0, "a graph a shard", 0.0, size)
