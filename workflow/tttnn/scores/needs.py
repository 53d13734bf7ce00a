"""What it takes to score a run's evaluations."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.needs.need import Need
from tttnn.needs.rates import PARQUET, PYTHON, START
from tttnn.needs.scale import Formula, Scale

ROW_BYTES, ROW_DISK = 500, 300  # of an evaluation in pandas, and as text: assumed
ROWS_A_SECOND = 1e4  # read and joined: assumed
DRAWS_A_SECOND = 1e9  # bytes of the bootstrap's counts: assumed
COUNT = 8  # bytes of how often a document is in a resample


def score(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    rows = sum(
        scale.texts.selected[task] * len(scale.methods[method].evaluate_at)
        for _, method, task in scale.cells
    )
    counts = COUNT * scale.score.resamples * max(scale.texts.selected.values())
    seconds = START + rows / ROWS_A_SECOND + len(scale.cells) * counts / DRAWS_A_SECOND
    return Need(PYTHON + ROW_BYTES * rows + 2 * counts, seconds, ROW_DISK * rows / PARQUET, "rows")


def score_windows(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As `score`, of each window."""
    need = score(scale, wildcards)
    most = max(scale.evaluated_windows(task) for task in scale.texts.selected)
    memory = PYTHON + (need.memory - PYTHON) * most
    return need._replace(memory=memory, seconds=need.seconds * most)


FORMULAS: dict[str, Formula] = {"score": score, "score_windows": score_windows}
"""By rule."""
