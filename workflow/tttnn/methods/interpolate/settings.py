"""Settings of interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tttnn.sections.method import Work
from tttnn.sections.mixture import Mixture


class Interpolate(Mixture):
    """The neighbours' unigrams mixed into the model's predictions (paper section 5)."""

    kind: Literal["interpolate"]
    as_released: bool = False  # true: alpha is the best of each task on the test documents

    @property
    def chooses_on_test(self) -> bool:
        return self.as_released

    def work(self, text: int, context: int, neighbors: Sequence[int]) -> Work:
        return Work(self.read(text), 0)  # once: neighbours are counted, not read by the model
