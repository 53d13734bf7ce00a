"""Where the text comes from, and how it is cut into passages and test documents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tttnn.config.base import Section

SPLITS = ("val", "test")
"""The held-out shards, never indexed."""


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
    sha256: dict[str, str] = {}  # file name below `path` -> digest; unnamed files go unchecked


class HttpSource(Section):
    """The same layout below a base URL, as `.jsonl.zst` (or what `suffix` says)."""

    kind: Literal["http"]
    base_url: str
    suffix: Literal[".jsonl.zst", ".jsonl", ".parquet"] = ".jsonl.zst"
    sha256: dict[str, str] = {}  # file name below `base_url` -> digest
    retries: int = Field(default=8, ge=0)
    timeout: float = Field(default=60, gt=0)  # seconds without a byte


class HuggingFaceSource(Section):
    """Files of a data set on the Hugging Face hub, at one pinned revision."""

    kind: Literal["huggingface"]
    dataset: str
    revision: str
    # shard ("00", "01", ..., "val", "test") -> its file in the data set
    files: dict[str, str]
    sha256: dict[str, str] = {}


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


class Chunk(Section):
    """Passages: what is embedded, indexed and trained on."""

    chunks_per_shard: int = Field(gt=0)
    unit: Literal["document", "window"] = "document"
    tokenizer: str | None = None  # `unit: window`: the model whose tokens are counted
    window_tokens: int = Field(default=512, gt=1)
    stride_tokens: int = Field(default=512, gt=0)

    @model_validator(mode="after")
    def _stride_leaves_no_gap(self) -> Chunk:
        if self.stride_tokens > self.window_tokens:
            raise ValueError(
                f"stride_tokens ({self.stride_tokens}) is above window_tokens "
                f"({self.window_tokens}): text between two windows would never be indexed"
            )
        return self


class Select(Section):
    """Which test documents of each task are evaluated: a fraction (the paper's) or a count."""

    fraction: float | None = Field(default=None, gt=0, le=1)
    count: int | None = Field(default=None, gt=0)
    seed: int = 1216

    @model_validator(mode="after")
    def _one_of_both(self) -> Select:
        if (self.fraction is None) == (self.count is None):
            raise ValueError("give either fraction or count, and set the other to null")
        return self
