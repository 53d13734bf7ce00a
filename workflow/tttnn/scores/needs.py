"""What it takes to score a run's evaluations."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.needs.need import Need
from tttnn.needs.rates import PANDAS, PARQUET, PYTHON, START
from tttnn.needs.scale import Formula, Scale

ROW_BYTES, ROW_DISK = 500, 300  # of an evaluation in pandas, and as text: assumed
ROWS_A_SECOND = 1e4  # read and joined: assumed
DRAWS_A_SECOND = 1e9  # bytes of the bootstrap's counts: assumed
POINTS, VALIDATED = 100, 100  # of a grid; documents, where a fraction is selected: assumed
FILE_SECONDS = 0.01  # to open a table: assumed
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


def choose_settings(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Of some hundred points of a grid: assumed."""
    method = scale.methods[wildcards["method"]]
    documents = len(scale.texts.selected) * (scale.validation.count or VALIDATED)
    rows = POINTS * documents * len(method.evaluate_at)
    samples = COUNT * scale.score.resamples * POINTS * len(method.evaluate_at)
    seconds = START + rows / ROWS_A_SECOND + POINTS * FILE_SECONDS * len(scale.texts.selected)
    return Need(PYTHON + ROW_BYTES * rows + 2 * samples, seconds, ROW_DISK * POINTS, "rows")


def list_choices(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return Need(PYTHON + PANDAS, START, ROW_DISK * POINTS, "records")


def list_hours(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return Need(PYTHON + PANDAS, START, ROW_DISK * len(scale.texts.selected), "a row a task")


FORMULAS: dict[str, Formula] = {
    "score": score,
    "score_windows": score_windows,
    "choose_settings": choose_settings,
    "list_choices": list_choices,
    "list_hours": list_hours,
}
"""By rule."""
