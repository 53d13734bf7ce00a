"""The figures, and which of them a run can fill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tttnn.config.index import RANDOM

if TYPE_CHECKING:
    from tttnn.config.root import Config

FIGURES = (
    *("before_after", "curves", "models", "control", "clean", "overlap", "methods", "pareto"),
    *("cost", "recall", "distances", "distance_by_rank"),
)
"""Those of `tttnn.figures.draw`, which takes long to import."""


def drawn(config: Config) -> list[str]:
    """The figures of a run; of `all`, those that compare something need two of it."""
    if config.figures != "all":
        return list(config.figures)
    main = config.evaluated[0]
    alike = [name for name in config.evaluated if config.queries(name) == config.queries(main)]
    fills = {
        "models": len(config.scope(main)[0]) > 1,
        "control": config.draws_random and config.methods[main].candidates != RANDOM,
        "methods": len(alike) > 1,
        "pareto": len(alike) > 1,
    }
    return [name for name in FIGURES if fills.get(name, True)]
