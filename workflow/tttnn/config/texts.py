"""How the corpus becomes passages and test documents."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tttnn.config.base import Section


class Chunk(Section):
    """Passages: what is embedded, indexed and trained on."""

    chunks_per_shard: int = Field(gt=0)
    unit: Literal["document", "window"] = "document"
    tokenizer: str | None = None  # `unit: window`: the model whose tokens are counted
    window_tokens: int = Field(default=510, gt=1)
    stride_tokens: int = Field(default=510, gt=0)

    @model_validator(mode="after")
    def _stride_leaves_no_gap(self) -> Chunk:
        if self.stride_tokens > self.window_tokens:
            raise ValueError(
                f"stride_tokens ({self.stride_tokens}) is above window_tokens "
                f"({self.window_tokens}): text between two windows would never be indexed"
            )
        return self


class Select(Section):
    """Which test documents of each task are evaluated: a fraction (the paper's) or a count."""

    fraction: float | None = Field(default=None, gt=0, le=1)
    count: int | None = Field(default=None, gt=0)
    seed: int = Field(default=1216, ge=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> Select:
        if (self.fraction is None) == (self.count is None):
            raise ValueError("give either fraction or count, and set the other to null")
        return self


class Split(Section):
    """Halves of documents, for methods with `text: split` (paper section 5)."""

    tokenizer: str  # the model in whose tokens halves are counted
    tokens: int = Field(default=1024, gt=0)  # a long document's first part has at most so many
