"""What inverted lists take (see `tttnn.needs.kinds`)."""

from __future__ import annotations

from math import ceil

from tttnn.needs.kinds import INDEX_THREADS, SEARCH_THREADS, Vectors
from tttnn.needs.need import Need
from tttnn.needs.rates import DISK, DISTANCES, FLOAT
from tttnn.retrieval.indexes.ivf.settings import ENOUGH, KEPT, Ivf

ID = 8  # bytes
NUMBER = {"Flat": FLOAT, "SQfp16": 2, "SQ8": 1}  # bytes of each of a vector's numbers, by code
PASSES = 21  # over what is clustered: 20 iterations of k-means, and what is nearest to what
COPIES = 3  # of what is clustered: in parts, joined, filtered (benchmarks/memory.py)
MOVED = 2  # a list's array doubles when it is full: as much again, at most
FACTORS = 8  # bytes that a code of one bit a number has beside its bits (Gao and Long 2024, RaBitQ)


def _code_bytes(spec: Ivf, dimension: int) -> float:
    if spec.code in NUMBER:
        return NUMBER[spec.code] * dimension + ID
    if spec.code.startswith("RaBitQ"):
        return ceil(dimension / 8) + FACTORS + ID
    parts, _, bits = spec.code.removeprefix("PQ").partition("x")
    return ceil(int(parts) * int(bits or 8) / 8) + ID


def _centroids(spec: Ivf, vectors: Vectors) -> float:
    return FLOAT * spec.lists * vectors.dimension


def _clustered(rows: float, lists: float, vectors: Vectors, source: str) -> Need:
    vector = FLOAT * vectors.dimension
    seconds = PASSES * rows * lists * vectors.dimension / (INDEX_THREADS * DISTANCES)
    memory = COPIES * rows * vector
    return Need(memory, seconds, lists * vector, source, 0.0, memory)


def learn(spec: Ivf, vectors: Vectors) -> Need:
    rows = min(spec.sample_per_shard, vectors.rows)
    lists = min(spec.lists, rows)
    need = _clustered(rows, lists, vectors, "20 iterations of k-means")
    kept = min(KEPT, rows) * FLOAT * vectors.dimension
    memory = need.memory + kept
    return need._replace(memory=memory, least=memory, disk=need.disk + kept)


def merge_learnt(spec: Ivf, vectors: Vectors) -> Need:
    """The shards' centroids clustered, and then vectors that were kept, if they are enough.

    The latter are there by shard and joined.
    """
    sample = min(spec.sample_per_shard, vectors.rows)
    rows = vectors.shards * min(spec.lists, sample)
    kept = vectors.shards * min(KEPT, sample)
    need = _clustered(rows, spec.lists, vectors, "20 iterations")
    bettered = _clustered(kept, spec.lists, vectors, "20 iterations")
    memory = need.memory + 2 * kept * FLOAT * vectors.dimension
    return need._replace(
        memory=memory,
        least=memory,
        seconds=need.seconds + (bettered.seconds if kept >= ENOUGH * spec.lists else 0),
    )


def fill(spec: Ivf, vectors: Vectors) -> Need:
    """A shard's codes, at once in half of the room there is, or in pieces; packed ones at once."""
    rows = spec.share * vectors.rows
    size = rows * _code_bytes(spec, vectors.dimension)
    seconds = 2 * size / DISK
    seconds += rows * spec.lists * vectors.dimension / (INDEX_THREADS * DISTANCES)
    least = _centroids(spec, vectors) + (MOVED * size if spec.is_packed else 0)
    memory = least + (0 if spec.is_packed else 2 * MOVED * size)
    return Need(memory, seconds, size, "200 MB a second", 0.0, least)


def search(spec: Ivf, vectors: Vectors, queries: float) -> Need:
    """The lists are mapped: all are read, for the queries together ask for most of them.

    Those of a fast scan are read into memory.
    """
    rows = spec.share * vectors.rows
    asked = rows * min(1.0, spec.nprobe / spec.lists)
    size = rows * _code_bytes(spec, vectors.dimension)
    seconds = size / DISK + queries * asked * vectors.dimension / (SEARCH_THREADS * DISTANCES)
    least = _centroids(spec, vectors) + (size if spec.is_packed else 0)
    return Need(least, seconds, 0, "a shard's codes read once", 0.0, least)
