"""HullFT: the texts that a convex combination near the query is made of.

About one query, in float64, on vectors of unit length. Candidates are told apart by their place in
an array: of those equally good, up to rounding, the first is taken, so give them in order of
passage id.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from tttnn.retrieval.ties import ROUNDING, first_largest
from tttnn.sections.selection import Selection


class Hull(Selection):
    """What a mixture like the query is made of (Khamis and Maalouf 2026, arXiv 2605.30337)."""

    kind: Literal["hull"]
    iterations: int = Field(default=200, gt=0)  # Frank-Wolfe steps, at most


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
    best = first_largest(similarity, ROUNDING)
    weights = np.zeros(len(candidates))
    weights[best] = 1.0
    columns = {best: candidates @ candidates[best]}
    products = columns[best].copy()  # of each candidate with the combination
    for _ in range(iterations):
        if support is not None and np.count_nonzero(weights) >= support:
            break
        slope = similarity - products  # how much towards each candidate pays
        level = slope @ weights
        towards = first_largest(slope, ROUNDING)
        away = first_largest(np.where(weights > 0, -slope, -np.inf), ROUNDING)
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


def choose(spec: Hull, ranks: np.ndarray, candidates: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Places of the picks, heaviest first; see `tttnn.sections.selection.Selection`."""
    return hull(candidates, query, spec.picks, spec.iterations)
