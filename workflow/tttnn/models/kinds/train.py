"""Settings of a model that the workflow trains."""

from __future__ import annotations

from typing import Any, Literal

import yaml
from pydantic import Field, field_validator

from tttnn.pile import TASK_OF_SUBSET
from tttnn.sections.base import nearest
from tttnn.sections.model import Model


def _scalar(value: Any) -> Any:
    """A number, a truth value or null that `--config` handed over as a string, as what it is."""
    if isinstance(value, dict):
        return {key: _scalar(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_scalar(part) for part in value]
    if not isinstance(value, str):
        return value
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return read if read is None or isinstance(read, (bool, int, float)) else value


class TrainedModel(Model):
    """A model trained on the corpus, from random weights, with transformers' own trainer."""

    kind: Literal["train"]
    objective: Literal["causal", "masked"]
    # passed to transformers: `model_type` names the architecture, the rest overrides its defaults
    architecture: dict[str, Any]
    vocabulary: int = Field(ge=260)  # of the byte-level BPE tokenizer, trained on the same text
    subsets: list[str] | None = None  # null: all of them
    exclude: list[str] = []  # subsets that it never sees
    documents: int = Field(gt=0)  # taken evenly from the train shards
    steps: int = Field(ge=0)  # 0: random weights, a control
    batch_size: int = Field(gt=0)  # sequences of a step, of all processes together
    sequence_tokens: int = Field(gt=1)  # of a training sequence
    learning_rate: float = Field(gt=0)  # of its training, not of test-time training
    warmup_steps: int = Field(default=0, ge=0)  # up to the learning rate, from 0
    weight_decay: float = Field(default=0.01, ge=0)  # of adamw
    mask_probability: float = Field(default=0.15, gt=0, lt=1)  # `masked` only
    save_steps: int = Field(default=500, gt=0)  # a killed job goes on from the last one
    seed: int = 1216  # of weights, order and dropout

    @field_validator("architecture")
    @classmethod
    def _names_its_type(cls, architecture: dict[str, Any]) -> dict[str, Any]:
        if "model_type" not in architecture:
            raise ValueError("architecture needs model_type, such as gpt2, gpt_neo or roberta")
        return _scalar(architecture)

    @field_validator("subsets", "exclude")
    @classmethod
    def _known_subsets(cls, subsets: list[str] | None) -> list[str] | None:
        for subset in subsets or []:
            if subset not in TASK_OF_SUBSET:
                raise ValueError(f"unknown subset {subset!r}.{nearest(subset, TASK_OF_SUBSET)}")
        return subsets

    @property
    def trained_as(self) -> str | None:
        return self.objective
