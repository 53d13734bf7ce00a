"""How long a document may take."""

from __future__ import annotations

from pydantic import Field

from tttnn.sections.base import Section


class Budget(Section):
    """Seconds a document, and the rates by which its neighbours are chosen to fit into them.

    Never a clock, or no result could be had twice: what fits follows from the lengths of texts, the
    model's shape and these rates. What is null is as `tttnn plan` has it (`tttnn.needs.rates`).
    """

    seconds: float = Field(gt=0)  # of selection, training and evaluation
    flops: float | None = Field(default=None, gt=0)  # floating-point operations a second
    step_seconds: float | None = Field(default=None, ge=0)  # more for each step, however small
    selection_seconds: float | None = Field(default=None, ge=0)  # to choose the neighbours
