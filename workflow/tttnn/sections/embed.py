"""How a text becomes a vector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tttnn.sections.base import Section


class Embed(Section):
    """How a text becomes a vector (paper section 3: mean of the last hidden state)."""

    max_tokens: int = Field(default=512, gt=2)
    batch_tokens: int = Field(default=16384, gt=0)  # padded tokens in a batch
    precision: Literal["float32", "bfloat16"] = "float32"  # of the forward pass
    dtype: Literal["float32", "float16"] = "float32"  # of the stored vectors
