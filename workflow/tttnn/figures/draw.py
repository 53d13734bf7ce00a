"""The stage that draws a figure by its name."""

from __future__ import annotations

import importlib
from pathlib import Path

from matplotlib import rc_context

from tttnn.figures import style
from tttnn.sections.base import Section


class FigureSpec(Section):
    """A figure's name, and the module of `tttnn.figures` that has the function of that name."""

    name: str
    module: str


def draw_figure(spec: FigureSpec, tables: Path, svg: Path, pdf: Path) -> None:
    """Draw a figure from the folder `tables`; the same tables give the same bytes.

    The first method of the tables is the one that is shown; figures that compare methods say which
    they need. `distances` and `distance_by_rank` read the tables of `tttnn.retrieval.distances`,
    the others those of `tttnn.scores.score`.

    Raises `ValueError` for a figure that there is not, or that these tables cannot fill.
    """
    # by name, so that the fingerprint covers this figure and no other
    draw = getattr(importlib.import_module(f"tttnn.figures.{spec.module}"), spec.name, None)
    if draw is None:
        raise ValueError(f"no figure is called {spec.name!r} in tttnn.figures.{spec.module}")
    with rc_context(style.RC):
        style.save(draw(tables), svg, pdf)
