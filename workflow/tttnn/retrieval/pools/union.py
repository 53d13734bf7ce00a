"""What several searches found, merged by rank: reciprocal rank fusion."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tttnn.sections.base import Names
from tttnn.sections.pool import Pool


class Union(Pool):
    """Whoever is ranked high anywhere comes first (Cormack et al. 2009, 10.1145/1571941.1572114).

    A passage is worth the sum of 1 / (smoothing + rank), ranks from 1, over those that found it.
    """

    kind: Literal["union"]
    of: Annotated[Names, Field(min_length=2)]  # indexes, or entries of `lexical`
    smoothing: float = Field(ge=0)  # their k, 60; 0: the first places count most

    @property
    def sources(self) -> list[str]:
        return list(self.of)


def pooled(spec: Union, members: np.ndarray, found: list[np.ndarray]) -> np.ndarray:
    """As many as the longest source has, none twice; see `tttnn.sections.pool.Pool`.

    Passages of equal worth come in order of id.
    """
    k = max(ids.shape[1] for ids in found)
    worth = [1 / (spec.smoothing + 1 + np.arange(ids.shape[1])) for ids in found]
    merged = np.empty((len(members), k), np.int64)
    for row in range(len(members)):
        ids, places = np.unique(np.concatenate([each[row] for each in found]), return_inverse=True)
        total = np.bincount(places, np.concatenate(worth))
        merged[row] = ids[np.lexsort((ids, -np.round(total, 12)))][:k]
    return merged
