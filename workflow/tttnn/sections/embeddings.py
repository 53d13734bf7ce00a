"""Vectors of passages that are at hand, and need not be made."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tttnn.sections.base import Section
from tttnn.sections.embed import Embed


class Embeddings(Section):
    """Embedders whose vectors are at hand, as the paper's are, and how these are compared."""

    published: dict[str, str] = {}  # by embedder, the folder of its files
    sample: int = Field(default=64, ge=8)  # passages of a shard that are embedded again
    tolerance: float = Field(default=0.2, gt=0, lt=0.5)  # of the distance between two texts

    def files(self, embedder: str, shards: list[str]) -> dict[str, str]:
        """An embedder's file of each shard, named as the paper's are."""
        folder = Path(self.published[embedder]).expanduser()
        return {shard: str(folder / f"{shard}.jsonl.index") for shard in shards}


class Adopt(Section):
    """How vectors at hand are compared with those that the embedder makes."""

    embed: Embed
    sample: int
    tolerance: float
