"""Choosing training texts by their vectors: SIFT, convex reconstruction, and when to stop.

Everything here is about one query, in float64, on vectors of unit length. Candidates are told apart
by their place in an array: of those equally good, the first is taken, so give them in order of
passage id. Equally good means up to rounding, lest a library's block size choose among equal texts.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

ROUNDING = 1e-12  # products of unit vectors nearer than this are equal; float64 errs by some 1e-15


def _first_largest(values: np.ndarray, tolerance: float) -> int:
    return int(np.argmax(values >= values.max() - tolerance))


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
        best = _first_largest(gain, ROUNDING / np.sqrt(noise))
        scale = np.sqrt(max(variance[best], 0) + noise)
        known = factors[:t].T @ factors[:t, best]
        factors[t] = (candidates @ candidates[best] - known) / scale
        covariance -= factors[t] * (covariance[best] / scale)
        variance -= factors[t] ** 2
        chosen[t] = best
    return chosen


def hull_weights(
    candidates: np.ndarray, query: np.ndarray, iterations: int, support: int | None = None
) -> np.ndarray:
    """Weights of the convex combination of `candidates` that is nearest to `query`, (K,).

    Frank-Wolfe from the most similar candidate, with exact line search and away steps
    (Lacoste-Julien and Jaggi 2015, arXiv 1511.05932), which converge linearly. It ends at the
    optimum, after `iterations` steps, or as soon as `support` candidates have weight: a combination
    of few texts is wanted, as in HullFT (arXiv 2605.30337), whose plain Frank-Wolfe ends there too.
    """
    similarity = candidates @ query
    best = _first_largest(similarity, ROUNDING)
    weights = np.zeros(len(candidates))
    weights[best] = 1.0
    columns = {best: candidates @ candidates[best]}
    products = columns[best].copy()  # of each candidate with the combination
    for _ in range(iterations):
        if support is not None and np.count_nonzero(weights) >= support:
            break
        slope = similarity - products  # how much towards each candidate pays
        level = slope @ weights
        towards = _first_largest(slope, ROUNDING)
        away = _first_largest(np.where(weights > 0, -slope, -np.inf), ROUNDING)
        if slope[towards] - level <= ROUNDING:  # bounds what is left to gain
            break
        forward = slope[towards] - level >= level - slope[away]
        vertex, sign = (towards, 1.0) if forward else (away, -1.0)
        longest = 1.0 if forward else weights[away] / (1 - weights[away])
        if vertex not in columns:
            columns[vertex] = candidates @ candidates[vertex]
        norm = columns[vertex][vertex] - 2 * products[vertex] + weights @ products
        step = sign * min(longest, sign * (slope[vertex] - level) / norm)
        weights *= 1 - step
        weights[vertex] += step
        if not forward and -step == longest:
            weights[vertex] = 0.0  # exactly: it has left the combination
        products += step * (columns[vertex] - products)
    return weights


def multiset(weights: np.ndarray, picks: int) -> np.ndarray:
    """Turn weights (K,) that add up to 1 into `picks` places, heaviest first, copies together.

    Every place gets the whole part of its share of the picks, and what is left goes to the largest
    remainders; of equal ones, to the heavier, then to the first.
    """
    shares = np.round(weights * picks, 9)  # so that equal weights are equal in spite of rounding
    counts = np.floor(shares).astype(np.int64)
    places = np.arange(len(weights))
    left = np.lexsort((places, -shares, counts - shares))[: picks - counts.sum()]
    counts[left] += 1
    order = np.lexsort((places, -shares))
    return np.repeat(order, counts[order])


def hull(candidates: np.ndarray, query: np.ndarray, picks: int, iterations: int) -> np.ndarray:
    """Choose the texts that a convex combination near the query is made of (HullFT).

    Arguments and result are as for `sift`. A text is repeated in proportion to its weight, copies
    next to each other, as HullFT has them, which may then use a gradient twice.

    Source: Khamis and Maalouf 2026, arXiv 2605.30337. The authors' code searches for the counts
    that reconstruct the query best; here the counts are the weights, by largest remainders.
    """
    return multiset(hull_weights(candidates, query, iterations, support=picks), picks)


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
