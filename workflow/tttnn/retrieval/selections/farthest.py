"""The nearest candidates, farthest first."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from tttnn.sections.selection import Selection


class Farthest(Selection):
    """The nearest in reverse: the paper's control for the order (section 4)."""

    kind: Literal["farthest"]

    BY_VECTORS: ClassVar[bool] = False


def choose(
    spec: Farthest, ranks: np.ndarray, candidates: np.ndarray | None, query: np.ndarray | None
) -> np.ndarray:
    """Places of the picks in their order; see `tttnn.sections.selection.Selection`."""
    return np.argsort(ranks)[: spec.picks][::-1]
