"""How the corpus becomes passages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tttnn.sections.base import Section


class Chunk(Section):
    """Passages: what is embedded, indexed and trained on."""

    chunks_per_shard: int = Field(gt=0, le=2**16)
    unit: Literal["document", "window"] = "document"
    tokenizer: str | None = None  # `unit: window`: the model whose tokens are counted
    window_tokens: int = Field(default=510, gt=1)
    stride_tokens: int = Field(default=510, gt=0)  # from one window's start to the next one's

    @model_validator(mode="after")
    def _stride_leaves_no_gap(self) -> Chunk:
        if self.stride_tokens > self.window_tokens:
            raise ValueError(
                f"stride_tokens ({self.stride_tokens}) is above window_tokens "
                f"({self.window_tokens}): text between two windows would never be indexed"
            )
        return self
