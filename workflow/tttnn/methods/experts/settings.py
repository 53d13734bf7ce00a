"""Settings of merging experts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from tttnn.sections.method import Method, Work

STEP_PASSES = 3  # a training step: forward, and backward worth two


class Merging(Method):
    """Test-time model merging (arXiv 2505.14136): the experts nearest to a document, merged.

    The row of 0 is the model as it was. Without `then`, that of k is the merge of the k nearest
    experts, so that `evaluate_at` counts experts; with it, `evaluate_at` counts neighbours that the
    merge of the `most` nearest experts was trained on.
    """

    kind: Literal["experts"]
    experts: str  # an entry of `experts`
    # split: only the second half is evaluated, and the first finds experts
    text: Literal["document", "split"] = "document"
    most: int = Field(default=50, gt=0)  # experts merged, those of most weight
    # the softmax's temperature; smaller: the nearest counts more
    beta: float = Field(default=0.2, gt=0)
    tau: float = Field(default=0.01, ge=0, lt=1)  # experts of at most this share are left out
    then: str | None = None  # a method of kind ttt, by which the merge is trained on neighbours

    @model_validator(mode="after")
    def _merges_what_it_evaluates(self) -> Merging:
        if self.then is None and self.evaluate_at[-1] > self.most:
            raise ValueError(
                f"evaluate_at asks for {self.evaluate_at[-1]} experts, which it counts without "
                f"then, and at most {self.most} are merged: raise most or shorten evaluate_at"
            )
        return self

    @property
    def evaluates_halves(self) -> bool:
        return self.text == "split"

    @property
    def uses_neighbors(self) -> bool:
        return self.then is not None

    @property
    def trains(self) -> bool:
        return self.then is not None

    @property
    def asks_for_learning_rate(self) -> bool:
        return False  # it is that of `then`

    def work(self, text: int, context: int, neighbors: Sequence[int]) -> Work:
        read = super().work(text, context, neighbors).read
        return Work(read + STEP_PASSES * sum(neighbors), len(neighbors))
