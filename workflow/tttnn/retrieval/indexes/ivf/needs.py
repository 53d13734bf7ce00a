"""What inverted lists take (see `tttnn.needs.kinds`)."""

from __future__ import annotations

from tttnn.needs.kinds import INDEX_THREADS, SEARCH_THREADS, Vectors
from tttnn.needs.need import Need
from tttnn.needs.rates import DISK, DISTANCES, FLOAT
from tttnn.retrieval.indexes.ivf.settings import Ivf

ID = 8  # bytes
NUMBER = {"Flat": FLOAT, "SQfp16": 2, "SQ8": 1}  # bytes of each of a vector's numbers, by code
PASSES = 21  # over what is clustered: 20 iterations of k-means, and what is nearest to what
SAMPLE_COPIES, LEARNT_COPIES = 3, 2  # of what is clustered: in parts, joined, as k-means has it
MOVED = 2  # a list's array doubles when it is full: as much again, at most


def code_bytes(spec: Ivf, dimension: int) -> float:
    if spec.code in NUMBER:
        return NUMBER[spec.code] * dimension + ID
    return int(spec.code.removeprefix("PQ").partition("x")[0]) + ID


def _centroids(spec: Ivf, vectors: Vectors) -> float:
    return FLOAT * spec.lists * vectors.dimension


def _clustered(rows: float, lists: float, vectors: Vectors, copies: int, source: str) -> Need:
    vector = FLOAT * vectors.dimension
    seconds = PASSES * rows * lists * vectors.dimension / (INDEX_THREADS * DISTANCES)
    return Need(copies * rows * vector, seconds, lists * vector, source)


def learn(spec: Ivf, vectors: Vectors) -> Need:
    rows = min(spec.sample_per_shard, vectors.rows)
    lists = min(spec.lists, rows)
    return _clustered(rows, lists, vectors, SAMPLE_COPIES, "20 iterations of k-means")


def merge_learnt(spec: Ivf, vectors: Vectors) -> Need:
    rows = vectors.shards * min(spec.lists, spec.sample_per_shard, vectors.rows)
    return _clustered(rows, spec.lists, vectors, LEARNT_COPIES, "20 iterations")


def fill(spec: Ivf, vectors: Vectors) -> Need:
    rows = spec.share * vectors.rows
    size = rows * code_bytes(spec, vectors.dimension)
    seconds = 2 * size / DISK
    seconds += rows * spec.lists * vectors.dimension / (INDEX_THREADS * DISTANCES)
    memory = MOVED * size + _centroids(spec, vectors)
    return Need(memory, seconds, size, "200 MB a second")


def merge(spec: Ivf, vectors: Vectors) -> Need:
    """The shards' lists, mapped and copied to a file."""
    size = spec.share * vectors.all * code_bytes(spec, vectors.dimension)
    return Need(_centroids(spec, vectors), 2 * size / DISK, size, "200 MB a second")


def search(spec: Ivf, vectors: Vectors, queries: float) -> Need:
    """The lists are mapped: all are read, for the queries together ask for most of them."""
    rows = spec.share * vectors.all
    asked = rows * min(1.0, spec.nprobe / spec.lists)
    seconds = rows * code_bytes(spec, vectors.dimension) / DISK
    seconds += queries * asked * vectors.dimension / (SEARCH_THREADS * DISTANCES)
    return Need(_centroids(spec, vectors), seconds, 0, "all vectors read once")
