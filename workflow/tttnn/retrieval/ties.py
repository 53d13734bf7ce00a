"""Which of equally good places is taken, so that a library's block size does not decide."""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-12  # products of unit vectors nearer than this are equal; float64 errs by some 1e-15


def first_largest(values: np.ndarray, tolerance: float) -> int:
    """The first place whose value is the largest up to `tolerance`."""
    return int(np.argmax(values >= values.max() - tolerance))
