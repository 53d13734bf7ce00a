"""What it takes to read the published numbers and to compare a run with them."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.needs.need import Need
from tttnn.needs.rates import MB, PYTHON
from tttnn.needs.scale import Formula, Scale

COMPARED_SECONDS, COMPARED_DISK = 3.0, 1e5  # the demo's benchmarks
TABLES_MEMORY, TABLES_SECONDS, TABLES_DISK = 180 * MB, 1.0, 1e6  # measured


def compare_published(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return Need(PYTHON, COMPARED_SECONDS, COMPARED_DISK, "the demo's benchmarks")


def published_tables(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return Need(TABLES_MEMORY, TABLES_SECONDS, TABLES_DISK, "measured: the same for every run")


FORMULAS: dict[str, Formula] = {
    "published_tables": published_tables,
    "compare_published": compare_published,
    "compare_follow_ups": compare_published,
}
"""By rule."""
