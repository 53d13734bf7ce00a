"""How an embedder's token vectors become one, where its own files are not to say."""

from __future__ import annotations

from typing import Any, Literal

from tttnn.sections.model import Model

Pooling = Literal["mean", "cls", "max", "last"]


class Representing(Model):
    """A model that is fetched; what is null is as its files say, else as in the paper."""

    pooling: Pooling | None = None
    normalize: bool | None = None  # vectors are scaled to length 1
    prompt: str | None = None  # before each text, queries and passages alike

    def given(self) -> dict[str, Any]:
        """What is not null."""
        names = ("pooling", "normalize", "prompt")
        return {name: value for name in names if (value := getattr(self, name)) is not None}
