"""The catalogue of methods: a name for each way to adapt a model to a document."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tttnn.config.base import Names, Section


class Recipe(Section):
    """Test-time training of one document (paper section 4 and appendices A-C)."""

    num_neighbors: int = Field(default=50, ge=0)
    evaluate_at: list[int] = [0, 1, 2, 5, 10, 20, 50]
    learning_rate: float | None = Field(default=None, gt=0)  # null: the model's own
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = Field(default=1e-8, gt=0)
    clip_norm: float = Field(default=1.0, gt=0)
    window: int | None = Field(default=None, gt=1)  # tokens; null: the model's context length
    dropout: Literal["as_model", "none"] = "as_model"
    as_released: bool = False
    seed: int = 1216

    @model_validator(mode="after")
    def _evaluates_what_it_trains(self) -> Recipe:
        points = self.evaluate_at
        if points != sorted(set(points)) or not points or points[0] != 0:
            raise ValueError(
                f"evaluate_at must ascend from 0 without repeats, got {list(points)}: "
                "gains are measured against the model as it was"
            )
        if points[-1] > self.num_neighbors:
            raise ValueError(
                f"evaluate_at asks for {points[-1]} neighbors, but num_neighbors is "
                f"{self.num_neighbors}: raise num_neighbors or shorten evaluate_at"
            )
        return self


class Method(Recipe):
    """A recipe with a name, where its neighbours come from, and what it is run on."""

    kind: Literal["ttt"] = "ttt"
    candidates: str  # an index of the catalogue, or `random`
    models: Names | None = None  # null: all of evaluate.models
    tasks: Names | None = None  # null: all of evaluate.tasks


class Evaluate(Section):
    """Which models, methods and tasks are evaluated, and in how many jobs a task."""

    models: Names
    methods: Names
    tasks: Names | Literal["all"] = "all"
    parts: dict[str, int] = {"default": 1}  # task -> jobs; changes no result


class Score(Section):
    """Intervals: paired bootstrap over documents. And which documents count as clean."""

    resamples: int = Field(default=1000, gt=0)
    confidence: float = Field(default=0.95, gt=0, lt=1)
    seed: int = 1216
    # a document is clean while no neighbor holds this share of its word n-grams
    clean_below: float = Field(default=0.5, gt=0, le=1)
