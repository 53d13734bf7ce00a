"""Settings of a graph index."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import Field

from tttnn.sections.index import Index


class Hnsw(Index):
    """A navigable graph (Malkov and Yashunin 2018, arXiv 1603.09320), a graph for each shard."""

    kind: Literal["hnsw"]
    factory: str  # HNSW<links of a vector>
    breadth: int = Field(default=64, gt=0)  # vectors that a search keeps in view

    FORMS: ClassVar[tuple[str, ...]] = ("HNSW<links>",)
    ASKED: ClassVar[frozenset[str]] = frozenset({"breadth"})

    @classmethod
    def accepts(cls, factory: Any) -> bool:
        return bool(re.fullmatch(r"HNSW[1-9]\d*", str(factory)))
