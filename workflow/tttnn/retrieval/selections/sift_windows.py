"""SIFT with several targets, all of a document's windows; with one it picks as `sift` does."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tttnn.retrieval.ties import ROUNDING, first_largest
from tttnn.sections.windows import ByWindows


class SiftWindows(ByWindows):
    """What most reduces the sum of the windows' posterior variances (arXiv 2410.08020)."""

    kind: Literal["sift_windows"]
    replacement: bool = True  # a passage may be picked several times


def choose(
    spec: SiftWindows, ranks: np.ndarray, candidates: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Places of the picks in the order picked; see `tttnn.sections.windows.ByWindows`."""
    chosen = np.empty(spec.picks, dtype=np.int64)
    variance = np.einsum("kd,kd->k", candidates, candidates)
    covariance = candidates @ targets.T  # (K, m)
    factors = np.empty((spec.picks, len(candidates)))
    for t in range(spec.picks):
        gain = np.linalg.norm(covariance, axis=1) / np.sqrt(np.maximum(variance, 0) + spec.noise)
        if not spec.replacement:
            gain[chosen[:t]] = -np.inf
        best = first_largest(gain, ROUNDING * np.sqrt(len(targets) / spec.noise))
        scale = np.sqrt(max(variance[best], 0) + spec.noise)
        factors[t] = (candidates @ candidates[best] - factors[:t].T @ factors[:t, best]) / scale
        covariance -= np.outer(factors[t], covariance[best] / scale)
        variance -= factors[t] ** 2
        chosen[t] = best
    return chosen
