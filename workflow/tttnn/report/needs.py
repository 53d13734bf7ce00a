"""What it takes to write a run's report."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.needs.need import Need
from tttnn.needs.rates import MB
from tttnn.needs.scale import Formula, Scale
from tttnn.scores.needs import score

PAGE = 100 * MB  # of memory, of the page and what it is made of: assumed
DISK = 3e6  # the demo's: the component, figures, rows of tables


def write_report(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As `score`, whose evaluations are read and resampled again for what figures claim."""
    need = score(scale, wildcards)
    return need._replace(memory=need.memory + PAGE, disk=DISK)


FORMULAS: dict[str, Formula] = {"write_report": write_report}
"""By rule."""
