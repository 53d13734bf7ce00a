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


def _code_bytes(spec: Ivf, dimension: int) -> float:
    if spec.code in NUMBER:
        return NUMBER[spec.code] * dimension + ID
    parts, _, bits = spec.code.removeprefix("PQ").partition("x")
    return ceil(int(parts) * int(bits or 8) / 8) + ID


def _centroids(spec: Ivf, vectors: Vectors) -> float:
    return FLOAT * spec.lists * vectors.dimension


def _clustered(rows: float, lists: float, vectors: Vectors, source: str) -> Need:
    vector = FLOAT * vectors.dimension
    seconds = PASSES * rows * lists * vectors.dimension / (INDEX_THREADS * DISTANCES)
    return Need(COPIES * rows * vector, seconds, lists * vector, source)


def learn(spec: Ivf, vectors: Vectors) -> Need:
    rows = min(spec.sample_per_shard, vectors.rows)
    lists = min(spec.lists, rows)
    need = _clustered(rows, lists, vectors, "20 iterations of k-means")
    kept = min(KEPT, rows) * FLOAT * vectors.dimension
    return need._replace(memory=need.memory + kept, disk=need.disk + kept)


def merge_learnt(spec: Ivf, vectors: Vectors) -> Need:
    """The shards' centroids clustered, and then vectors that were kept, if they are enough.

    The latter are there by shard and joined.
    """
    sample = min(spec.sample_per_shard, vectors.rows)
    rows = vectors.shards * min(spec.lists, sample)
    kept = vectors.shards * min(KEPT, sample)
    need = _clustered(rows, spec.lists, vectors, "20 iterations")
    bettered = _clustered(kept, spec.lists, vectors, "20 iterations")
    return need._replace(
        memory=need.memory + 2 * kept * FLOAT * vectors.dimension,
        seconds=need.seconds + (bettered.seconds if kept >= ENOUGH * spec.lists else 0),
    )


def fill(spec: Ivf, vectors: Vectors) -> Need:
    rows = spec.share * vectors.rows
    size = rows * _code_bytes(spec, vectors.dimension)
    seconds = 2 * size / DISK
    seconds += rows * spec.lists * vectors.dimension / (INDEX_THREADS * DISTANCES)
    memory = MOVED * size + _centroids(spec, vectors)
    return Need(memory, seconds, size, "200 MB a second")


def merge(spec: Ivf, vectors: Vectors) -> Need:
    """The shards' lists, mapped and copied to a file."""
    size = spec.share * vectors.all * _code_bytes(spec, vectors.dimension)
    return Need(_centroids(spec, vectors), 2 * size / DISK, size, "200 MB a second")


def search(spec: Ivf, vectors: Vectors, queries: float) -> Need:
    """The lists are mapped: all are read, for the queries together ask for most of them."""
    rows = spec.share * vectors.all
    asked = rows * min(1.0, spec.nprobe / spec.lists)
    seconds = rows * _code_bytes(spec, vectors.dimension) / DISK
    seconds += queries * asked * vectors.dimension / (SEARCH_THREADS * DISTANCES)
    return Need(_centroids(spec, vectors), seconds, 0, "all vectors read once")
