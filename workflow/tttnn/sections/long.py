"""How long documents are cut into windows."""

from __future__ import annotations

from pydantic import Field

from tttnn.sections.base import Section

QUERIES = ("target", "past")
"""Sets of queries, a text a window: the window itself, or the end of the text before it."""

NUMBERS = 2**20
"""Windows that a document may have: their ids are `document << 20 | window`."""


class Long(Section):
    """Windows of documents, for methods of `kind: windows`: the same for all models."""

    tokenizer: str  # the model in whose tokens windows are counted
    tokens: int = Field(default=256, gt=0)  # of a window
    # of the text before a window, those that are its query where the past is; embedders read a
    # text's first tokens, so that more than they read would leave out the latest
    past_tokens: int = Field(default=256, gt=0)
    most: int | None = Field(default=None, gt=0, le=NUMBERS)  # windows of a document; null: all
