"""The stage that draws a figure by its name."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context

from tttnn.config.base import nearest
from tttnn.figures import style
from tttnn.figures.costs import cost, recall
from tttnn.figures.curves import curves, models
from tttnn.figures.gains import before_after, clean, control

FIGURES = {
    "before_after": before_after,
    "curves": curves,
    "models": models,
    "control": control,
    "clean": clean,
    "cost": cost,
    "recall": recall,
}


def draw_figure(name: str, tables: Path, svg: Path, pdf: Path) -> None:
    """Draw `name` from the folder `tables`; the same tables give the same bytes.

    The first method of the tables is the one that is shown; figures that compare methods say which
    they need. `recall` reads the tables of `tables/recall`, one for each index.

    Raises `ValueError` for a figure that there is not, or that these tables cannot fill.
    """
    if name not in FIGURES:
        raise ValueError(f"no figure is called {name!r}.{nearest(name, FIGURES)}")
    with rc_context(style.RC):
        figure = FIGURES[name](tables)
        style.save(figure, svg, pdf)
