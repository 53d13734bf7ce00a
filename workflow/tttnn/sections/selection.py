"""What every way to choose training texts from an index's candidates has."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from tttnn.sections.base import Section


class Selection(Section):
    """Which of a query's candidates are trained on, and in which order.

    `kind` names the module of `tttnn.retrieval.selections`. That module has a function
    `choose(spec, ranks, candidates, query)`: of one query's K candidates, given as their ranks
    (K,) and unit vectors (K, d) in order of passage id, and the query's unit vector (d,), the
    places of those to train on, in that order.
    """

    kind: str
    index: str  # of the catalogue: whose candidates
    # Take the passages' mean off every vector first. Texts' vectors share most of their length with
    # it; what tells texts apart is the rest (Mu and Viswanath 2018, arXiv 1702.01417).
    center: bool = False
    picks: int = Field(gt=0)  # N; kinds that choose want some four times as many candidates
    # stop, and kinds that say so: variance of what one text tells, against the query's own variance
    # of 1. Tune it on validation text.
    noise: float = Field(default=0.1, gt=0)
    # alpha; null: all N. After n texts the standard deviation of what is unknown about the query
    # may be 1 / (alpha n): larger stops sooner (arXiv 2410.08020 tries 0.15 to 0.5). Up to 1, the
    # first text is always kept.
    stop: float | None = Field(default=None, gt=0, le=1)
    # prefix: nothing from the first n on that exceeds it; filter: without every such n
    stop_form: Literal["prefix", "filter"] = "prefix"

    BY_VECTORS: ClassVar[bool] = True
    """Whether it chooses by vectors; otherwise `candidates` and `query` may be None."""

    @model_validator(mode="after")
    def _stops_in_some_form(self) -> Selection:
        if self.stop is None and self.stop_form != "prefix":
            raise ValueError(f"stop_form: {self.stop_form} without stop: set stop, e.g. 0.3")
        return self
