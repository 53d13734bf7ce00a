"""Who is worked for: a bounded number at once, and searches that wait together in one batch."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from tttnn.live.limits import Limits, Refused
from tttnn.live.messages import Search

Found = tuple[Any, ...]
"""Distances, float64, and ids, both (n, k), and whatever holds for all of a batch."""


LINGER = 0.003  # seconds


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
                if self.waiting or self.is_closed:
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
    """A search that waits: for its answer, or to be the one that works for all who wait."""

    def __init__(self, search: Search, is_gone: Callable[[], bool]) -> None:
        self.search, self.is_gone = search, is_gone
        self.found: Found | BaseException | None = None
        self._waits = threading.Lock()
        self._waits.acquire()

    def wait(self) -> None:
        self._waits.acquire()

    def wake(self) -> None:
        self._waits.release()

    @property
    def rows(self) -> int:
        return len(self.search.vectors)


class Batches:
    """Searches that arrive while one is at work are the next one, together: one matrix product.

    Those of one batch have the same k and shards, so that what one finds cannot depend on another.
    Who finds nobody at work does the work in its own thread, its own search and those that wait;
    then the first of those that have come meanwhile does. While several come at a time, a batch
    waits a moment for those that are on their way: searching for twenty takes hardly longer than
    for two. A search whose client has gone is left out.
    """

    def __init__(
        self, search: Callable[[np.ndarray, int, tuple[str, ...]], Found], most: int
    ) -> None:
        self._search, self._most = search, most  # vectors of a batch
        self._lock = threading.Lock()
        self._asked: deque[_Asked] = deque()
        self._is_at_work = self._is_busy = False
        self.batches = 0

    def find(self, search: Search, is_gone: Callable[[], bool]) -> Found:
        asked = _Asked(search, is_gone)
        with self._lock:
            self._asked.append(asked)
            works, self._is_at_work = not self._is_at_work, True
        if not works:
            asked.wait()
        if asked.found is None:  # it is this one's turn
            self._work(asked)
        if isinstance(asked.found, BaseException):
            raise asked.found
        assert asked.found is not None
        return asked.found

    def _work(self, mine: _Asked) -> None:
        if self._is_busy:
            time.sleep(LINGER)
        batch = self._next(mine)
        try:
            for gone in [asked for asked in batch if asked.is_gone()]:
                batch.remove(gone)
                self._tell(gone, mine, Refused("cancelled", "the client has gone"))
            if len(batch) > 1:
                with suppress(Exception):  # the fault of one of them is not the others'
                    self._answer(batch, mine)
            for asked in batch:
                if asked.found is None:
                    self._answer_one(asked, mine)
        finally:
            with self._lock:
                following = self._asked[0] if self._asked else None
                self._is_at_work = following is not None
            if following is not None:
                following.wake()

    def _answer_one(self, asked: _Asked, mine: _Asked) -> None:
        try:
            self._tell(asked, mine, self._search(*asked.search))
        except Exception as error:  # its own thread tells it
            self._tell(asked, mine, error)

    @staticmethod
    def _tell(asked: _Asked, mine: _Asked, found: Found | BaseException) -> None:
        asked.found = found
        if asked is not mine:
            asked.wake()

    def _next(self, mine: _Asked) -> list[_Asked]:
        """What waits and is like this one, with it as many vectors as a batch may have."""
        with self._lock:
            taken, count, left = [mine], mine.rows, deque[_Asked]()
            for other in self._asked:
                if other is mine:
                    continue
                alike = other.search[1:] == mine.search[1:]
                if alike and count + other.rows <= self._most:
                    taken.append(other)
                    count += other.rows
                else:
                    left.append(other)
            self._asked = left
        self.batches += 1
        self._is_busy = len(taken) + len(left) > 1
        return taken

    def _answer(self, batch: list[_Asked], mine: _Asked) -> None:
        vectors = np.concatenate([asked.search.vectors for asked in batch])
        _, k, shards = mine.search
        distances, ids, *rest = self._search(vectors, k, shards)
        row = 0
        for asked in batch:
            rows = slice(row, row + asked.rows)
            row = rows.stop
            self._tell(asked, mine, (distances[rows], ids[rows], *rest))
