"""Settings of inverted lists."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from tttnn.sections.index import Index

KEPT = 10_000  # vectors of a shard, at most, that lists are merged by and codes learnt from
ENOUGH = 32  # kept vectors of all shards, for each list, to better the merged lists by

NUMBER = "[1-9][0-9]{0,8}"
FACTORY = re.compile(rf"IVF(?P<lists>{NUMBER}),(?P<code>Flat|SQ8|SQfp16|PQ{NUMBER}(x{NUMBER})?)")
"""Inverted lists over a flat, scalar- or product-quantised code."""


class Ivf(Index):
    """Vectors in the lists of their nearest centroids; a search reads `nprobe` of the lists."""

    kind: Literal["ivf"]
    factory: str  # IVF<lists>,Flat, IVF<lists>,SQ8, IVF<lists>,SQfp16 or IVF<lists>,PQ<bytes>
    sample_per_shard: int = Field(default=50_000, gt=0)  # vectors a shard learns from
    nprobe: int = Field(default=1, gt=0)  # inverted lists read for a query

    FORMS: ClassVar[tuple[str, ...]] = tuple(
        f"IVF<lists>,{code}" for code in ("Flat", "SQ8", "SQfp16", "PQ<bytes>")
    )
    ASKED: ClassVar[frozenset[str]] = frozenset({"nprobe"})

    @classmethod
    def accepts(cls, factory: Any) -> bool:
        return bool(FACTORY.fullmatch(str(factory)))

    @field_validator("factory")
    @classmethod
    def _supported(cls, factory: str) -> str:
        if not cls.accepts(factory):
            raise ValueError(f"{factory!r} is no index string of inverted lists: {cls.FORMS}")
        return factory

    @property
    def lists(self) -> int:
        """Number of inverted lists."""
        return int(self._parts["lists"])

    @property
    def code(self) -> str:
        """How a vector is kept in its list, as faiss spells it."""
        return self._parts["code"]

    @property
    def _parts(self) -> re.Match[str]:
        parts = FACTORY.fullmatch(self.factory)
        assert parts is not None  # it was checked
        return parts
