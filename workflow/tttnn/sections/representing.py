"""How a fetched embedder represents texts, where its own files are not to say."""

from __future__ import annotations

from typing import Any, Literal

from tttnn.sections.model import Model
from tttnn.sections.pooling import Pooling


class Representing(Model):
    """A model that is fetched; what is null is as its files say, else as in the paper."""

    pooling: Pooling | None = None  # of token vectors
    normalize: bool | None = None  # vectors are scaled to length 1
    prompt: str | Literal[False] | None = None  # before each text; false: none, whatever they say

    def given(self) -> dict[str, Any]:
        """What is not null."""
        told: dict[str, Any] = {"pooling": self.pooling, "normalize": self.normalize}
        told["prompt"] = "" if self.prompt is False else self.prompt
        return {name: value for name, value in told.items() if value is not None}
