"""Settings of test-time training that stops early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from tttnn.methods.ttt.settings import Recipe
from tttnn.sections.method import Work


class Stopping(Recipe):
    """Test-time training on neighbours that ends when the document's first half tells it to."""

    kind: Literal["ttt_stopping"]  # type: ignore[assignment]  # of another kind
    # neighbours in a row after which the first half is no likelier than at its best before
    patience: int = Field(default=3, ge=1)

    @model_validator(mode="after")
    def _has_a_half_to_stop_on(self) -> Stopping:
        if self.text != "split":
            raise ValueError(
                "kind ttt_stopping stops by the first half of a document: set text: split"
            )
        if self.train_on != "neighbors":
            raise ValueError(
                f"train_on: {self.train_on} trains on the first half, which then says nothing of "
                "when to stop: set train_on: neighbors"
            )
        if self.depends_on_order is not None:
            raise ValueError(
                f"{self.depends_on_order} carries weights from document to document, beyond those "
                "that a document is measured with: set it to false"
            )
        return self

    def work(self, text: int, context: int, neighbors: Sequence[int]) -> Work:
        work = super().work(text, context, neighbors)
        looks = (1 + len(neighbors)) * self.read(context)
        return work._replace(read=work.read + looks)
