"""What exact search holds at once, and how it divides the memory that it is given.

Arithmetic alone, so that whoever counts a job's costs need not load what searches.
"""

from __future__ import annotations

from typing import NamedTuple

SPARE = 56  # found beyond K, so that the bound of a low-precision pass seldom asks for more
MEMORY = 2 << 30  # bytes, unless told otherwise
FIXED = 96 << 20  # bytes of faiss's own buffers, of 4,096 queries by 1,024 vectors
MOST_ROWS = 1 << 18  # vectors of a block: more are no faster
MOST_WORK = 64 << 20  # bytes of what is ranked at once
LEAST_ROWS = 256

RESULT = 8 + 8  # bytes of a distance and an id
PAIR = 64  # of a found one, too: in the heap, in a block's result, and while it is ranked
ROW = 16  # of each number of a block's vectors: as stored and as float32, and the block ahead
NAMED = 32  # of the ids and norms of a block's vectors
QUERY = 16  # of each number of a query: as given, less the centre, in float64


class Plan(NamedTuple):
    """Vectors in a block, queries searched in a pass over all vectors, bytes to rank with."""

    rows: int
    queries: int
    work: int


def held(dimension: int, k: int, queries: int, plan: Plan) -> int:
    """Bytes that a search of `queries` queries holds at most, beyond its imports and arguments."""
    result = RESULT * k * queries
    pass_ = min(plan.queries, queries) * (PAIR * (k + SPARE) + QUERY * dimension)
    return FIXED + result + pass_ + plan.rows * (ROW * dimension + NAMED) + plan.work


def plan(memory: int, dimension: int, k: int, queries: int) -> Plan:
    """How to search so that `held` is at most `memory`.

    A third of what is free goes to the queries of a pass, as many passes as that takes; the rest to
    blocks of vectors and to ranking. Raises `ValueError` if memory is too little for that.
    """
    free = memory - FIXED - RESULT * k * queries
    query, row = PAIR * (k + SPARE) + QUERY * dimension, ROW * dimension + NAMED
    least = max(3 * query, 3 * LEAST_ROWS * row)
    if free < least:
        raise ValueError(
            f"exact search of {queries} queries, k = {k}, in {dimension} dimensions needs "
            f"{memory - free + least} bytes at least, and may hold {memory}: raise memory_mb, or "
            "search fewer queries at once"
        )
    asked = min(queries, free // 3 // query)
    work = min(MOST_WORK, free // 6)
    rows = min(MOST_ROWS, (free - asked * query - work) // row)
    return Plan(rows, max(1, asked), work)
