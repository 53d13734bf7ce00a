"""What an exact index takes (see `tttnn.needs.kinds`)."""

from __future__ import annotations

from math import floor, log2

from tttnn.needs.kinds import SEARCH_THREADS, Vectors
from tttnn.needs.need import Need
from tttnn.needs.rates import DISK, DISTANCES, FLOAT
from tttnn.retrieval.indexes.flat.settings import Flat

ID = 8  # bytes
PLACE = 50  # bytes: faiss finds a vector's place by its id (benchmarks/memory.py: 45 to 50)
IDS_A_SECOND = 20e6  # compared with the passages': assumed
ADDED_AT_ONCE = 65536  # rows, as `VectorStore.blocks` gives them
SHARDS_DIFFER = 1.1  # a shard may hold so many times the documents that are expected: assumed


def _code_bytes(spec: Flat, dimension: int) -> float:
    return FLOAT * dimension + ID


def learn(spec: Flat, vectors: Vectors) -> Need:
    return Need(0, 0, 0, "nothing to learn")


merge_learnt = learn


def grown(rows: float, block: float) -> float:
    """Rows that are held at most while an array grows to `rows` by so many at a time.

    When it is full it moves to one of twice the size, and until it has moved there are both: at its
    last move twice the rows of the largest block times a power of two.
    """
    if rows <= block:
        return rows
    moves = floor(log2(SHARDS_DIFFER * rows / block))
    return max(rows, 2 * block * 2**moves)


def fill(spec: Flat, vectors: Vectors) -> Need:
    """The arrays of vectors and ids, and the table of places; read from and written to a disk."""
    rows = spec.share * vectors.rows
    code = _code_bytes(spec, vectors.dimension)
    block = spec.share * min(ADDED_AT_ONCE, vectors.file_rows)
    memory = code * grown(rows, block) + PLACE * rows
    return Need(memory, 2 * rows * code / DISK, rows * code, "200 MB a second")


def merge(spec: Flat, vectors: Vectors) -> Need:
    """The shards' files under another name; a shard's table of places, for its ids."""
    memory = PLACE * spec.share * vectors.rows
    return Need(memory, vectors.all / IDS_A_SECOND, 0, "20 million ids a second")


def search(spec: Flat, vectors: Vectors, queries: float) -> Need:
    """All vectors, mapped; the tables of places of the shard that is opened and the one before."""
    rows = spec.share * vectors.all
    seconds = rows * _code_bytes(spec, vectors.dimension) / DISK
    seconds += queries * rows * vectors.dimension / (SEARCH_THREADS * DISTANCES)
    return Need(2 * PLACE * spec.share * vectors.rows, seconds, 0, "all vectors read once")
