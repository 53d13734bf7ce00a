"""Near copies of a document: what deduplication by hash lets through."""

from __future__ import annotations

import re
from random import Random

_WORDS = re.compile(r"(\s+)")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]+\s")
_LEAST_CONTAINMENT = 0.7


def _grams(text: str, size: int = 13) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}


def _without_sentence(text: str, rng: Random) -> str:
    sentences = list(_SENTENCE.finditer(text))
    if not sentences:
        return text
    left_out = rng.choice(sentences)
    return text[: left_out.start()] + text[left_out.end() :]


def _with_other_word(text: str, rng: Random) -> str:
    """One word dropped, or replaced by another word of the text."""
    parts = _WORDS.split(text)
    place = 2 * rng.randrange((len(parts) + 1) // 2)
    parts[place] = rng.choice(("", parts[2 * rng.randrange((len(parts) + 1) // 2)]))
    return "".join(parts)


def near_copy(text: str, rng: Random) -> str:
    """`text` with some words dropped or replaced, and a sentence left out where that is possible.

    At least 70 % of its word 13-grams remain. Returns a text that differs from `text`.
    """
    original = _grams(text)
    edits = [_with_other_word] * (1 + len(text) // 500)
    copy = text
    for edit in [*edits, _without_sentence]:
        edited = edit(copy, rng)
        if len(_grams(edited) & original) >= _LEAST_CONTAINMENT * len(original):
            copy = edited
    while copy.split() == text.split():
        copy = _with_other_word(text, rng)
    return copy
