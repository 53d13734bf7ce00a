"""Counts, latencies in a histogram of fixed size, and a log of one JSON object a line."""

from __future__ import annotations

import json
import sys
import threading
import time
from bisect import bisect_left
from collections import Counter
from typing import Any

LEAST, RATIO, BUCKETS = 1e-4, 1.1, 160  # seconds: to 400 s, each bucket 10 % wider
LINES_A_SECOND = 20  # of the log, of each event


class Histogram:
    """Seconds, counted in buckets: a percentile is right to within a bucket, 10 %."""

    def __init__(self) -> None:
        self._bounds = [LEAST * RATIO**number for number in range(BUCKETS)]
        self._counts = [0] * (BUCKETS + 1)

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1

    def percentile(self, share: float) -> float | None:
        """Upper bound of the bucket in which it is; None where nothing was counted."""
        total = sum(self._counts)
        if not total:
            return None
        wanted, seen = share * total, 0
        for bound, count in zip(self._bounds, self._counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return self._bounds[-1]


class Metrics:
    """What a server did since it started; its size does not grow with time or clients."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: Counter[str] = Counter()
        self._latencies: dict[str, Histogram] = {}
        self._amounts: Counter[str] = Counter()
        self._started = time.monotonic()

    def count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self._amounts[what] += number

    def done(self, action: str, outcome: str, seconds: float) -> None:
        """An answer, or a refusal by its name; both are from sets that we define."""
        with self._lock:
            self._outcomes[f"{action}.{outcome}"] += 1
            if outcome == "answered":
                self._latencies.setdefault(action, Histogram()).add(seconds)

    def told(self) -> dict[str, Any]:
        """As JSON; latencies in seconds, from a request's arrival to its answer."""
        with self._lock:
            return {
                "seconds": round(time.monotonic() - self._started, 3),
                "requests": dict(sorted(self._outcomes.items())),
                "amounts": dict(sorted(self._amounts.items())),
                "latency": {
                    action: {f"p{share}": of.percentile(share / 100) for share in (50, 90, 99)}
                    for action, of in sorted(self._latencies.items())
                },
            }


class Log:
    """Events on stderr. An event that comes too often in a second is counted in its next line."""

    def __init__(self, **always: Any) -> None:
        self._always = always
        self._lock = threading.Lock()
        self._second: dict[str, tuple[int, int]] = {}  # by event: the second, lines in it
        self._left_out: Counter[str] = Counter()

    def __call__(self, event: str, **said: Any) -> None:
        now = time.time()
        with self._lock:
            second, lines = self._second.get(event, (0, 0))
            lines = lines + 1 if second == int(now) else 1
            self._second[event] = int(now), lines
            if lines > LINES_A_SECOND:
                self._left_out[event] += 1
                return
            if left_out := self._left_out.pop(event, 0):
                said["left_out"] = left_out
        values = {"time": round(now, 3), "event": event, **self._always, **said}
        line = json.dumps(values, default=str)
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
