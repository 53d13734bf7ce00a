"""What every section of the configuration shares: strictness, and errors that help."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import NoneType
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from tttnn.sections.plain import check_plain


def nearest(name: str, valid: Iterable[object]) -> str:
    """End of an error message: the valid name closest to `name`, then all of them."""
    valid = sorted(map(str, valid))
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    return f"{guess} Valid: {', '.join(valid)}."


def _without_repeats(names: list[str]) -> list[str]:
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{repeated[0]!r} is listed twice")
    return names


Names = Annotated[list[str], Field(min_length=1), AfterValidator(_without_repeats)]
"""A selection from a catalogue."""


NULLS = {"", "~", "null", "Null", "NULL"}
"""How YAML spells null. What is nested in Snakemake's `--config key={...}` arrives as strings."""


class Section(BaseModel):
    """A section that refuses unknown keys and names the nearest valid one.

    Its numbers are finite, and what has any value is plain (see `tttnn.sections.plain`).
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key {key!r}.{nearest(str(key), cls.model_fields)}")
        return values

    @model_validator(mode="before")
    @classmethod
    def _null_may_be_a_string(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {
            key: None
            if isinstance(value, str)
            and value in NULLS
            and key in cls.model_fields
            and NoneType in get_args(cls.model_fields[key].annotation)
            else value
            for key, value in values.items()
        }

    @field_validator("*", mode="after")
    @classmethod
    def _is_plain(cls, value: Any) -> Any:
        check_plain(value)
        return value
