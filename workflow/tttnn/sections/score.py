"""How evaluations are scored."""

from __future__ import annotations

from pydantic import Field

from tttnn.sections.base import Section


class Score(Section):
    """Intervals: paired bootstrap over documents. And which documents count as clean."""

    resamples: int = Field(default=1000, gt=0)  # of the bootstrap over documents
    confidence: float = Field(default=0.95, gt=0, lt=1)  # of the intervals
    seed: int = 1216  # of the bootstrap
    # a document is clean while no neighbour is its copy, holds this share of its word n-grams, or
    # has this Jaccard similarity with it
    clean_below: float = Field(default=0.5, gt=0, le=1)
    clean_jaccard_below: float = Field(default=0.5, gt=0, le=1)
