"""What a run cost: by the benchmark files of the jobs that its last start listed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tttnn.reading import reading
from tttnn.spent import GPU_RULES, Used, of_job

MINUTE, HOUR = 60, 3600


class Cost(NamedTuple):
    """Of all jobs that have ended: from when to when, in seconds since 1970; and seconds.

    Each job counts with its last run alone, which is all that its benchmark file holds. `busy` is
    how long at least one job was at work; `cpu` and `gpu` are sums over the jobs.
    """

    jobs: int
    began: float
    ended: float
    busy: float
    cpu: float
    gpu: float


class _Job(NamedTuple):
    rule: str
    ended: float
    used: Used

    @property
    def span(self) -> tuple[float, float]:
        return self.ended - self.used.wall, self.ended


def _jobs(file: Path, root: Path) -> list[_Job]:
    """The jobs of a `jobs.json` whose paths are from `root`; those that have a benchmark."""

    with reading(file, "start the run once more, which writes it"):
        listed = json.loads(file.read_text(encoding="utf-8"))
    found = []
    for job in listed:
        benchmark, log = (job[name] and root / job[name] for name in ("benchmark", "log"))
        used = benchmark and of_job(benchmark, log)
        if used:
            found.append(_Job(job["rule"], benchmark.stat().st_mtime, used))
    return found


def _busy(spans: list[tuple[float, float]]) -> float:
    """The length of the union of spans of time."""
    total, reached = 0.0, float("-inf")
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, reached))
        reached = max(reached, ended)
    return total


def cost(results: Path, config: Mapping[str, Any]) -> Cost | None:
    """Of a run in `results/<run>`; None where nothing says what its jobs were.

    When a job ended is when its benchmark was written: in a copy that keeps no times, it is wrong.
    """
    file = results / "jobs.json"
    jobs = _jobs(file, results.resolve().parents[1]) if file.is_file() else []
    if not jobs:
        return None
    spans = [job.span for job in jobs]
    on_gpu = config.get("environment") == "gpu"
    return Cost(
        len(jobs),
        min(began for began, _ in spans),
        max(ended for _, ended in spans),
        _busy(spans),
        sum(job.used.seconds for job in jobs),
        sum(job.used.wall for job in jobs if on_gpu and job.rule in GPU_RULES),
    )


def duration(seconds: float) -> str:
    """As one says it: two units at most."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min {seconds % MINUTE:.0f} s"
    return f"{seconds // HOUR:.0f} h {seconds % HOUR / MINUTE:.0f} min"


def moment(at: float) -> str:
    """A time of day, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
