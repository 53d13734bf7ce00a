"""Which candidates get their texts."""

from __future__ import annotations

from pydantic import Field

from tttnn.sections.base import Section


class Gather(Section):
    """How many of a query's candidates get their texts fetched."""

    depth: int = Field(default=50, gt=0)
    ngram: int = Field(default=13, gt=0)  # words; for `overlap`, the share of a query's
    shingle: int = Field(default=5, gt=0)  # words; for `jaccard`, shared over all
