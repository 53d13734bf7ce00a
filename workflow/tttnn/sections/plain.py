"""Values that can be handed on: to JSON, to a command line, to libraries that count in 64 bits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

LARGEST = 2**63 - 1
MOST = 100_000  # values in a setting; aliases of YAML can stand for more than a memory holds
DEEPEST = 32


def _fault(value: Any) -> str | None:
    """What is wrong with a single value, if anything."""
    if isinstance(value, str):
        if any(character == "\0" or 0xD800 <= ord(character) < 0xE000 for character in value):
            return f"{value!r} has a character that neither a file's name nor a command can have"
    elif isinstance(value, float):
        if not math.isfinite(value):
            return f"{value} is not a finite number"
    elif isinstance(value, int):
        if abs(value) > LARGEST:
            return f"a whole number of {value.bit_length()} bits: use one of at most 63"
    elif value is not None:
        return f"a value of type {type(value).__name__}: use text, numbers, lists and mappings"
    return None


def check_plain(setting: Any) -> None:
    """Raise `ValueError` for what is not JSON: infinities, dates, endless nesting, huge numbers.

    Other sections in it have been checked by themselves.
    """
    for value in values_in(setting):
        if isinstance(value, dict):
            if keys := [key for key in value if not isinstance(key, str)]:
                raise ValueError(f"the key {keys[0]!r} is not text: write it in quotes")
        elif not isinstance(value, (list, tuple, BaseModel)) and (fault := _fault(value)):
            raise ValueError(fault)


def check_printable(setting: Any) -> None:
    """Raise `ValueError` for what a message cannot repeat: text of no encoding, endless values."""
    for value in values_in(setting):
        if isinstance(value, str) and (fault := _fault(value)):
            raise ValueError(fault)


def values_in(setting: Any) -> Iterator[Any]:
    """A setting and all values and keys in it, but not in sections.

    Raises `ValueError` for more than `MOST`, or deeper than `DEEPEST`, as a loop of aliases is.
    """
    seen, todo = 0, [(setting, 0)]
    while todo:
        value, depth = todo.pop()
        seen += 1
        if seen > MOST or depth > DEEPEST:
            raise ValueError(
                f"more than {MOST} values, or nested deeper than {DEEPEST}: use fewer, and no "
                "alias of YAML inside what it stands for"
            )
        yield value
        inner: list[Any] = []
        if isinstance(value, dict):
            inner = [*value, *value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            inner = list(value)
        todo += [(each, depth + 1) for each in inner]
