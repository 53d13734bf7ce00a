"""What an exact index takes (see `tttnn.needs.kinds`)."""

from __future__ import annotations

from tttnn.needs.kinds import Vectors
from tttnn.needs.need import Need
from tttnn.needs.rates import DISK
from tttnn.retrieval.exact_memory import FIXED, LEAST_ROWS, MOST_ROWS, MOST_WORK, ROW
from tttnn.retrieval.indexes.flat.settings import Flat

SHARE = 2  # a search is given half of what its job has room for


def search(spec: Flat, vectors: Vectors, queries: float) -> Need:
    """A shard's vectors, read once, in blocks (see `tttnn.retrieval.exact_memory`)."""
    seconds = vectors.rows * vectors.number * vectors.dimension / DISK
    seconds += spec.share * queries * vectors.rows * vectors.dimension / vectors.products
    row = ROW * vectors.dimension
    most = FIXED + MOST_WORK + row * min(MOST_ROWS, vectors.file_rows)
    least = FIXED + 4 * LEAST_ROWS * row
    return Need(SHARE * most, seconds, 0, "a shard's vectors read once", 0.0, SHARE * least)
