"""Which text is the corpus."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tttnn.sections.base import Section


class Corpus(Section):
    """Which source, and how many of its train shards."""

    source: str
    shards: int = Field(gt=0, le=2**20)
    on_bad_record: Literal["fail", "reject"] = "fail"
    # False for data sets without `meta` (the deduplicated Pile): then a train record without a
    # subset is no error. Test records always need theirs.
    train_has_subsets: bool = True

    @property
    def train_shards(self) -> list[str]:
        """Names of the train shards in order: 00, 01, ..."""
        width = max(2, len(str(self.shards - 1)))
        return [f"{number:0{width}d}" for number in range(self.shards)]
