"""Mixing the neighbours' predictions into the model's, for every share alpha of a grid."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tttnn.methods.likelihood import TokenLogProbabilities
from tttnn.methods.measure import Measurement


def mixture(
    model: TokenLogProbabilities, neighbors: npt.NDArray[np.float64] | None, alpha: float
) -> float:
    """Log-likelihood of a text's tokens under alpha * p_neighbors + (1 - alpha) * p_model.

    `neighbors` are log-probabilities, (n,), -inf for 0; None where the neighbours predict nothing.
    Then, and with alpha 0, it is `model.total`, bit for bit.
    """
    if alpha == 0 or neighbors is None:
        return model.total
    mixed = np.logaddexp(math.log(alpha) + neighbors, math.log1p(-alpha) + model.tokens)
    return model.total + float((mixed - model.tokens).sum())


def mixtures(
    here: Measurement,
    model: TokenLogProbabilities,
    neighbors: npt.NDArray[np.float64] | None,
    alphas: Sequence[float],
) -> Iterator[Measurement]:
    """The measurement `here` with each alpha, whose mixing adds to its `evaluate_seconds`."""
    reading = here.evaluate_seconds
    for alpha in alphas:
        started = time.perf_counter()
        loglikelihood = mixture(model, neighbors, alpha)
        seconds = time.perf_counter() - started
        yield replace(
            here, loglikelihood=loglikelihood, evaluate_seconds=reading + seconds, alpha=alpha
        )
