"""Searching the indexes, and the control that does not."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tttnn.sections.base import Names, Section

RANDOM = "random"
"""The name of the control that draws neighbours at random instead of searching."""


class Search(Section):
    """One batch pass of all queries over the index."""

    indexes: Names  # of the catalogue: which to build
    candidates: int = Field(default=200, gt=0)  # K, kept for each query
    recall_queries: int = Field(default=1000, gt=0)  # checked against exact search
    # the k of recall@k
    recall_at: list[Annotated[int, Field(gt=0)]] = Field(default=[1, 10, 100], min_length=1)
