"""What an exact index takes (see `tttnn.needs.kinds`)."""

from __future__ import annotations

from tttnn.needs.kinds import Vectors
from tttnn.needs.need import Need
from tttnn.needs.rates import DISK
from tttnn.retrieval.indexes.flat.settings import Flat

BLOCK = 65536  # vectors, of a few copies
COPIES = 16  # bytes of each number of a block


def search(spec: Flat, vectors: Vectors, queries: float) -> Need:
    """A shard's vectors, read once, in blocks."""
    seconds = vectors.rows * vectors.number * vectors.dimension / DISK
    seconds += spec.share * queries * vectors.rows * vectors.dimension / vectors.products
    block = COPIES * vectors.dimension * min(BLOCK, vectors.file_rows)
    return Need(block, seconds, 0, "a shard's vectors read once", 0.0, COPIES * vectors.dimension)
