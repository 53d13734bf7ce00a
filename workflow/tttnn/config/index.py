"""Embedding, indexing and searching."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tttnn.config.base import Names, Section

FACTORY = re.compile(r"Flat|IVF(?P<lists>[1-9]\d*),(?P<code>Flat|SQ8|SQfp16|PQ\d+(x\d+)?)")
"""Index types: exact, or inverted lists over a flat, scalar- or product-quantised code."""

RANDOM = "random"
"""The name of the control that draws neighbours at random instead of searching."""


class Embed(Section):
    """How a text becomes a vector (paper section 3: mean of the last hidden state)."""

    max_tokens: int = Field(default=512, gt=2)
    batch_tokens: int = Field(default=16384, gt=0)  # padded tokens in a batch
    precision: Literal["float32", "bfloat16"] = "float32"  # of the forward pass
    dtype: Literal["float32", "float16"] = "float32"  # of the stored vectors


class Index(Section):
    """An index over the passages' embeddings, squared Euclidean distance."""

    embedder: str
    factory: str  # faiss's index string
    share: float = Field(default=1.0, gt=0, le=1)  # of the passages, drawn by their ids
    sample_per_shard: int = Field(default=50_000, gt=0)  # vectors a shard learns from
    nprobe: int = Field(default=1, gt=0)  # inverted lists read for a query
    seed: int = Field(default=0, ge=0)

    @field_validator("factory")
    @classmethod
    def _supported(cls, factory: str) -> str:
        if not FACTORY.fullmatch(factory):
            raise ValueError(
                f"index type {factory!r} is not supported: use 'Flat', 'IVF<lists>,Flat', "
                "'IVF<lists>,SQ8', 'IVF<lists>,SQfp16' or 'IVF<lists>,PQ<bytes>'"
            )
        return factory

    @property
    def lists(self) -> int | None:
        """Number of inverted lists; None for an exact index."""
        lists = FACTORY.fullmatch(self.factory)["lists"]
        return int(lists) if lists else None


class Search(Section):
    """One batch pass of all queries over the index."""

    indexes: Names  # of the catalogue: which to build
    candidates: int = Field(default=200, gt=0)  # K, kept for each query
    recall_queries: int = Field(default=1000, gt=0)  # checked against exact search
    recall_at: list[Annotated[int, Field(gt=0)]] = Field(default=[1, 10, 100], min_length=1)


class Gather(Section):
    """How many of a query's candidates get their texts fetched."""

    depth: int = Field(default=50, gt=0)
    ngram: int = Field(default=13, gt=0)  # words; for `overlap`, the share of a query's
    shingle: int = Field(default=5, gt=0)  # words; for `jaccard`, shared over all
