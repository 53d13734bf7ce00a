"""Search by all of a document's windows: every passage, a job a shard."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from tttnn.files import sha256
from tttnn.retrieval.scored import Best
from tttnn.retrieval.vectors import VectorStore
from tttnn.retrieval.window_targets import WindowTargets
from tttnn.sections.base import Section
from tttnn.sections.memory import room

MOST_ROWS = 16384  # of a block
NUMBER_BYTES = 32  # of each of a block's numbers: as read, in float64, of unit length


class SearchWindowsSpec(Section):
    """K, and what a passage is to be near (see `tttnn.sections.windows.Windowed`)."""

    candidates: int
    by: Literal["mean", "any", "absolute"]


def _nearness(vectors: np.ndarray, squares: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Less the squared distance of each of `vectors` (n, d) to the nearest of `targets` (m, d)."""
    apart = squares[:, None] - 2 * vectors @ targets.T + np.einsum("md,md->m", targets, targets)
    return -apart.min(axis=1)


def _likeness(vectors: np.ndarray, squares: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """How far the cosine of each of `vectors` and the one target is from 0."""
    lengths = np.sqrt(np.maximum(squares, np.finfo(float).tiny))
    return np.abs(vectors @ targets[0]) / lengths


def search_windows(
    spec: SearchWindowsSpec, embeddings: Path, windows: Path, output: Path, memory_mb: int
) -> None:
    """Write the K passages of a shard with the highest score for every query.

    `embeddings` is the shard's list, `windows` what `embed_windows` wrote of all queries. A score
    is less the squared distance to the windows' mean or to the nearest window, or the absolute
    value of the cosine with the mean of the windows' unit vectors: in float64, rounded.

    In memory are the queries' ids, K passages of each, and a block of vectors that takes half of
    what `memory_mb` has room for, at most.

    Raises `ValueError` where the windows are of another embedder.
    """
    targets, store = WindowTargets(windows), VectorStore.of([embeddings])
    if targets.embedder != store.embedder:
        raise ValueError(
            f"{windows} is of another embedder than the passages of {embeddings}: remove the one "
            "that is out of date and run again"
        )
    best = Best(targets.ids, spec.candidates)
    score = _likeness if spec.by == "absolute" else _nearness
    rows = max(1, min(MOST_ROWS, room(memory_mb) // 2 // (NUMBER_BYTES * store.dimension)))
    progress = tqdm(total=len(store), unit=" passages", unit_scale=True, mininterval=5, delay=5)
    for ids, block in store.blocks(rows, 1.0):
        vectors = block.astype(np.float64)
        squares = np.einsum("nd,nd->n", vectors, vectors)
        own = (_target(targets[place], spec.by) for place in range(len(targets)))
        best.add(ids, (score(vectors, squares, target) for target in own))
        progress.update(len(ids))
    progress.close()
    best.write(output, {"windows": sha256(windows), "by": spec.by})


def _target(windows: np.ndarray, by: str) -> np.ndarray:
    """What a document's passages are to be near, (m, d)."""
    vectors = windows.astype(np.float64)
    if by == "any":
        return vectors
    if by == "absolute":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = vectors.mean(axis=0, keepdims=True)
    return mean / np.linalg.norm(mean) if by == "absolute" else mean
