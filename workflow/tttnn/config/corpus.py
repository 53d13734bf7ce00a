"""Where the text comes from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tttnn.config.base import Section
from tttnn.files import check_name

Digest = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]
"""A SHA-256 in hexadecimal."""

FileName = Annotated[str, AfterValidator(lambda name: check_name(name, "the source"))]
"""A file's name below the source's folder, base URL or data set: never a path out of it."""


class DemoSource(Section):
    """Text written by the project's own generator; nothing is downloaded."""

    kind: Literal["demo"]
    train_documents: int = Field(gt=0)  # in each train shard
    val_documents: int = Field(gt=0)
    test_documents: int = Field(gt=0)
    copies: float = Field(ge=0, le=1)  # share of test documents with planted copies in train
    seed: int = 0


class LocalSource(Section):
    """A folder in the Pile's layout: `train/NN.*`, `val.*`, `test.*`."""

    kind: Literal["local"]
    path: str
    sha256: dict[
        FileName, Digest
    ] = {}  # file name below `path` -> digest; unnamed files go unchecked


class HttpSource(Section):
    """The same layout below a base URL, as `.jsonl.zst` (or what `suffix` says)."""

    kind: Literal["http"]
    base_url: str
    suffix: Literal[".jsonl.zst", ".jsonl", ".parquet"] = ".jsonl.zst"
    sha256: dict[FileName, Digest] = {}  # file name below `base_url` -> digest
    retries: int = Field(default=8, ge=0)
    timeout: float = Field(default=60, gt=0)  # seconds without a byte
    # bytes a second, over every `timeout` seconds: a body that trickles more slowly is asked for
    # again from where it is, and an attempt that is slower counts as one that brought nothing
    slowest: float = Field(default=1000, ge=0)


class HuggingFaceSource(Section):
    """Files of a data set on the Hugging Face hub, at one pinned revision."""

    kind: Literal["huggingface"]
    dataset: str
    revision: str
    # shard ("00", "01", ..., "val", "test") -> its file in the data set
    files: dict[str, FileName]
    sha256: dict[FileName, Digest] = {}


Source = Annotated[
    DemoSource | LocalSource | HttpSource | HuggingFaceSource, Field(discriminator="kind")
]


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
