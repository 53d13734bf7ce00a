"""Who is worked for: a bounded number at once, and searches that wait together in one batch."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np

from tttnn.live.limits import Limits, Refused
from tttnn.live.messages import Search

Found = tuple[np.ndarray, np.ndarray]
"""Distances, float64, and ids, both (n, k)."""


class Gate:
    """Places for requests; the rest wait, some of them and for some time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._condition = threading.Condition()
        self.inside = self.waiting = 0
        self.is_closed = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises `Refused` as busy, or as stopping."""
        self._enter()
        try:
            yield
        finally:
            with self._condition:
                self.inside -= 1
                self._condition.notify_all()  # one that waits, or the one who closes

    def _enter(self) -> None:
        limits = self._limits
        with self._condition:
            if self.is_closed:
                raise Refused("stopping", "the server takes no more requests")
            if self.inside >= limits.in_flight:
                if self.waiting >= limits.waiting:
                    raise Refused("busy", f"{self.waiting} requests wait already: try again later")
                self.waiting += 1
                try:
                    free = self._condition.wait_for(
                        lambda: self.is_closed or self.inside < limits.in_flight,
                        limits.wait_seconds,
                    )
                finally:
                    self.waiting -= 1
                if self.is_closed:
                    raise Refused("stopping", "the server takes no more requests")
                if not free:
                    raise Refused(
                        "busy", f"no place was free for {limits.wait_seconds:g} s: try again later"
                    )
            self.inside += 1

    def close(self, seconds: float) -> bool:
        """Let nobody in any more; whether all who were inside were done in this time."""
        with self._condition:
            self.is_closed = True
            self._condition.notify_all()
            return self._condition.wait_for(lambda: self.inside == 0, seconds)


class _Asked:
    """A search that waits for its batch."""

    def __init__(self, search: Search, is_gone: Callable[[], bool]) -> None:
        self.search, self.is_gone = search, is_gone
        self.found: Future[Found] = Future()


class Batches:
    """Searches that arrive while one is at work are the next one, together: one matrix product.

    Those of one batch have the same k and shards, so that what one finds cannot depend on another.
    A search whose client has gone is left out.
    """

    def __init__(
        self, search: Callable[[np.ndarray, int, tuple[str, ...]], Found], limits: Limits
    ) -> None:
        self._search, self._limits = search, limits
        self._condition = threading.Condition()
        self._asked: deque[_Asked] = deque()
        self.batches = 0
        threading.Thread(target=self._work, name="search", daemon=True).start()

    def find(self, search: Search, is_gone: Callable[[], bool]) -> Found:
        asked = _Asked(search, is_gone)
        with self._condition:
            self._asked.append(asked)
            self._condition.notify()
        return asked.found.result()

    def _next(self) -> list[_Asked]:
        """What waits and is like the first that waits, as many vectors as a request may have."""
        with self._condition:
            self._condition.wait_for(lambda: self._asked)
            first = self._asked.popleft()
            taken, count, left = [first], len(first.search.vectors), deque[_Asked]()
            while self._asked:
                other = self._asked.popleft()
                alike = other.search[1:] == first.search[1:]
                if alike and count + len(other.search.vectors) <= self._limits.max_vectors:
                    taken.append(other)
                    count += len(other.search.vectors)
                else:
                    left.append(other)
            self._asked = left
        return taken

    def _work(self) -> None:
        while True:
            batch = self._next()
            for gone in [asked for asked in batch if asked.is_gone()]:
                batch.remove(gone)
                gone.found.set_exception(Refused("cancelled", "the client has gone"))
            if not batch:
                continue
            try:
                self._answer(batch)
            except BaseException as error:  # each one's own thread tells it
                for asked in batch:
                    asked.found.set_exception(error)

    def _answer(self, batch: list[_Asked]) -> None:
        vectors = np.concatenate([asked.search.vectors for asked in batch])
        _, k, shards = batch[0].search
        distances, ids = self._search(vectors, k, shards)
        self.batches += 1
        row = 0
        for asked in batch:
            rows = slice(row, row + len(asked.search.vectors))
            row = rows.stop
            asked.found.set_result((distances[rows], ids[rows]))
