"""The catalogue of selections: ways to choose training texts from an index's candidates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tttnn.config.base import Section


class Selection(Section):
    """Which of a query's candidates are trained on, and in which order.

    The nearest candidates often say the same thing. `sift` (Hübotter et al. 2025, arXiv
    2410.08020) picks next what tells most about the query beyond what was picked; `hull` (Khamis
    and Maalouf 2026, arXiv 2605.30337) what a mixture resembling the query is made of. Both see
    vectors of unit length, whatever distance found the candidates. `farthest` is the paper's
    control for the order (section 4); `nearest` is the index's own order, of use with `stop`.
    """

    kind: Literal["nearest", "farthest", "sift", "hull"]
    index: str  # of the catalogue: whose candidates
    # Take the passages' mean off every vector first. Texts' vectors share most of their length with
    # it; what tells texts apart is the rest (Mu and Viswanath 2018, arXiv 1702.01417).
    center: bool = False
    picks: int = Field(gt=0)  # N; sift and hull want some four times as many candidates
    # sift and stop: variance of what one text tells, against the query's own variance of 1. Large:
    # the best text again and again; small: hardly ever the same twice. Tune it on validation text.
    noise: float = Field(default=0.1, gt=0)
    replacement: bool = True  # sift: a passage may be picked several times
    iterations: int = Field(default=200, gt=0)  # hull: Frank-Wolfe steps, at most
    # alpha; null: all N. After n texts the standard deviation of what is unknown about the query
    # may be 1 / (alpha n): larger stops sooner (arXiv 2410.08020 tries 0.15 to 0.5). Up to 1, the
    # first text is always kept.
    stop: float | None = Field(default=None, gt=0, le=1)
    # prefix: nothing from the first n on that exceeds it; filter: without every such n
    stop_form: Literal["prefix", "filter"] = "prefix"

    @model_validator(mode="after")
    def _says_what_has_an_effect(self) -> Selection:
        if not self.replacement and self.kind != "sift":
            raise ValueError(
                f"replacement: false is for kind: sift; {self.kind} "
                + ("repeats passages by weight" if self.kind == "hull" else "repeats none anyway")
                + ": leave replacement out"
            )
        if self.stop is None and self.stop_form != "prefix":
            raise ValueError(f"stop_form: {self.stop_form} without stop: set stop, e.g. 0.3")
        return self
