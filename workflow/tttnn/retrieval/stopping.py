"""When to stop: how much the texts chosen so far leave unknown about the query.

About one query, in float64, on vectors of unit length.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tttnn.retrieval.ties import ROUNDING


def posterior_variance(picked: np.ndarray, query: np.ndarray, noise: float) -> np.ndarray:
    """Variance of the query given the first n of `picked` (N, d), for n = 1..N.

    It is q·q - k (K + noise I)^-1 k of arXiv 2410.08020, with K and k the inner products of the n
    vectors with each other and with the query. The leading blocks of a Cholesky factor are the
    factors of the leading blocks, so one factorisation serves every n.
    """
    factor = np.linalg.cholesky(picked @ picked.T + noise * np.eye(len(picked)))
    explained = np.linalg.solve(factor, picked @ query)
    return query @ query - np.cumsum(explained**2)


def kept(variance: np.ndarray, alpha: float, form: Literal["prefix", "filter"]) -> np.ndarray:
    """Places of the picks that adaptive stopping keeps, by their posterior variances (N,).

    The n-th pick, n = 1..N, fails if the standard deviation after it exceeds 1 / (alpha n) (arXiv
    2410.08020). `prefix` stops before the first that fails; `filter` leaves out those that fail and
    goes on, as the authors' library activeft does.
    """
    n = np.arange(1, len(variance) + 1)
    passes = alpha * n * np.sqrt(np.maximum(variance, 0)) <= 1 + ROUNDING
    if form == "prefix":
        passes = np.logical_and.accumulate(passes)
    return np.flatnonzero(passes)
