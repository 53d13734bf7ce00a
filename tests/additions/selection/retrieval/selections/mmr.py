"""Maximal marginal relevance (Carbonell and Goldstein 1998): near the query, unlike the picks."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from tttnn.sections.selection import Selection


class Mmr(Selection):
    """Every pick is the most like the query, less its likeness to the nearest pick."""

    kind: Literal["mmr"]
    relevance: float = Field(default=0.7, ge=0, le=1)  # 1: the nearest, as they are


def choose(spec: Mmr, ranks: np.ndarray, candidates: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Places of the picks in the order picked; see `tttnn.sections.selection.Selection`."""
    similarity, nearest, chosen = candidates @ query, np.zeros(len(candidates)), list[int]()
    for _ in range(spec.picks):
        value = spec.relevance * similarity - (1 - spec.relevance) * nearest
        value[chosen] = -np.inf
        chosen.append(int(value.argmax()))
        nearest = np.maximum(nearest, candidates @ candidates[chosen[-1]])
    return np.array(chosen)
