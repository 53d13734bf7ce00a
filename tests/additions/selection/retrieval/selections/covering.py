"""Facility location (Lin and Bilmes 2011): texts that every candidate has a near one among."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from tttnn.retrieval.ties import ROUNDING, first_largest
from tttnn.sections.selection import Selection


class Covering(Selection):
    """Every pick adds most to the sum of all candidates' likeness to the nearest pick."""

    kind: Literal["covering"]
    LEAST: ClassVar[float] = -1.0  # likeness of unit vectors


def choose(
    spec: Covering, ranks: np.ndarray, candidates: np.ndarray, query: np.ndarray
) -> np.ndarray:
    """Places of the picks in the order picked; see `tttnn.sections.selection.Selection`."""
    alike, nearest = candidates @ candidates.T, np.full(len(candidates), spec.LEAST)
    chosen = list[int]()
    for _ in range(spec.picks):
        value = np.maximum(alike, nearest).sum(axis=1)
        value[chosen] = -np.inf
        chosen.append(first_largest(value, ROUNDING * len(candidates)))
        nearest = np.maximum(nearest, alike[chosen[-1]])
    return np.array(chosen)
