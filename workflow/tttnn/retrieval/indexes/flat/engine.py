"""An exact index is the embeddings: nothing is learnt, nothing is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from tttnn.retrieval.exact import nearest
from tttnn.retrieval.vectors import VectorStore


def find(
    index: None,
    store: VectorStore,
    vectors: np.ndarray,
    k: int,
    *,
    share: float,
    asked: dict[str, Any],
    memory: int,
    device: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances and passage ids of the K nearest; there is no file, nothing to set."""
    return nearest(store, vectors, k, share=share, memory=memory, device=device)
