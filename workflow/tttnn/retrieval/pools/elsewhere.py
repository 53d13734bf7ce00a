"""The neighbours of another document of the same task: is it the topic, or the kind of text?"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from tttnn.sections.pool import Pool


class Elsewhere(Pool):
    """Control: each document gets the candidates of another one, and no two those of the same."""

    kind: Literal["elsewhere"]
    of: str  # an index, or an entry of `lexical`
    seed: int = Field(ge=0)  # of who gets whose

    @property
    def sources(self) -> list[str]:
        return [self.of]


def pooled(spec: Elsewhere, members: np.ndarray, found: list[np.ndarray]) -> np.ndarray:
    """Of each query another one's candidates; see `tttnn.sections.pool.Pool`.

    All queries in a circle, by the seed and their ids, each next to the one that lends: so nobody
    keeps their own. A query that is alone gets none.
    """
    if len(members) == 1:
        return found[0][:, :0]
    circle = np.argsort(members)[np.random.default_rng(spec.seed).permutation(len(members))]
    lenders = np.empty_like(circle)
    lenders[circle] = np.roll(circle, -1)
    return found[0][lenders]
