"""What every method takes and yields: a query with its neighbours, and its measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tttnn.methods.likelihood import Size


@dataclass(frozen=True)
class Query:
    """A text to evaluate, and the neighbours to use, in that order.

    `distances` are the neighbours' squared Euclidean ones to the query; `context` is the text
    before the evaluated one where a document is split. Either may be left out where it is not used.
    A query is `stopped` if its neighbours end early on purpose: what is measured after the last of
    them stays as it is.
    """

    id: int | str
    text: str
    neighbors: Sequence[str]
    distances: Sequence[float] = ()
    context: str | None = None
    stopped: bool = False


@dataclass(frozen=True)
class Measurement:
    """The query under the model with its first `num_neighbors` neighbours.

    `train_loss` is the mean over the latest neighbour's windows (nats a token, before each step),
    NaN before the first; `steps`, `train_tokens` and `train_seconds` are since the weights were put
    back; `evaluate_seconds` is what this evaluation takes if it is the only one; `alpha` is the
    neighbours' share in a mixture, None for methods that mix nothing.
    """

    num_neighbors: int
    loglikelihood: float
    train_loss: float
    steps: int
    train_tokens: int
    train_seconds: float
    evaluate_seconds: float
    alpha: float | None = None


@dataclass(frozen=True)
class Adapted:
    """A query's measurements, ascending in `num_neighbors`, and its size."""

    query: Query
    size: Size
    measurements: list[Measurement]


def check_neighbors(query: Query, num_neighbors: int) -> None:
    """Raises `ValueError` for a query with fewer neighbours that was not stopped."""
    if len(query.neighbors) < num_neighbors and not query.stopped:
        raise ValueError(
            f"query {query.id} has {len(query.neighbors)} neighbours, but the method uses "
            f"{num_neighbors}: lower num_neighbors, or look why retrieval found fewer"
        )
