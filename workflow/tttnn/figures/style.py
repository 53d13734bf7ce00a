"""One visual language: a colour is a model, a line style a method, hollow is before training.

Sizes are those in print: figures are made at a page's or a column's width and not scaled.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import re
import textwrap
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from matplotlib.typing import RcKeyType

from tttnn.files import replacing

PAGE, COLUMN = 6.75, 3.3
"""Widths in inches."""

NAME_LINE = 26
"""Characters of a name in a line."""

# the first three are of Okabe & Ito's palette (jfly.uni-koeln.de/color, 2008); the first seven are
# well apart for all kinds of colour vision, the others are for names that nobody foresaw. Black is
# nobody's: it stands for all models
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#882255",
    "#80B1D3",
    "#332288",
    "#B15928",
    "#CC79A7",
    "#7F3C8D",
    "#999933",
    "#005F3C",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
SHADE = 0.6
"""More models than colours: each further round is darker by this."""

KNOWN = {
    # the demo's
    "small": 0,
    "large": 1,
    "neo": 2,
    "medium": 8,
    # the paper's
    "gpt2": 3,
    "gpt2-large": 4,
    "gpt-neo-1.3B": 5,
    # those of the other shipped configurations
    "smollm2-135m": 6,
    "gpt2-xl": 7,
    "qwen2.5-0.5b": 7,
    "qwen2.5-1.5b": 8,
    "r1-distill-qwen-1.5b": 8,
    "llama-3.2-1b": 9,
    "llama-3.2-3b": 10,
    "phi-3-mini": 11,
}
"""Places in `COLOURS` of usual names."""

LINES = ("-", "--", ":", "-.")
GREY = "#666666"
SMALL = 6.5
"""Points: numbers inside a plot."""

NOTE = 7.5
"""Points: the note below a figure."""

LINE = NOTE * 1.3 / 72
"""Inches: a line of a note."""

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


class Look(NamedTuple):
    """How a model, or whatever else has a name, is drawn."""

    colour: str
    marker: str  # where panels are shared
    line: str = ""  # of what is told apart by lines, or else its method's


def looks(names: Collection[str]) -> dict[str, Look]:
    """Each name's look, which is its own: the same in all runs, wherever it is in their lists.

    Usual names have places in the palette (`KNOWN`), others one by their checksum. Where two names
    of one run would share a place, the usual one keeps it, or the first of the alphabet; the other
    takes the next free place, so that no two look alike. The order of `names` does not matter, but
    they have to be all names of the run.
    """
    taken: dict[int, str] = {}
    for name in sorted(set(names), key=lambda name: (name not in KNOWN, name)):
        wanted = KNOWN.get(name, zlib.crc32(name.encode()) % len(COLOURS))
        turns = (divmod(step, len(COLOURS)) for step in itertools.count())
        places = ((wanted + step) % len(COLOURS) + round_ * len(COLOURS) for round_, step in turns)
        taken[next(place for place in places if place not in taken)] = name
    by_name = {name: _look(place) for place, name in taken.items()}
    return {name: by_name[name] for name in names}


def _look(place: int) -> Look:
    darker, hue = divmod(place, len(COLOURS))
    red, green, blue = to_rgb(COLOURS[hue])
    shade = SHADE**darker
    return Look(to_hex((shade * red, shade * green, shade * blue)), MARKERS[place % len(MARKERS)])


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


def _wrapped(text: str, width: float) -> list[str]:
    """A note in lines of at most `width` points, as its own letters measure."""
    font = FT2Font(findfont(RC["font.sans-serif"][0]))  # its own: that of others keeps its size
    font.set_size(NOTE, 72)

    def length(words: list[str]) -> float:
        font.set_text(" ".join(words), 0)
        return float(font.get_width_height()[0]) / 64  # of 26.6 fixed point

    lines: list[list[str]] = [[]]
    for word in text.split():
        if lines[-1] and length([*lines[-1], word]) > width:
            lines.append([])
        lines[-1].append(word)
    return [" ".join(words) for words in lines]


def write_note(figure: Figure, text: str) -> None:
    """A note below the figure, wrapped to its width; the figure grows for all but a line of it."""
    width, height = figure.get_size_inches()
    lines = _wrapped(text, 72 * 0.95 * width)
    height += (len(lines) - 1) * LINE
    figure.set_size_inches(width, height)
    room = (len(lines) * LINE + 4 / 72) / height
    figure.set_layout_engine("constrained", rect=(0, room, 1, 1 - room))
    # above the edge by the pad that the layout has on its other sides
    figure.text(0.01, 0.04 / height, "\n".join(lines), fontsize=NOTE, color=GREY, va="bottom")


def legend_above(figure: Figure, handles: list) -> None:
    """A legend over the whole width, in as many columns as have room.

    The figure grows for all but a row of it.
    """
    inches, height = figure.get_size_inches()
    labels = [7.5 * (6 + 0.58 * len(handle.get_label())) for handle in handles]  # points, about

    def width(columns: int) -> float:
        rows = -(-len(labels) // columns)  # a column is filled before the next
        return sum(max(labels[k : k + rows]) for k in range(0, len(labels), rows))

    fitting = [n for n in range(len(labels), 0, -1) if width(n) < 72 * inches]
    columns = next(iter(fitting), 1)
    rows = -(-len(labels) // columns)
    figure.set_size_inches(inches, height + (rows - 1) * 0.16)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def broken(name: str) -> str:
    """A name in lines of at most `NAME_LINE` characters, so that it fits a panel or a legend."""
    return textwrap.fill(name, NAME_LINE)


def line_handle(label: str, **style: Any) -> Line2D:
    """A legend's entry for lines or markers that stand for more than one artist."""
    return Line2D([], [], label=label, **style)


def plain_log_ticks(axis: Axis) -> None:
    """Ticks of a logarithmic axis as plain numbers, few enough to stand apart."""
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low)
    steps = (1, 2, 3, 5, 7) if decades < 0.8 else (1, 2, 5) if decades < 2.5 else (1,)
    axis.set_major_locator(LogLocator(subs=steps, numticks=99))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def keep_span(axes: Axes, share: float) -> None:
    """Widen a panel's vertical axis to this share of its highest value at least.

    A change of a thousandth would else look as large as one of a half.
    """
    low, high = axes.get_ylim()
    missing = share * high - (high - low)
    if missing > 0:
        axes.set_ylim(low - missing / 2, high + missing / 2)


def _with_own_ids(drawing: bytes) -> bytes:
    """A drawing whose ids and styles are its own, by its digest, so that a page can hold many."""
    prefix = b"f" + hashlib.sha256(drawing).hexdigest()[:10].encode()
    drawing = re.sub(rb'(\bid="|href="#|url\(#)', rb"\1" + prefix + b"-", drawing)
    return drawing.replace(b"*{stroke", b"#" + prefix + b"-figure_1 *{stroke")


def _settle(figure: Figure) -> None:
    """Lay a figure out and keep its panels where they are, rounded.

    Last bits of the layout's solver depend on where its variables lie in memory.
    """
    figure.savefig(io.BytesIO(), format="svg")  # letters are as wide as in the file
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position(original=True).bounds, 6))


def save(figure: Figure, svg: Path, pdf: Path) -> None:
    """Write both formats without a date: the same tables give the same bytes."""
    with rc_context(RC):
        _settle(figure)
        with replacing(svg) as beside:
            figure.savefig(beside, metadata={"Date": None})
            beside.write_bytes(_with_own_ids(beside.read_bytes()))
        with replacing(pdf) as beside:
            figure.savefig(beside, metadata={"CreationDate": None})
