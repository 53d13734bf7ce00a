"""Progress through documents that moves within a long one, not only between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from tqdm import tqdm

from tttnn.methods.measure import Query
from tttnn.sections.method import TOKEN_BYTES, WINDOW, Method

STEP_PASSES = 3  # a training step: forward, and backward worth two
SECONDS = 5  # at least between two lines of the bar, which may end in a log

LONG = 8  # windows of a neighbour, from which on it is worth a line

_listener: ContextVar[Callable[[int], None] | None] = ContextVar("_listener", default=None)


def note_trained(tokens: int) -> None:
    """Tell whoever shows progress that so many tokens were trained on; engines do, step by step."""
    if (listener := _listener.get()) is not None:
        listener(tokens)


class Progress:
    """A bar of text to read, in bytes that a model reads forward (`Lengths.cost`).

    Within the context it moves with each training step, up to what the documents under way are
    expected to cost; `finish` puts it where their cost says. It shows nothing else than this and
    changes no result.
    """

    def __init__(
        self, costs: Mapping[Any, int], done: Collection[Any], seconds: float = SECONDS
    ) -> None:
        """`costs` of all documents, by id, of which those that are `done` are behind."""
        self._costs = costs
        self._finished = sum(costs[name] for name in done)
        self._count = len(done)
        self._under_way = 0
        self._bar = tqdm(
            total=sum(costs.values()),
            initial=self._finished,
            unit="B",
            unit_scale=True,
            mininterval=seconds,
        )

    def __enter__(self) -> Progress:
        self._before = _listener.set(self._trained)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _listener.reset(self._before)
        self._bar.close()

    @property
    def position(self) -> int:
        """Where the bar is."""
        return min(self._finished + self._under_way, sum(self._costs.values()))

    def _move(self) -> None:
        self._bar.update(max(0, self.position - self._bar.n))  # never back

    def _trained(self, tokens: int) -> None:
        self._under_way += STEP_PASSES * TOKEN_BYTES * tokens
        self._move()

    def finish(self, name: int | str) -> None:
        """A document is done; others may be under way beside it."""
        cost = self._costs[name]
        self._finished += cost
        self._under_way = max(0, self._under_way - cost)
        self._count += 1
        counted = f"{self._count} of {len(self._costs)} documents"
        self._bar.set_postfix_str(counted, refresh=False)
        self._move()


def warn_of_long(recipe: Method, documents: Sequence[tuple[Query, int]]) -> None:
    """Say what to expect of queries, with their costs, where one has a long neighbour.

    Of the costliest: hours may be those of one or two.
    """
    if not recipe.trains or not documents:
        return
    longest, cost = max(documents, key=lambda each: each[1])
    texts = longest.neighbors[: recipe.num_neighbors]
    used = recipe.trained_of([len(text.encode()) / TOKEN_BYTES for text in texts])
    if max(used, default=0) >= LONG * (recipe.window or WINDOW):
        share = cost / sum(each for _, each in documents)
        print(
            f"document {longest.id} is trained on about {sum(used):,.0f} tokens of neighbours, "
            f"{max(used):,.0f} of them of one: {share:.0%} of the work expected here "
            "(max_neighbor_tokens would cap each neighbour, max_total_neighbor_tokens all of a "
            "document's)",
            file=sys.stderr,
        )
