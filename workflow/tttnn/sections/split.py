"""How documents are halved."""

from __future__ import annotations

from pydantic import Field

from tttnn.sections.base import Section


class Split(Section):
    """Halves of documents, for methods with `text: split` (paper section 5)."""

    tokenizer: str  # the model in whose tokens halves are counted
    tokens: int = Field(default=1024, gt=0)  # a long document's first part has at most so many
