"""The nearest candidates, nearest first."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from tttnn.sections.selection import Selection


class Nearest(Selection):
    """The index's own order, useful with `stop`."""

    kind: Literal["nearest"]

    BY_VECTORS: ClassVar[bool] = False


def choose(
    spec: Nearest, ranks: np.ndarray, candidates: np.ndarray | None, query: np.ndarray | None
) -> np.ndarray:
    """Places of the picks in their order; see `tttnn.sections.selection.Selection`."""
    return np.argsort(ranks)[: spec.picks]
