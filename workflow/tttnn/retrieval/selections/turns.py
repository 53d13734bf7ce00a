"""The nearest of each of a document's windows, in turns."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tttnn.retrieval.ties import ROUNDING, first_largest
from tttnn.sections.windows import ByWindows


class Turns(ByWindows):
    """The simple way to serve all windows: each picks, in turn, what is most like it."""

    kind: Literal["turns"]


def choose(
    spec: Turns, ranks: np.ndarray, candidates: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Places of the picks, none twice; see `tttnn.sections.windows.ByWindows`."""
    likeness, chosen = targets @ candidates.T, list[int]()
    for turn in range(spec.picks):
        free = likeness[turn % len(targets)].copy()
        free[chosen] = -np.inf
        chosen.append(first_largest(free, ROUNDING))
    return np.array(chosen)
