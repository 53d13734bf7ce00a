"""How many of a document's neighbours fit into its time.

    seconds = selection + FLOP of a token / 4 bytes * bytes read / FLOP a second + steps * overhead

with the rates of the method's budget and the bytes and steps of `Method.work`: lengths of texts,
never a clock, so that another machine uses the same neighbours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from tttnn.sections.budget import Budget
from tttnn.sections.lengths import Lengths
from tttnn.sections.method import TOKEN_BYTES, Method

Kind = TypeVar("Kind", bound=Method)


class Rates(NamedTuple):
    """Of a model and a budget: seconds of a byte that is read, of a step, of a selection."""

    byte: float
    step: float
    selection: float


def rates(budget: Budget, flop: float) -> Rates:
    """With a model that takes so many FLOP a token; raises `ValueError` for a rate that is null."""
    stated = budget.model_dump()
    if missing := [name for name, value in stated.items() if value is None]:
        raise ValueError(f"the recipe's budget has no {missing[0]}: set it, or take the plan's")
    return Rates(
        flop / TOKEN_BYTES / stated["flops"], stated["step_seconds"], stated["selection_seconds"]
    )


def within(recipe: Kind, count: int) -> Kind:
    """The recipe as it is for a document with `count` neighbours.

    It is measured at those of `evaluate_at` that it has; if others follow, the first of them is of
    all its neighbours, which have then trained further, and the rest are the same number again.
    """
    points = [point for point in recipe.evaluate_at if point <= count]
    if count not in points and count < recipe.evaluate_at[-1]:
        points.append(count)
    return recipe.model_copy(update={"num_neighbors": count, "evaluate_at": points})


def seconds(recipe: Method, lengths: Lengths, count: int, rates: Rates) -> float:
    """What a document takes with its first `count` neighbours."""
    neighbors = lengths.neighbors[:count]
    work = within(recipe, count).work(lengths.text, lengths.context, neighbors)
    return rates.selection + work.read * rates.byte + work.steps * rates.step


def fitting(recipe: Method, lengths: Lengths, allowed: float, rates: Rates) -> int:
    """The most neighbours with which a document takes no longer; 0 too if it does without any."""
    counts = range(len(lengths.neighbors) + 1)
    # one more never takes less, so the first that is too many can be searched for
    return max(
        0,
        bisect_right(counts, allowed, key=lambda count: seconds(recipe, lengths, count, rates)) - 1,
    )


def fitted(
    recipe: Method, budget: Budget, documents: Sequence[Lengths], flop: float
) -> list[Lengths]:
    """A task's documents with the neighbours that fit.

    Raises `ValueError` if there are documents with neighbours, and not one fits for any of them.
    """
    ours = rates(budget, flop)
    cut = [
        one._replace(neighbors=one.neighbors[: fitting(recipe, one, budget.seconds, ours)])
        for one in documents
    ]
    some = [one for one in documents if one.neighbors]
    if some and not any(one.neighbors for one in cut):
        least = min(seconds(recipe, one, 1, ours) for one in some)
        raise ValueError(
            f"no neighbour of any of {len(some)} documents fits into budget.seconds "
            f"({budget.seconds:g}): the shortest takes {least:.3g} s with one. Raise the method's "
            "budget, or leave the task out of its `tasks`"
        )
    return cut
