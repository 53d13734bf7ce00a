"""Settings of kNN-LM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from tttnn.sections.method import Work
from tttnn.sections.mixture import Mixture


class KnnLm(Mixture):
    """Predictions of the neighbours' tokens in like contexts (Khandelwal et al. 2020)."""

    kind: Literal["knn_lm"]
    nearest: int = Field(default=1024, gt=0)  # tokens of the neighbours that vote
    temperature: float = Field(default=1.0, gt=0)  # of the softmax over negative distances

    def work(self, text: int, context: int, neighbors: Sequence[int]) -> Work:
        return Work(2 * self.read(text) + sum(neighbors), 0)  # for predictions, and for states
