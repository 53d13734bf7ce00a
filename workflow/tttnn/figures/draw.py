"""The stage that draws a figure by its name."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context

from tttnn.config.base import nearest
from tttnn.figures import style
from tttnn.figures.costs import cost, recall
from tttnn.figures.curves import curves, models
from tttnn.figures.distances import distance_by_rank, distances
from tttnn.figures.gains import before_after, clean, control
from tttnn.figures.methods import methods
from tttnn.figures.overlap import overlap
from tttnn.figures.pareto import pareto

FIGURES = {
    "before_after": before_after,
    "curves": curves,
    "models": models,
    "control": control,
    "clean": clean,
    "overlap": overlap,
    "methods": methods,
    "pareto": pareto,
    "cost": cost,
    "recall": recall,
    "distances": distances,
    "distance_by_rank": distance_by_rank,
}


def draw_figure(name: str, tables: Path, svg: Path, pdf: Path) -> None:
    """Draw `name` from the folder `tables`; the same tables give the same bytes.

    The first method of the tables is the one that is shown; figures that compare methods say which
    they need. `distances` and `distance_by_rank` read the tables of `tttnn.distances`, the others
    those of `tttnn.score`.

    Raises `ValueError` for a figure that there is not, or that these tables cannot fill.
    """
    if name not in FIGURES:
        raise ValueError(f"no figure is called {name!r}.{nearest(name, FIGURES)}")
    with rc_context(style.RC):
        figure = FIGURES[name](tables)
        style.save(figure, svg, pdf)
