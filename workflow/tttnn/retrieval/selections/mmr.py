"""Maximal marginal relevance: near the query, unlike what was picked before."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from tttnn.retrieval.ties import ROUNDING, first_largest
from tttnn.sections.selection import Selection


class Mmr(Selection):
    """The simple way to diversity (Carbonell and Goldstein 1998, doi 10.1145/290941.291025)."""

    kind: Literal["mmr"]
    balance: float = Field(ge=0, le=1)  # their lambda; 1: the nearest, 0: what is unlike the picks


def choose(spec: Mmr, ranks: np.ndarray, candidates: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Places of the picks in the order picked; see `tttnn.sections.selection.Selection`."""
    relevance = spec.balance * (candidates @ query)
    redundancy, chosen = np.zeros(len(candidates)), list[int]()
    for _ in range(spec.picks):
        value = relevance - (1 - spec.balance) * redundancy
        value[chosen] = -np.inf
        chosen.append(first_largest(value, ROUNDING))
        alike = candidates @ candidates[chosen[-1]]  # the first pick has none before it to be like
        redundancy = alike if len(chosen) == 1 else np.maximum(redundancy, alike)
    return np.array(chosen)
