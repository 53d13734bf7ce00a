"""A record of text from outside, a line of JSON: what it must be, of a corpus or of cases."""

from __future__ import annotations

import json
from typing import Any


class RecordError(Exception):
    """A fault of a record: `reason` is one of a few, `detail` is about this one."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """Keep both; the message has the detail in brackets."""
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail


def parse_line(line: bytes) -> dict[str, Any]:
    """The JSON object that a line is; raises `RecordError`."""
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RecordError("not UTF-8", str(error)) from None
    except (ValueError, RecursionError) as error:
        raise RecordError("malformed JSON", str(error)) from None
    if not isinstance(record, dict):
        raise RecordError("not a JSON object")
    return record


def check_text(text: Any) -> str:
    """A record's text, which is not white space alone; raises `RecordError`."""
    if text is None:
        raise RecordError("no text")
    if not isinstance(text, str):
        raise RecordError("text is not a string")
    if not text or text.isspace():
        raise RecordError("empty text")
    check_characters(text, "text")
    return text


def check_characters(text: str, name: str) -> None:
    """Raises `RecordError` for what is called `name` if it cannot be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RecordError(f"{name} has a lone surrogate", str(error)) from None
