"""What it takes to draw figures."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.needs.need import Need
from tttnn.needs.rates import MB, PYTHON
from tttnn.needs.scale import Formula, Scale

DRAWING = 1.4  # Python with matplotlib and pandas, by Python: the demo's benchmarks
FIGURE_SECONDS, FIGURE_DISK = 1.8, 1e5  # of a figure's two files: the demo's benchmarks
PAPER_MEMORY, PAPER_SECONDS, PAPER_DISK = 200 * MB, 9.0, 3e6  # measured


def draw_figure(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return Need(DRAWING * PYTHON, FIGURE_SECONDS, FIGURE_DISK, "the demo's benchmarks")


def paper_figures(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return Need(PAPER_MEMORY, PAPER_SECONDS, PAPER_DISK, "measured: the same for every run")


FORMULAS: dict[str, Formula] = {
    "draw_figure": draw_figure,
    "draw_side_by_side": draw_figure,
    "paper_figures": paper_figures,
}
"""By rule."""
