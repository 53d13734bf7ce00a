"""One visual language: a colour is a model, a line style is a method, hollow is before training.

Sizes are those in print: figures are made at a page's or a column's width and not scaled.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import RcKeyType

from tttnn.files import replacing

PAGE, COLUMN = 6.75, 3.3
"""Widths in inches."""

# Okabe & Ito's palette for all kinds of colour vision (jfly.uni-koeln.de/color, 2008), without its
# yellow, which is too pale for a line
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")
GREY = "#666666"
SMALL = 6.5
"""Points: numbers inside a plot, and notes."""

RC: dict[RcKeyType, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.6,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    # text stays text, so that it can be searched and edited
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    # the same ids in every run: a redrawn figure is the same file
    "svg.hashsalt": "tttnn",
}


def colour(number: int) -> str:
    """Colour of the model with this number."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """Marker of the model with this number, where panels are shared."""
    return MARKERS[number % len(MARKERS)]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    return Figure(figsize=(width, height), layout="constrained")


def name_rows(axes: Axes, labels: list[str]) -> None:
    """Rows from the top down, a label each; thin lines lead the eye from the label."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)


def write_note(figure: Figure, text: str) -> None:
    """A note below the figure, wrapped to its width, with room made for it."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(text, width=int(width * 21))
    room = (len(lines) * SMALL * 1.3 + 4) / 72 / height
    figure.set_layout_engine("constrained", rect=(0, room, 1, 1 - room))
    # above the edge by the pad that the layout has on its other sides
    figure.text(0.01, 0.04 / height, "\n".join(lines), fontsize=SMALL, color=GREY, va="bottom")


def legend_above(figure: Figure, handles: list, columns: int | None = None) -> None:
    """A legend over the whole width."""
    figure.legend(handles=handles, loc="outside upper center", ncols=columns or len(handles))


def line_handle(label: str, **style: Any) -> Line2D:
    """A legend's entry for lines or markers that stand for more than one artist."""
    return Line2D([], [], label=label, **style)


def save(figure: Figure, svg: Path, pdf: Path) -> None:
    """Write both formats without a date: the same tables give the same bytes."""
    with rc_context(RC):
        with replacing(svg) as beside:
            figure.savefig(beside, metadata={"Date": None})
        with replacing(pdf) as beside:
            figure.savefig(beside, metadata={"CreationDate": None})
