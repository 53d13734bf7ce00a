"""Settings of a method that are chosen on validation documents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tttnn.sections.base import Section

Positive = Annotated[float, Field(gt=0)]
Stop = Annotated[float, Field(gt=0, le=1)]

KEYS = ("learning_rate", "noise", "stop", "num_neighbors")
"""What can be chosen, in the order of the tables."""


class Tune(Section):
    """The grid: the values to try of each setting, each ascending; every combination is tried.

    `learning_rate` is the method's own; `noise` and `stop` are of the selection that it draws on
    (`null` of `stop`, training on all picks, comes first); `num_neighbors` are numbers of
    `evaluate_at`, for one training measures them all.
    """

    learning_rate: list[Positive] | None = None  # null: as the method says
    noise: list[Positive] | None = None  # of the selection that candidates names
    stop: list[Stop | None] | None = None  # of that selection; null is no stop
    # of evaluate_at; no more of them are used
    num_neighbors: list[Annotated[int, Field(ge=0)]] | None = None
    by: Literal["all", "task"] = "all"  # all: by the mean that the Pile's weights give

    @field_validator(*KEYS, mode="after")
    @classmethod
    def _ascends(cls, values: list[float | None] | None) -> list[float | None] | None:
        if values is not None:
            numbers = [-1.0 if value is None else value for value in values]
            if not values or numbers != sorted(set(numbers)):
                raise ValueError(f"values must ascend without repeats, got {values}")
        return values

    @model_validator(mode="after")
    def _has_something_to_choose(self) -> Tune:
        if not self.chooses:
            raise ValueError(f"nothing is to be chosen: give values of {', '.join(KEYS)}")
        return self

    @property
    def chooses(self) -> tuple[str, ...]:
        """The settings that are chosen."""
        return tuple(key for key in KEYS if getattr(self, key) is not None)


class Chosen(Section):
    """What was chosen, for a task or for all; a key that was not to be chosen is not given."""

    candidates: str | None  # whose neighbours: with the noise and the stop that were chosen
    learning_rate: float | None = None
    noise: float | None = None  # of the selection that candidates names
    stop: float | None = None  # of that selection; null is no stop
    num_neighbors: int | None = None  # of evaluate_at; no more of them are used
