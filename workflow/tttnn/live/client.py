"""Asking all shards of a run's index through their servers, as if it were one.

Each shard is asked of one server. Answers are merged by (distance, id), and only those of one
build: the result is bit for bit what the workflow's own search finds, or an error that names the
server and the shards, or, where that is allowed, says which shards are missing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from tttnn.live.gate import Batches
from tttnn.live.messages import (
    Search,
    prepare,
    read_found,
    read_texts,
    search_request,
    texts_request,
)
from tttnn.live.registry import locations
from tttnn.live.remote import Remote, RemoteError
from tttnn.live.shard import Build, number_of
from tttnn.live.table import IncompleteError, Table, tabulated
from tttnn.retrieval.search import merged

T = TypeVar("T")
HEALTH_SECONDS = 5.0  # at most, in which a server has to say how it is
IDS_AT_ONCE = 1000
PASSING = {"unavailable", "deadline", "busy", "stopping", "build", "internal"}
"""Why a server gives no answer that another one, or the same later, may give."""
_POOL = ThreadPoolExecutor(48, thread_name_prefix="ask")
"""Threads that wait for servers, the whole process's: with some for each `Servers`, hundreds get in
one another's way, and half as many questions are answered."""
TOGETHER = 128  # vectors, at most, that are asked for together
LOOK_AGAIN = 1.0  # seconds, at least, between two looks at where servers are


class Found(NamedTuple):
    """What was found: distances and ids, both (n, k), nearest first; -1: none."""

    distances: np.ndarray
    ids: np.ndarray
    build: Build
    missing: list[str]  # shards that did not answer
    reasons: list[str]  # why


class _Answers(NamedTuple, Generic[T]):
    answers: list[T]
    missing: list[str]  # shards
    reasons: list[str]  # why they are


class Servers:
    """The servers of a run, asked together; may be used by several threads.

    `source` is as for `tttnn.live.registry.locations`. `deadline` is in seconds, for everything
    that a call does.
    """

    def __init__(
        self,
        source: Path,
        *,
        token: str | None = None,
        roots: bytes | None = None,
        deadline: float = 10.0,
        allow_partial: bool = False,
        check: Callable[[str], None] = lambda location: None,
    ) -> None:
        self._source, self._token, self._roots = source, token, roots
        self._deadline, self._allow_partial, self._check = deadline, allow_partial, check
        self._remotes: dict[str, Remote] = {}
        self._lock = threading.Lock()
        self._table: Table | None = None
        prepare()
        self._batches = Batches(self._search, TOGETHER)

    def close(self) -> None:
        for remote in self._remotes.values():
            remote.close()

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- who there is ------------------------------------------------------------------------

    def _together(self, calls: list[Callable[[], T]]) -> list[T | RemoteError]:
        """Results of calls that wait for servers, side by side; the last in this thread."""

        def result(call: Callable[[], T]) -> T | RemoteError:
            try:
                return call()
            except RemoteError as error:
                return error

        waiting = [_POOL.submit(result, call) for call in calls[:-1]]
        last = [result(call) for call in calls[-1:]]
        return [*(future.result() for future in waiting), *last]

    def _look(self, end: float) -> Table:
        """Ask every server how it is; those of the build that most shards are of are taken."""
        scheme = "grpc" if self._roots is None else "grpc+tls"
        names = locations(self._source, scheme)
        for location in names:
            if location not in self._remotes:
                self._check(location)
                self._remotes[location] = Remote(location, self._token, self._roots)
        for location in self._remotes.keys() - set(names):
            self._remotes.pop(location).close()
        remotes = [self._remotes[location] for location in names]
        left = min(HEALTH_SECONDS, self._deadline / 2, end - time.monotonic())
        told = self._together([partial(remote.ask, "health", left) for remote in remotes])
        return tabulated(self._source, remotes, told)

    def _known(self, end: float, older_than: float | None = None) -> Table:
        """The table; made anew where it is from before `older_than`."""
        with self._lock:
            table = self._table
            if table is None or (older_than is not None and table.seen < older_than):
                table = self._table = self._look(end)
            return table

    def _whole(self, end: float) -> Table:
        """The table; looked at again, from time to time, while shards of the run are missing."""
        table = self._known(end)
        if table.build is None or table.build.shards.keys() - table.held.keys():
            table = self._known(end, time.monotonic() - LOOK_AGAIN)
        if table.build is None:
            raise IncompleteError(f"no server answers: {'; '.join(table.reasons)}")
        return table

    # --- what is asked -----------------------------------------------------------------------

    def build(self, end: float | None = None) -> Build:
        """What the servers' index is; raises `IncompleteError` where none answers."""
        table = self._whole(time.monotonic() + self._deadline if end is None else end)
        assert table.build is not None
        return table.build

    def _rounds(
        self, shards: set[str], end: float, ask: Callable[[Remote, list[str]], T]
    ) -> _Answers[T]:
        """An answer for each shard, of one of its servers.

        A shard whose server gives none is asked of another one that holds it, and, after another
        look at who there is, of whoever holds it then. Raises `RemoteError` where a server refuses
        the question itself.
        """
        answers: list[T] = []
        why: dict[str, str] = {}
        left, tried, has_looked = set(shards), set[tuple[str, str]](), False
        while left:
            groups: dict[str, tuple[Remote, list[str]]] = {}
            for name in sorted(left):
                for remote in self._whole(end).held.get(name, []):
                    if (name, remote.location) not in tried:
                        tried.add((name, remote.location))
                        groups.setdefault(remote.location, (remote, []))[1].append(name)
                        break
            if not groups:
                if has_looked or not why or time.monotonic() >= end:
                    break
                has_looked = True
                self._known(end, time.monotonic() - LOOK_AGAIN)
                continue
            asked = list(groups.values())
            found = self._together([partial(ask, *one) for one in asked])
            for (_, names), answer in zip(asked, found, strict=True):
                if not isinstance(answer, RemoteError):
                    answers.append(answer)
                    left -= set(names)
                elif answer.name in PASSING:
                    why |= {name: f"shard {name}: {answer}" for name in names}
                else:
                    raise answer
        missing = sorted(left)
        reasons = [why.get(name, f"shard {name}: no server holds it") for name in missing]
        if missing and self._table and not why.keys() >= left:
            reasons += self._table.reasons
        return _Answers(answers, missing, list(dict.fromkeys(reasons)))

    def _check_whole(self, answers: _Answers[Any]) -> None:
        """Raise `IncompleteError` for missing shards, where it is not allowed that some are."""
        if answers.missing and not (self._allow_partial and answers.answers):
            names = ", ".join(answers.missing)
            raise IncompleteError(f"no answer from shards {names}: {'; '.join(answers.reasons)}")

    def search(self, vectors: np.ndarray, k: int) -> Found:
        """The k nearest passages of vectors (n, d), of all shards.

        What threads ask while an answer is waited for is asked together, then. Raises
        `IncompleteError` where a shard gives no answer, unless that is allowed, and `ValueError`
        for vectors that cannot be asked for, or where a server refuses the question.
        """
        dimension = self.build().dimension
        vectors = np.ascontiguousarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != dimension or not len(vectors):
            raise ValueError(f"vectors of shape {vectors.shape}: the index has {dimension} numbers")
        if not np.isfinite(vectors).all():
            raise ValueError("a vector has a NaN or an infinite number")
        return Found(*self._batches.find(Search(vectors, k, ()), lambda: False))

    def _search(self, vectors: np.ndarray, k: int, shards: tuple[str, ...]) -> Found:
        end = time.monotonic() + self._deadline
        while True:
            build = self.build(end)

            def ask(
                remote: Remote, names: list[str], build: Build = build
            ) -> tuple[np.ndarray, np.ndarray]:
                body = remote.call(
                    "search", search_request(vectors, k, names), end - time.monotonic()
                )
                with remote.reading():
                    distances, ids, said = read_found(body, len(vectors), k)
                _check_said(remote, said, build, names)
                return distances, ids

            answers = self._rounds(set(build.shards), end, ask)
            if not answers.missing or self.build(end).digest == build.digest:
                break  # else all servers were started again, with another build
        self._check_whole(answers)
        distances, ids = merged(answers.answers, k)
        return Found(distances, ids, build, answers.missing, answers.reasons)

    def texts(self, build: Build, ids: list[int]) -> dict[int, tuple[str, str | None]]:
        """Text and subset of passages, by id, of the build in which they were found.

        Those of shards that give no answer are left out, where that is allowed.
        """
        end = time.monotonic() + self._deadline
        names = {int(name): name for name in build.shards}
        by_shard: dict[str, list[int]] = {}
        for passage in dict.fromkeys(ids):
            if number_of(passage) not in names:
                raise ValueError(f"passage {passage} is of no shard of run {build.run}")
            by_shard.setdefault(names[number_of(passage)], []).append(passage)

        def ask(remote: Remote, shards: list[str]) -> dict[int, tuple[str, str | None]]:
            wanted = [passage for shard in shards for passage in by_shard[shard]]
            found: dict[int, tuple[str, str | None]] = {}
            while wanted:
                some = texts_request(wanted[:IDS_AT_ONCE])
                body = remote.call("texts", some, end - time.monotonic())
                with remote.reading():
                    rows, said = read_texts(body)
                _check_said(remote, said, build, None)
                got = {passage: (text, subset) for passage, subset, text in rows}
                if not got.keys() & set(wanted):
                    raise RemoteError(remote.location, "failed", "it gives other texts")
                found |= got
                wanted = [passage for passage in wanted if passage not in got]
            return found

        answers = self._rounds(set(by_shard), end, ask)
        self._check_whole(answers)
        return {passage: row for found in answers.answers for passage, row in found.items()}


def _check_said(
    remote: Remote, said: dict[str, Any], build: Build, names: list[str] | None
) -> None:
    """Raise `RemoteError` for an answer of another build, or of other shards than were asked."""
    if said.get("build") != build.digest:
        raise RemoteError(
            remote.location,
            "build",
            f"it answers for build {str(said.get('build'))[:12]}, the others for "
            f"{build.digest[:12]}",
        )
    if names is not None and said.get("shards") != {name: build.shards[name] for name in names}:
        raise RemoteError(remote.location, "build", "it answers for other shards than were asked")
