"""Settings of inverted lists."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from tttnn.sections.index import Index

KEPT = 10_000  # vectors of a shard, at most, that lists are merged by and codes learnt from
ENOUGH = 32  # kept vectors of all shards, for each list, to better the merged lists by

NUMBER = "[1-9][0-9]{0,8}"
PQ = rf"PQ{NUMBER}(x{NUMBER})?"
FACTORY = re.compile(
    rf"IVF(?P<lists>{NUMBER}),(?P<code>Flat|SQ8|SQfp16|RaBitQ(fs)?|{PQ})"
    rf"|OPQ{NUMBER},IVF(?P<rotated_lists>{NUMBER}),(?P<rotated_code>{PQ})"
)
"""Inverted lists over a flat, scalar- or product-quantised code, the latter also rotated to fit
(OPQ), or of a bit for each number (RaBitQ), packed for a fast scan (fs)."""


class Ivf(Index):
    """Vectors in the lists of their nearest centroids; a search reads `nprobe` of the lists."""

    kind: Literal["ivf"]
    factory: str  # see FORMS
    sample_per_shard: int = Field(default=50_000, gt=0)  # vectors a shard learns from
    nprobe: int = Field(default=1, gt=0)  # inverted lists read for a query

    FORMS: ClassVar[tuple[str, ...]] = (
        *(f"IVF<lists>,{c}" for c in ("Flat", "SQ8", "SQfp16", "PQ<bytes>", "RaBitQ", "RaBitQfs")),
        "OPQ<parts>,IVF<lists>,PQ<bytes>",
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
        return int(self._parts["lists"] or self._parts["rotated_lists"])

    @property
    def code(self) -> str:
        """How a vector is kept in its list, as faiss spells it."""
        return self._parts["code"] or self._parts["rotated_code"]

    @property
    def is_rotated(self) -> bool:
        """Whether vectors are rotated before they are in a list."""
        return self._parts["rotated_code"] is not None

    @property
    def is_packed(self) -> bool:
        """Whether codes are packed for a fast scan, some vectors' together."""
        return self.code.endswith("fs")

    @property
    def _parts(self) -> re.Match[str]:
        parts = FACTORY.fullmatch(self.factory)
        assert parts is not None  # it was checked
        return parts
