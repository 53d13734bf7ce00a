"""Queries' embeddings: in one file, all tasks' one after the other, read some at a time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from tttnn.retrieval.tensors import Tensors


class Targets:
    """The embeddings of `query_ids`, task by task, or of whatever is there; rows (n, d) by slice.

    They are float32. In memory are the queries' ids, and the rows that are asked for. Raises
    `ValueError` if there are more or fewer, or of other queries, or in another order, and
    `DamagedError`.
    """

    def __init__(self, path: Path, query_ids: list[np.ndarray] | None = None) -> None:
        self._tensors = Tensors(path)
        self.embedder: str = self._tensors.said["embedder"]
        if query_ids is None:
            query_ids = [self._tensors.rows("query_id", slice(None))]
        self.ids = np.concatenate([np.empty(0, np.int64), *query_ids])
        bounds = np.cumsum([0, *map(len, query_ids)])
        self.tasks = [slice(int(a), int(b)) for a, b in pairwise(bounds)]
        """Where each task's rows are."""
        self._check(path)

    def _check(self, path: Path) -> None:
        found, expected = self._tensors.rows("query_id", slice(None)), self.ids
        shared = min(len(found), len(expected))
        remedy = "they are not those queries' embeddings; remove it and run again"
        other = np.flatnonzero(found[:shared] != expected[:shared])
        if len(other):
            row = other[0]
            raise ValueError(
                f"{path}: vector {row} is of query {found[row]}, where the queries' files have "
                f"query {expected[row]}: {remedy}"
            )
        if len(found) != len(expected):
            longer, where = (
                (found, "it") if len(found) > shared else (expected, "the queries' files")
            )
            raise ValueError(
                f"{path} has {len(found)} vectors for {len(expected)} queries, and query "
                f"{longer[shared]} only {where} has: {remedy}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._tensors.shape("vectors")[1]

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self._tensors.rows("vectors", rows).astype(np.float32)
