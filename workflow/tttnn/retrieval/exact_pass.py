"""What a low-precision pass of exact search is given, and what it tells of each query."""

from __future__ import annotations

from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from tttnn.retrieval.bounds import Precision, limit
from tttnn.retrieval.exact_memory import Plan
from tttnn.retrieval.vectors import VectorStore


class Vectors(NamedTuple):
    """The vectors that are searched, in blocks and by id."""

    store: VectorStore
    plan: Plan
    share: float
    centre: np.ndarray

    def blocks(self, only: Container[int] | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(ids, vectors as stored) of each block; a bar says how many, if it lasts."""
        total = self.store.held(self.share) if only is None else None
        with tqdm(
            total=total,
            desc="exact search",
            unit=" vectors",
            unit_scale=True,
            mininterval=5,
            delay=5,
        ) as progress:
            for ids, vectors in self.store.blocks(
                self.plan.rows, self.share, as_stored=True, only=only
            ):
                yield ids, vectors
                progress.update(len(ids))

    def centred(
        self, only: Container[int] | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(ids, float32 vectors less the centre) of each block; those before are overwritten.

        The block ahead is read while one is searched. Raises `ValueError` for one that has a number
        that is not finite.
        """
        blocks = self.blocks(only)
        rows = min(self.plan.rows, len(self.store))
        buffers = [np.empty((rows, self.store.dimension), np.float32) for _ in range(2)]

        def read(number: int) -> tuple[np.ndarray, np.ndarray] | None:
            if (block := next(blocks, None)) is None:
                return None
            ids, vectors = block
            centred = buffers[number % 2][: len(ids)]
            flat = centred.reshape(-1)
            with np.errstate(over="ignore", invalid="ignore"):
                np.subtract(vectors, self.centre, out=centred)
                square = np.dot(flat, flat)
            if not np.isfinite(square):  # or one is too large
                refuse_non_finite(ids, vectors)
            return ids, centred

        with ThreadPoolExecutor(1) as reader:
            number = 0
            ahead = reader.submit(read, number)
            while (block := ahead.result()) is not None:
                number += 1
                ahead = reader.submit(read, number)
                yield block


def refuse_non_finite(ids: np.ndarray, vectors: np.ndarray) -> None:
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(wrong):
        raise ValueError(
            f"the vector of passage {ids[wrong[0]]} has a number that is not finite: remove its "
            "chunk's embeddings and embed again"
        )


class Found(NamedTuple):
    """Of m queries: those found, and what is known of those that were not.

    Distances are s of `tttnn.retrieval.bounds`.
    """

    ids: np.ndarray  # (m, wanted), the nearest by s; -1 for none
    rest: np.ndarray  # (m,), no vector that was not found is nearer than this
    least: np.ndarray  # (m, blocks), the nearest vector of each block
    seen: int  # vectors
    norms: np.ndarray  # (m,), of the queries less the centre, float64
    precision: Precision
    scale: float
    scales: np.ndarray | float

    def limit(self, distances: np.ndarray, dimension: int) -> np.ndarray:
        """See `tttnn.retrieval.bounds.limit`."""
        return limit(self.precision, self.norms, distances, dimension, self.scale, self.scales)
