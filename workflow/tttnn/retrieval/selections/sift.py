"""SIFT: the texts that tell most about the query beyond those already chosen.

About one query, in float64, on vectors of unit length. Candidates are told apart by their place in
an array: of those equally good, up to rounding, the first is taken, so give them in order of
passage id.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tttnn.retrieval.ties import ROUNDING, first_largest
from tttnn.sections.selection import Selection


class Sift(Selection):
    """The nearest candidates often say the same thing: pick what tells most beyond what was picked.

    `noise`: large, the best text again and again; small, hardly ever the same twice (Hübotter et
    al. 2025, arXiv 2410.08020).
    """

    kind: Literal["sift"]
    replacement: bool = True  # a passage may be picked several times


def sift(
    candidates: np.ndarray, query: np.ndarray, picks: int, noise: float, replacement: bool = True
) -> np.ndarray:
    """Choose, one by one, what most reduces the posterior variance of the query (SIFT).

    The model is a Gaussian process with the vectors' inner product as kernel, of which every pick
    is an observation with variance `noise`. A candidate may be picked again, and is if that tells
    more than another would, unless `replacement` is false.

    `candidates` is (K, d), `query` (d,); returns `picks` places among the candidates, int64, in the
    order picked. Costs O(picks K d), for only columns of picked candidates are computed.

    Source: Hübotter et al. 2025, arXiv 2410.08020; the posterior is updated as a pivoted Cholesky
    factorisation does it.
    """
    chosen = np.empty(picks, dtype=np.int64)
    variance = np.einsum("kd,kd->k", candidates, candidates)
    covariance = candidates @ query  # with the query
    factors = np.empty((picks, len(candidates)))
    for t in range(picks):
        # the square of this is the reduction; its rounding errors are the covariance's, scaled
        gain = np.abs(covariance) / np.sqrt(np.maximum(variance, 0) + noise)
        if not replacement:
            gain[chosen[:t]] = -np.inf
        best = first_largest(gain, ROUNDING / np.sqrt(noise))
        scale = np.sqrt(max(variance[best], 0) + noise)
        known = factors[:t].T @ factors[:t, best]
        factors[t] = (candidates @ candidates[best] - known) / scale
        covariance -= factors[t] * (covariance[best] / scale)
        variance -= factors[t] ** 2
        chosen[t] = best
    return chosen


def choose(spec: Sift, ranks: np.ndarray, candidates: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Places of the picks in the order picked; see `tttnn.sections.selection.Selection`."""
    return sift(candidates, query, spec.picks, spec.noise, spec.replacement)
