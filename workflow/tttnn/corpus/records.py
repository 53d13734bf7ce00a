"""A record of text from outside, a line of JSON: what it must be, of a corpus or of cases.

Python's json says what a line holds and what is wrong with it. orjson reads most lines, in half the
time, and only where it is known to give the same; all others are read by json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

ALIKE_LINE = 1 << 24  # bytes of a line that orjson may read: it takes several times as many
ALIKE = frozenset((str, int, bool, type(None)))  # types of values that are always the same in both
ALIKE_LEVELS = 16  # containers in each other; json's own limit is hundreds, the process's stack


class RecordError(Exception):
    """A fault of a record: `reason` is one of a few, `detail` is about this one."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """Keep both; the message has the detail in brackets."""
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail


def _is_alike(values: Iterable[Any], levels: int) -> bool:
    """Whether json gives what orjson did, at most so deep in each other.

    orjson rounds whole numbers of more than 64 bits to floats, which json does not, and takes some
    containers in each other that are too many for json. Strings, other numbers and the last of
    equal keys are the same in both; what else is not (lone surrogates, NaN, infinities) it refuses.
    """
    for value in values:
        kind = type(value)
        if kind is float and value.is_integer():
            return False
        if kind is dict or kind is list:
            inner = value.values() if kind is dict else value
            if not ALIKE.issuperset(map(type, inner)) and not (
                levels and _is_alike(inner, levels - 1)
            ):
                return False
    return True


def parse_line(line: bytes) -> dict[str, Any]:
    """The JSON object that a line is, its `text` without lone surrogates; raises `RecordError`."""
    if len(line) <= ALIKE_LINE:
        try:
            record = orjson.loads(line)
            if type(record) is dict and _is_alike(record.values(), ALIKE_LEVELS):
                return record
        except orjson.JSONDecodeError:
            pass  # json may take it, and says what is wrong with it
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RecordError("not UTF-8", str(error)) from None
    except (ValueError, RecursionError) as error:
        raise RecordError("malformed JSON", str(error)) from None
    if not isinstance(record, dict):
        raise RecordError("not a JSON object")
    if isinstance(record.get("text"), str):
        check_characters(record["text"], "text")
    return record


def check_text(text: Any) -> str:
    """A record's text, which is not white space alone; raises `RecordError`."""
    if not isinstance(text, str):
        raise RecordError("no text" if text is None else "text is not a string")
    if not text or text.isspace():
        raise RecordError("empty text")
    return text


def check_characters(text: str, name: str) -> None:
    """Raises `RecordError` for what is called `name` if it cannot be written as UTF-8."""
    if text.isascii():  # which a string knows
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RecordError(f"{name} has a lone surrogate", str(error)) from None
