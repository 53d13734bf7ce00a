"""Which test documents are evaluated."""

from __future__ import annotations

from pydantic import Field, model_validator

from tttnn.sections.base import Section


class Select(Section):
    """Which test documents of each task are evaluated: a fraction (the paper's) or a count."""

    fraction: float | None = Field(default=None, gt=0, le=1)  # of each task's documents, or ...
    count: int | None = Field(default=None, gt=0)  # ... a number of them
    seed: int = Field(default=1216, ge=0)  # of the draw, which is nested: more keep those that were

    @model_validator(mode="after")
    def _one_of_both(self) -> Select:
        if (self.fraction is None) == (self.count is None):
            raise ValueError("give either fraction or count, and set the other to null")
        return self
