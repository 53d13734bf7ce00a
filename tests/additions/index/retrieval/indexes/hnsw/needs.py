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
    return Need(2 * size, vectors.rows * spec.breadth / COMPARED, size, "a search for each vector")


def merge(spec: Hnsw, vectors: Vectors) -> Need:
    size = vectors.rows * _code_bytes(spec, vectors.dimension)
    return Need(size, 0, vectors.shards * size, "copied")


def search(spec: Hnsw, vectors: Vectors, queries: float) -> Need:
    size = vectors.rows * _code_bytes(spec, vectors.dimension)
    return Need(2 * size, queries * spec.breadth * vectors.shards / COMPARED, 0, "a graph a shard")
