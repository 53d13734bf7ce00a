r"""How far a distance in low precision can be from the true one, and so what may be left out.

**The statement.** Let q be a query, x a vector, c any vector that is subtracted from both, d their
dimension, u = 2^-24 the unit roundoff of float32, gamma(n, u) = nu / (1 - nu). Write a = x - c and
b = q - c for the exact differences and a', b' for those in float32, of which each number errs by a
relative u at most. A pass computes

    s(x) = |a'|² + |b'|² - 2 ã·b̃

where ã and b̃ are a' and b' in the precision of the product, scaled by powers of two, and the
product is summed in any order. Let T be a canonical distance, computed in float64 by
`tttnn.retrieval.vectors.squared_distances`. Then **every x whose canonical distance is at most T
has s(x) <= limit(T)**, with

    r = sqrt(T (1 + gamma(d + 3, 2^-53)))                 the true |a - b| is at most r
    A = (1 + u) (|b'| / (1 - u) + r)                  so |a'| is at most A; B = |b'|, N = A + B
    limit = (r + 2uN)²                                |a' - b'|, with the differences' rounding
          + gamma(d + 4, u) N²                            norms and sums in float32
          + 2 (δa B + (A + δa) δb)                    inputs of the product rounded
          + 2 gamma(d, v) (A + δa) (B + δb)               product summed
          + underflow

δa = w A + t√d and δb = w B + t√d, where w and t are the relative and the least absolute error of a
number in the product's precision: 0 for float32; 2^-11 and 2^-25 of the scale for float16 (2^-8 for
bfloat16; TF32 as float16, without its least error). v is the unit of the sum: u on a CPU; 2^-22 on
tensor cores, which cut off where they align (Fasi et al. 2021, doi:10.7717/peerj-cs.330, find at
most some bits more than 2^-24 of the largest term lost in each addition).

**Why.** If the canonical distance is at most T, |a| <= |b| + |a - b| gives A. Rounding of the
differences moves |a - b| by u (|a| + |b|) <= 2uN at most. Sums of n products err by gamma(n, u)
times the sum of their sizes, for any order and with fused multiplication (Higham 2002, 3.1);
|a'|² + |b'|² + 2 |a'||b'| = (|a'| + |b'|)² bounds all of them together, which covers the
cancellation of three large terms. Cauchy and Schwarz give the rest.

No norm of x is in it: what may be among the nearest cannot be longer than A, so that one far
vector in a block costs the others nothing, and a vector so long that its square overflows, whose
s is infinite or no number, is right to be passed over. Where A or B is so long itself that float32
or the product's precision may overflow, the limit is infinite: nothing may be left out.

The centre c makes the bound one of the spread of the vectors, not of their length: where all are
nearly equal (a cosine of 0.999), a bound of uncentred norms proves nothing, and a guess from the
distances alone is wrong.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

UNIT = 2.0**-24  # of float32
DOUBLE = 2.0**-53
LARGEST = 2.0**126  # squares and their sums stay in float32's range
SMALLEST = 2.0**-126  # what underflow takes from a product, flushed or not
SAFE = 1 + 2.0**-40  # more than the rounding of this computation, in float64


class Precision(NamedTuple):
    """Of a product: see the statement."""

    input: float  # w
    least: float  # t, of a number at scale 1
    sum: float  # v
    largest: float  # that a number at scale 1 may be


FLOAT32 = Precision(0.0, 0.0, UNIT, 2.0**63)
FLOAT16 = Precision(2.0**-11, 2.0**-25, 2.0**-22, 65504.0)


def _gamma(n: int, unit: float) -> float:
    if n * unit >= 0.5:  # the theorem says nothing any more
        return float("inf")
    return n * unit / (1 - n * unit)


def limit(
    precision: Precision,
    norms: np.ndarray,
    distances: np.ndarray,
    dimension: int,
    scale: float = 1.0,
    scales: np.ndarray | float = 1.0,
) -> np.ndarray:
    """What s is at most for a vector whose canonical distance is at most T, (m,) float64.

    `norms` are |b'|, and `distances` T, (m,); `scale` is that of vectors in the product (ã is a'
    divided by it) and `scales` those of queries.
    """
    d, root = dimension, dimension**0.5
    with np.errstate(invalid="ignore", over="ignore"):
        r = np.sqrt(distances * (1 + _gamma(d + 3, DOUBLE)))
        b = norms * SAFE
        a = (1 + UNIT) * (b / (1 - UNIT) + r)
        both = a + b
        rounded_a = precision.input * a + precision.least * root * scale
        rounded_b = precision.input * b + precision.least * root * scales
        total = (
            (r + 2 * UNIT * both) ** 2
            + _gamma(d + 4, UNIT) * both**2
            + 2 * (rounded_a * b + (a + rounded_a) * rounded_b)
            + 2 * _gamma(d, precision.sum) * (a + rounded_a) * (b + rounded_b)
            + 8 * (d + 4) * SMALLEST * np.maximum(1.0, scale * scales)
        ) * SAFE
        fits = (both**2 < LARGEST) & (a < precision.largest * scale)
        fits &= b < precision.largest * np.asarray(scales)
    return np.where(fits & np.isfinite(total), total, np.inf)
