"""Experts: adapters that are trained before the test, one for each cluster of passages.

Test-time model merging (Bertolissi et al. 2025, arXiv 2505.14136) trains one for each cluster of a
corpus, and merges at test time those that are nearest to a text.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tttnn.sections.base import Section

Decay = Annotated[float, Field(ge=0, lt=1)]


class Clustering(Section):
    """How passages are clustered, and which of a cluster are trained on."""

    clusters: int = Field(default=8, ge=1, le=100_000)  # as many experts for each model
    sample: int = Field(default=100_000, gt=0)  # passages that centroids are learnt from
    center: bool = False  # the passages' mean is taken off all vectors first
    passages: int = Field(default=1000, gt=0)  # of a cluster, at most, drawn to train on
    seed: int = Field(default=1216, ge=0)  # of clustering, of the draw, and of training


class Training(Section):
    """How the adapter of a cluster is trained."""

    rank: int = Field(default=16, gt=0)  # of the two matrices beside each weight
    alpha: float = Field(default=32.0, gt=0)  # adapters are scaled by alpha / rank
    targets: list[str] | Literal["all-linear"] = "all-linear"  # modules, by the end of their names
    learning_rate: float = Field(default=2e-4, gt=0)  # of their training, not of the test's
    weight_decay: float = Field(default=0.01, ge=0)  # of adamw
    betas: tuple[Decay, Decay] = (0.9, 0.999)  # of adamw
    epsilon: float = Field(default=1e-8, gt=0)  # of adamw
    clip_norm: float | None = Field(default=1.0, gt=0)  # null: gradients are not clipped
    epochs: int = Field(default=1, gt=0)  # passes over a cluster's passages
    batch_size: int = Field(default=1, gt=0)  # windows of a step
    window: int | None = Field(default=None, gt=1)  # tokens; null: the model's context length
    passage_windows: int | None = Field(default=None, gt=0)  # of a passage, at most; null: all
    prefix: bool = False  # texts follow an end-of-text token, as the evaluated one does
    precision: Literal["float32", "bfloat16"] = "float32"  # of steps
    seed: int = Field(default=1216, ge=0)  # of clustering, of the draw, and of training


class Experts(Clustering, Training):
    """An entry of the catalogue `experts`."""

    embedder: str  # whose vectors are clustered, and are compared with a text's
