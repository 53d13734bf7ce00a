"""Settings of the demo corpus."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tttnn.sections.source import Source


class DemoSource(Source):
    """Text written by the project's own generator; nothing is downloaded."""

    kind: Literal["demo"]
    train_documents: int = Field(gt=0)  # in each train shard
    val_documents: int = Field(gt=0)  # of all subsets together
    test_documents: int = Field(gt=0)  # of all subsets together
    copies: float = Field(ge=0, le=1)  # share of test documents with planted copies in train
    seed: int = 0  # of the generator
