"""What methods have whose neighbours' predictions are mixed into the model's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from tttnn.sections.method import Method

Share = Annotated[float, Field(ge=0, lt=1)]


class Mixture(Method):
    """The neighbours' predictions mixed with the model's, with every share alpha of a grid."""

    alphas: list[Share] = Field(min_length=1)  # the grid; the best on validation documents is used

    @model_validator(mode="after")
    def _measures_a_share_once(self) -> Mixture:
        if self.alphas != sorted(set(self.alphas)):
            raise ValueError(f"alphas must ascend without repeats, got {self.alphas}")
        return self

    @property
    def chooses_on_test(self) -> bool:
        """Whether alpha is the best for the test documents, not for those of validation."""
        return False
