"""What a formula gives."""

from __future__ import annotations

from typing import NamedTuple


class Need(NamedTuple):
    """Of one job: bytes of memory, seconds, bytes of output; how the seconds were found.

    Pages of files that a job maps are no part of its memory: the system takes them back.
    `device` is the memory that a GPU needs, if the job runs on one. `least` is of a job that works
    in blocks and groups as `memory_mb` has room for: bytes of data that it cannot do without.
    """

    memory: float
    seconds: float
    disk: float
    source: str
    device: float = 0.0
    least: float | None = None
