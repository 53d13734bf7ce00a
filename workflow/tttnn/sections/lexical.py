"""A search by words, which needs no vectors to find passages."""

from __future__ import annotations

from pydantic import Field

from tttnn.sections.base import Section


class Lexical(Section):
    """Passages that share a query's words, the rarer the better (BM25)."""

    embedder: str  # whose distances the candidates get, as every candidate has one
    max_words: int = Field(gt=0)  # a text is represented by its first ones
    k1: float = Field(gt=0)  # from which number of repeats on they hardly count
    b: float = Field(ge=0, le=1)  # 1: long texts' repeats count less, by their length; 0: as much
