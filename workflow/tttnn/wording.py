"""Words that commands have in common."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """How many there are of what: "1 document", "1,200 documents"; for nouns that take an s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
