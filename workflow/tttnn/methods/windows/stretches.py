"""A document's windows as token ids: what scores them, and what they are trained on afterwards."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from tttnn.methods.likelihood import Window
from tttnn.models.tokens import tokens
from tttnn.spans import speller


class Step(NamedTuple):
    """What a gradient step is of: token ids, and those that their first positions must predict."""

    inputs: list[int]
    targets: list[int]


class Stretch(NamedTuple):
    """A window as the model reads it: what scores it, and what it is trained on afterwards.

    Both predict each of its tokens once: the first with the left context of the plain evaluation,
    the second after the one token before. Both may be empty, for a window that no token of the
    model begins in.
    """

    scored: list[Window]
    learnt: list[Step]


def stretches(
    sequence: Sequence[int], borders: Sequence[int], window: int, chunk: int | None
) -> list[Stretch]:
    """The windows of a prefix token and a document's n tokens, `sequence` (1 + n).

    `borders` are the windows' ends among the n tokens, ascending to n. A window's tokens are read
    at most `window` at a time, and what is left to the left of them there is context: windows of
    `window` tokens each are exactly those of `likelihood.rolling_windows`. `chunk` is how many
    tokens each step of training is of; None where scored windows are not trained on.
    """

    def cut(start: int, end: int, length: int) -> Iterator[tuple[int, int]]:
        return ((first, min(first + length, end)) for first in range(start, end, length))

    return [
        Stretch(
            [
                Window([*sequence[max(0, b - window) : b]], [*sequence[a + 1 : b + 1]])
                for a, b in cut(start, end, window)
            ],
            [
                Step([*sequence[a:b]], [*sequence[a + 1 : b + 1]])
                for a, b in cut(start, end, chunk or window)
                if chunk is not None
            ],
        )
        for start, end in pairwise([0, *borders])
    ]


def tokens_by_window(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> tuple[list[int], list[int]]:
    """The tokens of texts put together, and how many of them there are up to each text's end.

    A token is of the text that it begins in. Raises `ValueError` for a tokenizer without offsets.
    """
    whole = "".join(texts)
    ids = tokens(tokenizer, whole)
    spelt = speller(tokenizer)
    starts = spelt.starts(whole) if spelt else []
    if len(starts) != len(ids):
        raise ValueError(
            f"the tokenizer ({type(tokenizer).__name__}) does not say where in a text its tokens "
            "lie, so that they cannot be told apart by window: take a model with a fast tokenizer"
        )
    ends = [*accumulate(map(len, texts))]
    return ids, [*(bisect_left(starts, end) for end in ends[:-1]), len(ids)]
