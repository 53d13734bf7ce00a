"""A server of some shards of a run's index, over Arrow Flight.

Four actions: `search` and `texts`, whose messages are `tttnn.live.messages`, and `health` and
`metrics`, which answer in JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.flight as flight

from tttnn.digests import DamagedError
from tttnn.live import security
from tttnn.live.connections import Connections, peer_of
from tttnn.live.gate import Batches, Gate
from tttnn.live.limits import Limits, Refused
from tttnn.live.messages import prepare, read_ids, read_search, search_answer, texts_answer
from tttnn.live.metrics import Log, Metrics
from tttnn.live.shard import Build, OpenShard, number_of
from tttnn.retrieval.search import merged

ACTIONS = {
    "search": "the nearest passages of vectors: an Arrow stream for another",
    "texts": "passages' texts by their ids: an Arrow stream for another",
    "health": "which shards of which build are held, as JSON",
    "metrics": "counts and latencies, as JSON",
}
TEXTS_AT_ONCE = 128  # read together, before it is known whether the answer holds them all
GOODBYE = 2.0  # seconds that clients have for taking leave
OVERHEAD = 4096  # bytes of a request beside its body, at most


class Server(flight.FlightServerBase):
    """Answers as soon as it is made, until `stop`."""

    def __init__(
        self,
        location: str,
        build: Build,
        shards: list[OpenShard],
        limits: Limits,
        *,
        token: str | None = None,
        log: Log | None = None,
        threads: int = 1,
        **tls: Any,
    ) -> None:
        self._build, self._limits, self._threads = build, limits, threads
        self._shards = {shard.name: shard for shard in shards}
        self._by_number = {int(shard.name): shard for shard in shards}
        self.metrics = Metrics()
        self.log = log or Log()
        self._gate = Gate(limits)
        self._batches = Batches(self._search, limits.max_vectors)
        self._process = psutil.Process()

        def refused() -> None:
            self.metrics.done("call", "token", 0.0)
            self.log("refused", name="token")

        prepare()
        super().__init__(location, middleware=security.middleware(token, refused), **tls)
        self._connections = Connections(self.port, limits, self.metrics, self.log)

    # --- what Flight calls -------------------------------------------------------------------

    def list_actions(self, context: flight.ServerCallContext) -> list[tuple[str, str]]:
        return list(ACTIONS.items())

    def do_action(
        self, context: flight.ServerCallContext, action: flight.Action
    ) -> Iterator[flight.Result]:
        started = time.perf_counter()
        name = action.type if action.type in ACTIONS else "other"
        peer = peer_of(context.peer())
        self._connections.asked(peer, action.body.size + OVERHEAD)
        outcome = "internal"
        try:
            answer = self._answer(context, name, action.body)
            outcome = "answered"
        except Refused as refused:
            outcome = refused.name
            self.log("refused", action=name, name=outcome, reason=str(refused), peer=peer)
            raise _error(refused) from None
        except Exception as error:
            self.log("failed", action=name, error=traceback.format_exc())
            reason = f"{type(error).__name__}, see the server's log"
            raise _error(Refused("internal", reason)) from None
        finally:
            self.metrics.done(name, outcome, time.perf_counter() - started)
        return self._deliver(peer, answer)

    def _deliver(self, peer: tuple[str, int], answer: pa.Buffer) -> Iterator[flight.Result]:
        """Hand the answer over; gRPC asks for what follows when it has sent what it was given."""
        try:
            with self._connections.reading(peer, answer.size):
                yield flight.Result(answer)
        except Refused as refused:
            self.metrics.count("answers thrown away")
            raise _error(refused) from None

    # --- the four actions --------------------------------------------------------------------

    def _answer(self, context: flight.ServerCallContext, name: str, body: pa.Buffer) -> pa.Buffer:
        if name == "health":
            return _as_json(self.health())
        if name == "metrics":
            return _as_json(self._told())
        if name == "other":
            raise Refused("action", f"there are {', '.join(ACTIONS)}, and no other")
        if self._connections.unread >= self._limits.waiting:
            raise Refused("busy", "too many answers have not been read: try again later")
        if name == "search":
            asked = read_search(body, self._limits, self._build.dimension, tuple(self._shards))
            with self._gate.place():
                distances, ids = self._batches.find(asked, context.is_cancelled)
            return search_answer(distances, ids, self._said(asked.shards))
        wanted = read_ids(body, self._limits)
        with self._gate.place():
            return self._texts(wanted)

    def _said(self, shards: tuple[str, ...]) -> dict[str, Any]:
        digests = {name: self._build.shards[name] for name in shards}
        return {"build": self._build.digest, "shards": digests}

    def _search(
        self, vectors: np.ndarray, k: int, shards: tuple[str, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        faiss.omp_set_num_threads(self._threads)  # of this thread, whose number is its own
        return merged([self._shards[name].search(vectors, k) for name in shards], k)

    def _texts(self, wanted: list[int]) -> pa.Buffer:
        """Texts in the order of the ids, as many as an answer holds and at least one."""
        for passage in wanted:
            if number_of(passage) not in self._by_number:
                raise Refused(
                    "passage",
                    f"passage {passage} is of shard {number_of(passage)}, which is not held here",
                )
        rows: list[tuple[int, str | None, str]] = []
        size = 0
        for first in range(0, len(wanted), TEXTS_AT_ONCE):
            members = wanted[first : first + TEXTS_AT_ONCE]
            found = self._fetch(members)
            for passage in members:
                text, subset = found[passage]
                size += len(text.encode())
                if rows and size > self._limits.max_answer_bytes:
                    break
                rows.append((passage, subset, text))
            if size > self._limits.max_answer_bytes:
                break
        held = {number_of(passage) for passage in wanted}
        return texts_answer(rows, self._said(tuple(n for n in self._shards if int(n) in held)))

    def _fetch(self, wanted: list[int]) -> dict[int, tuple[str, str | None]]:
        by_shard: dict[int, list[int]] = {}
        for passage in wanted:
            by_shard.setdefault(number_of(passage), []).append(passage)
        found: dict[int, tuple[str, str | None]] = {}
        for number, members in by_shard.items():
            try:
                found |= self._by_number[number].texts(members)
            except DamagedError:
                raise
            except ValueError:  # whose message names files, which are nobody's business
                many = f"{members[0]}" + (f" to {members[-1]}" if len(members) > 1 else "")
                raise Refused("passage", f"{many}: not all are passages of the index") from None
        return found

    def health(self) -> dict[str, Any]:
        """What this server is."""
        return {
            "status": "stopping" if self._gate.is_closed else "serving",
            "build": dataclasses.asdict(self._build),
            "held": sorted(self._shards),
            "rows": sum(shard.rows for shard in self._shards.values()),
            "process": os.getpid(),
        }

    def _told(self) -> dict[str, Any]:
        return self.metrics.told() | {
            "in_flight": self._gate.inside,
            "waiting": self._gate.waiting,
            "unread": self._connections.unread,
            "connections": self._connections.open,
            "batches": self._batches.batches,
            "resident_bytes": self._process.memory_info().rss,
        }

    # --- the end -----------------------------------------------------------------------------

    def stop(self) -> bool:
        """Take no more, finish what is there, and end; whether all of it could be finished."""
        end = time.monotonic() + self._limits.grace_seconds
        is_done = self._gate.close(self._limits.grace_seconds)
        while self._connections.unread and time.monotonic() < end:
            time.sleep(0.01)
        is_done = is_done and not self._connections.unread
        ending = threading.Thread(target=self.shutdown, name="shutdown", daemon=True)
        ending.start()
        ending.join(GOODBYE)
        if ending.is_alive():  # it waits for a client that does not say goodbye
            self._connections.close_all()
            ending.join(GOODBYE)
        self._connections.stop()
        return is_done


def _as_json(value: dict[str, Any]) -> pa.Buffer:
    return pa.py_buffer(json.dumps(value).encode())


def _error(refused: Refused) -> flight.FlightServerError:
    return flight.FlightServerError(str(refused), json.dumps({"name": refused.name}).encode())
