"""How long a document's texts are, and what it therefore costs."""

from __future__ import annotations

from typing import NamedTuple

from tttnn.sections.method import Method

STEP_BYTES = 768
"""Bytes that are read in the time that an optimiser's pass over the weights takes: assumed."""


class Lengths(NamedTuple):
    """Bytes of a document's evaluated text, of the text before it, and of the neighbours used."""

    text: int
    context: int
    neighbors: list[int]

    def cost(self, recipe: Method) -> int:
        """What it costs to evaluate the document, in bytes that the model reads forward."""
        work = recipe.work(self.text, self.context, self.neighbors)
        return max(1, work.read + STEP_BYTES * work.steps)
