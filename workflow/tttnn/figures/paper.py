"""The paper's own figures from its published numbers, by the functions that draw a run's."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from matplotlib import rc_context

from tttnn.figures import style
from tttnn.figures.costs import cost
from tttnn.figures.curves import SHOWN, curves, models
from tttnn.figures.gains import before_after
from tttnn.figures.tables import View, largest
from tttnn.pile import ALL, TASKS
from tttnn.published.names import MAIN, MODELS, SPLIT

NOTE = " Numbers as published by Hardt & Sun (arXiv:2305.18466)."
BOXES = (
    "Boxes: quartiles and median over the 50 neighbours, of the mean over documents; lines: 5th to "
    "95th percentile. One A100; seconds include an evaluation of the document for each neighbour."
)
TOP = tuple(largest(list(TASKS), SHOWN))


def _view(*models: str, tasks: tuple[str, ...] = (), method: str = MAIN) -> View:
    return View(models, tasks, method, NOTE, clean=False)


GPT2, LARGE, NEO = MODELS

FIGURES = {
    "figure_02": partial(models, view=_view(tasks=(ALL, "pile_github", "pile_pile-cc"))),
    "figure_05": partial(before_after, view=_view(GPT2)),
    "figure_06_bits_per_byte": partial(curves, view=_view(GPT2)),
    "figure_06_byte_perplexity": partial(curves, view=_view(GPT2), metric="byte_perplexity"),
    "figure_06_word_perplexity": partial(curves, view=_view(GPT2), metric="word_perplexity"),
    "figure_07_bars": partial(before_after, view=_view(LARGE, tasks=TOP)),
    "figure_07_curves": partial(curves, view=_view(LARGE)),
    "figure_08_bars": partial(before_after, view=_view(NEO, tasks=TOP)),
    "figure_08_curves": partial(curves, view=_view(NEO)),
    "figure_09": partial(cost, view=_view(GPT2), boxes=BOXES),
    "figure_10": partial(before_after, view=_view(GPT2, method=SPLIT)),
    "figure_11": partial(before_after, view=_view(LARGE)),
    "figure_12": partial(before_after, view=_view(NEO)),
    "figure_14": partial(cost, view=_view(*MODELS), boxes=BOXES),
}


def paper_figures(tables: Path, figures: Path) -> None:
    """Draw every figure from the folder that `tttnn.published.tables` filled, as SVG and PDF."""
    with rc_context(style.RC):
        for name, draw in FIGURES.items():
            style.save(draw(tables), figures / f"{name}.svg", figures / f"{name}.pdf")
