"""The vectors of documents' windows, as `embed_windows` wrote them, document by document."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tttnn.retrieval.tensors import Tensors


class WindowTargets:
    """The windows' vectors (m, d) of the document at a place; of `query_ids`, or of all there are.

    They are float32. In memory are the documents' ids, and what is asked for. Raises `ValueError`
    if they are of other queries, or in another order, and `DamagedError`.
    """

    def __init__(self, path: Path, query_ids: list[np.ndarray] | None = None) -> None:
        self._tensors = Tensors(path)
        self.embedder: str = self._tensors.said["embedder"]
        rows = self._tensors.rows("query_id", slice(None))
        starts = np.flatnonzero(np.diff(rows, prepend=-1 if len(rows) else []))
        self.ids = rows[starts]
        self._bounds = np.append(starts, len(rows))
        if query_ids is None:
            return
        expected = np.concatenate([np.empty(0, np.int64), *query_ids])
        if not np.array_equal(self.ids, expected):
            raise ValueError(
                f"{path} has windows of {len(self.ids)} documents, which are not the "
                f"{len(expected)} of the queries' files: remove it and run again"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._tensors.shape("vectors")[1]

    def __getitem__(self, place: int) -> np.ndarray:
        rows = slice(int(self._bounds[place]), int(self._bounds[place + 1]))
        return self._tensors.rows("vectors", rows).astype(np.float32)
