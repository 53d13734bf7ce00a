"""What every kind of source has: the digests that its files must have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field

from tttnn.files import check_name
from tttnn.pile import SPLITS, SUFFIXES
from tttnn.sections.base import Section

Digest = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]
"""A SHA-256 in hexadecimal."""

FileName = Annotated[str, AfterValidator(lambda name: check_name(name, "the source"))]
"""A file's name below the source's folder, base URL or data set: never a path out of it."""


def stem(shard: str) -> str:
    """The path of a shard in the Pile's layout, without the suffix: `train/00`, `val`, `test`."""
    return shard if shard in SPLITS else f"train/{shard}"


class Source(Section):
    """Where the corpus comes from; `kind` names the module of `tttnn.corpus.sources`.

    That module has a function `fetch(source, shard, shards, partial)`, which gives the file of one
    of `shards` train shards, or of a held-out one. What it has to make itself it makes at
    `partial`, a path that it may give a suffix. Where a file may change without its settings or
    `input_file` doing so, it also has `changed(source, shard, manifest)`: in a line, how the file
    that there is now differs from the one that the shard's manifest is of, or None.
    """

    kind: str

    COUNTS_SHARDS: ClassVar[bool] = True
    """Whether what is in a shard depends on how many train shards there are."""

    def unnamed(self, shards: Iterable[str]) -> list[str]:
        """Those of the shards that the settings would have to name a file for, and do not."""
        return []

    def input_file(self, shard: str) -> Path | None:
        """The file on this machine that the shard is read from, to be watched for changes.

        None where there is none, or where `fetch` will say why it cannot be read.
        """
        return None

    def for_shard(self, shard: str) -> Self:
        """The settings that concern this shard, so that the others' do not fetch it again."""
        return self


class DigestedSource(Source):
    """A source whose files are expected to be what they were."""

    COUNTS_SHARDS: ClassVar[bool] = False  # a shard that is added fetches no other one again

    sha256: dict[FileName, Digest] = {}  # file name -> digest; unnamed files go unchecked

    def file_names(self, shard: str) -> list[str]:
        """Names that the shard's file may have."""
        return [stem(shard) + suffix for suffix in SUFFIXES]

    def for_shard(self, shard: str) -> Self:
        names = self.file_names(shard)
        kept = {name: digest for name, digest in self.sha256.items() if name in names}
        return self.model_copy(update={"sha256": kept})
