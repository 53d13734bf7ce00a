"""What it takes to write a run's report."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.needs.need import Need
from tttnn.needs.rates import MB, PYTHON, START
from tttnn.needs.scale import Formula, Scale

ROW_BYTES, ROWS_A_SECOND = 500, 1e4  # of an evaluation in pandas; read: assumed, as of scores
COUNT = 8  # bytes of how often a document is in a resample
DRAWS_A_SECOND = 1e9  # bytes of the bootstrap's counts: assumed
PAGE_MEMORY, PAGE_SECONDS, PAGE_DISK = (
    100 * MB,
    5.0,
    3e6,
)  # of figures, tables, component: the demo's


def write_report(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Evaluations are read and resampled again, for what figures claim."""
    rows = sum(
        scale.texts.selected[task] * len(scale.methods[method].evaluate_at)
        for _, method, task in scale.cells
    )
    counts = COUNT * scale.score.resamples * max(scale.texts.selected.values())
    seconds = START + PAGE_SECONDS + rows / ROWS_A_SECOND
    seconds += len(scale.cells) * counts / DRAWS_A_SECOND
    memory = PYTHON + PAGE_MEMORY + ROW_BYTES * rows + 2 * counts
    return Need(memory, seconds, PAGE_DISK, "rows")


FORMULAS: dict[str, Formula] = {"write_report": write_report}
"""By rule."""
