"""Settings of test-time training."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tttnn.sections.base import Section
from tttnn.sections.budget import Budget
from tttnn.sections.method import TOKEN_BYTES, WINDOW, Method, Work

HELD = 2  # gradients of repeated texts at a time, where they are reused
STEP_PASSES = 3  # a training step: forward, and backward worth two

Train = Literal["all", "mlp_out", "last_quarter", "query", "lora"]
Decay = Annotated[float, Field(ge=0, lt=1)]


class Lora(Section):
    """Low-rank adapters beside frozen weights (Hu et al. 2022, arXiv 2106.09685)."""

    rank: int = Field(default=16, gt=0)  # of the two matrices beside each weight
    alpha: float = Field(default=32.0, gt=0)  # adapters are scaled by alpha / rank
    targets: list[str] | Literal["all-linear"] = "all-linear"  # modules, by the end of their names


class Recipe(Method):
    """Test-time training of one document (paper section 4 and appendices A-C)."""

    kind: Literal["ttt"] = "ttt"
    # split: the first half of a document finds neighbours, the second is evaluated
    text: Literal["document", "split"] = "document"
    # query: the first half itself, as often as there are neighbours
    train_on: Literal["neighbors", "query", "query_then_neighbors"] = "neighbors"
    # what one gradient step is taken on; batch: all neighbours together
    step: Literal["window", "neighbor", "batch"] = "window"
    # of each neighbour, what comes first; null: all
    max_neighbor_tokens: int | None = Field(default=None, gt=1)
    # of a document's neighbours together, what comes first; null: all
    max_total_neighbor_tokens: int | None = Field(default=None, gt=1)
    reuse: int = Field(default=1, ge=1)  # a repeated text's gradient is computed at each such step
    optimizer: Literal["adamw", "sgd"] = "adamw"  # sgd needs a learning rate of its own
    momentum: float = Field(default=0.0, ge=0, lt=1)  # of sgd
    learning_rate: float | None = Field(default=None, gt=0)  # null: the model's own
    weight_decay: float = Field(default=0.01, ge=0)  # PyTorch's default
    betas: tuple[Decay, Decay] = (0.9, 0.999)  # of adamw: PyTorch's defaults
    epsilon: float = Field(default=1e-8, gt=0)  # of adamw: PyTorch's default
    clip_norm: float | None = Field(default=1.0, gt=0)  # null: gradients are not clipped
    # as_model: as its configuration says, while training
    dropout: Literal["as_model", "none"] = "as_model"
    prefix: bool = False  # train, as is evaluated, on windows that follow an end-of-text token
    lora: Lora | None = None  # null: no adapters
    # checked after lora: with adapters, all is lora
    train: Train = Field(default="all", validate_default=True)
    accumulate: bool = False  # true: the weights are not put back after a document
    # bfloat16: of steps; weights, moments and evaluation stay in float32 (see .precision)
    precision: Literal["float32", "bfloat16"] = "float32"
    as_released: bool = False  # true: what the released code does where the paper says otherwise
    budget: Budget | None = None  # null: all of num_neighbors are used, however long they take

    @field_validator("train", mode="after")
    @classmethod
    def _trains_adapters_where_there_are_some(cls, train: str, info: ValidationInfo) -> str:
        """As recipes say it that are older than `train`, or inherit `train: all` from another."""
        return "lora" if train == "all" and info.data.get("lora") is not None else train

    @model_validator(mode="after")
    def _has_what_it_trains(self) -> Recipe:
        if self.train == "lora" and self.lora is None:
            raise ValueError("train: lora trains adapters: say which in the section lora")
        if self.train != "lora" and self.lora is not None:
            raise ValueError(
                f"train: {self.train} trains weights, and lora has adapters beside frozen ones: "
                "set train: lora, or lora: null"
            )
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(
                f"momentum is of sgd, and {self.optimizer} has betas: set optimizer: sgd, or "
                "momentum: 0"
            )
        if self.reuse > 1 and (self.train_on != "neighbors" or self.step == "batch"):
            raise ValueError(
                "reuse is of neighbours that come several times, each with its own steps: set "
                "train_on: neighbors and step: window or neighbor, or reuse: 1"
            )
        return self

    @model_validator(mode="after")
    def _trains_on_what_is_not_evaluated(self) -> Recipe:
        if self.train_on != "neighbors" and self.text != "split":
            raise ValueError(
                f"train_on: {self.train_on} trains on the evaluated text itself unless that is "
                "split: set text: split"
            )
        if self.train_on != "neighbors" and self.step == "batch":
            raise ValueError("step: batch is of neighbours; set train_on: neighbors")
        if self.budget is not None and self.train_on == "query":
            raise ValueError(
                "budget is kept by using fewer neighbours, and train_on: query has none: lower "
                "num_neighbors instead"
            )
        return self

    @property
    def evaluates_halves(self) -> bool:
        return self.text == "split"

    @property
    def computes_in(self) -> str:
        return self.precision

    @property
    def uses_neighbors(self) -> bool:
        return self.train_on != "query"

    @property
    def trains(self) -> bool:
        return True

    @property
    def uses_distances(self) -> bool:
        return False

    @property
    def asks_for_learning_rate(self) -> bool:
        return self.learning_rate is None

    @property
    def depends_on_order(self) -> str | None:
        return next((key for key in ("as_released", "accumulate") if getattr(self, key)), None)

    @property
    def time_budget(self) -> Budget | None:
        return self.budget

    def work(self, text: int, context: int, neighbors: Sequence[int]) -> Work:
        trained = self._trained(context, neighbors)
        window = TOKEN_BYTES * (self.window or WINDOW)
        read = super().work(text, context, neighbors).read + STEP_PASSES * sum(trained)
        return Work(read, sum(ceil(size / window) for size in trained))

    def trained_of(self, neighbors: Sequence[float]) -> list[float]:
        left = inf if self.max_total_neighbor_tokens is None else self.max_total_neighbor_tokens
        most = inf if self.max_neighbor_tokens is None else self.max_neighbor_tokens
        found = []
        for length in neighbors:
            found.append(min(length, most, left))
            left -= found[-1]
        return found

    def _capped(self, neighbors: Sequence[int]) -> Sequence[int]:
        """Lengths of neighbours in bytes, as far as they are trained on."""
        if self.max_neighbor_tokens is None and self.max_total_neighbor_tokens is None:
            return neighbors
        tokens = self.trained_of([size / TOKEN_BYTES for size in neighbors])
        return [round(count * TOKEN_BYTES) for count in tokens]

    def _trained(self, context: int, neighbors: Sequence[int]) -> Sequence[int]:
        """Lengths of the texts that are trained on, one as often as it is."""
        neighbors = self._capped(neighbors)
        if self.train_on == "query":
            return [context] * self.num_neighbors
        if self.step == "batch":
            return [*neighbors] * len(neighbors)
        return [context, *neighbors] if self.train_on == "query_then_neighbors" else neighbors
