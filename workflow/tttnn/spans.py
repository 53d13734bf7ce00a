"""Where a text's tokens lie in it, and which characters no token stands for.

Cutting a text at a token, for halves and for passages, is cutting it at a character of its own, so
that the pieces are the text whatever the tokenizer makes of it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase  # takes seconds to import

MARK = "\N{NULL}what the vocabulary lacks"


class Span(NamedTuple):
    """The characters `start` to `end` of a text that a token stands for.

    Several tokens may stand for one character, as its bytes do. `known` is false where the
    tokenizer has nothing but its unknown token for them.
    """

    start: int
    end: int
    known: bool


def _marked(state: dict[str, Any]) -> str | None:
    """Have the model of a tokenizer's state mark what its vocabulary lacks; returns the mark.

    A BPE model without an unknown token drops such characters, and the offsets of what follows
    in the word are then wrong; with one more token they are right. (None: the model cannot drop
    text, it raises an exception.)
    """
    model = state["model"]
    if model["type"] == "Unigram":
        place = model.get("unk_id")
        return None if place is None else model["vocab"][place][0]
    if model["type"] == "BPE" and not model.get("unk_token"):
        ids = [*model["vocab"].values(), *(token["id"] for token in state["added_tokens"])]
        model["vocab"][MARK] = max(ids, default=-1) + 1
        model["unk_token"] = MARK
    return model.get("unk_token")


class Speller:
    """Finds the spans of a tokenizer's tokens; a copy, whose making takes as long as loading it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        state = json.loads(tokenizer.to_str())
        self._unknown = _marked(state)
        # a post-processor may trim white space off the offsets of tokens that stand for it
        state["post_processor"] = state["truncation"] = state["padding"] = None
        self._tokenizer = Tokenizer.from_str(json.dumps(state))
        self._unknown_id = self._unknown and self._tokenizer.token_to_id(self._unknown)

    def spans(self, text: str) -> list[Span]:
        """The spans of all tokens, without special ones, in their order."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [
            # a text may also spell out the unknown token's name
            Span(start, end, token != self._unknown_id or text[start:end] == self._unknown)
            for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        ]

    def starts(self, text: str) -> list[int]:
        """For each token that the tokenizer makes, the character at which it begins."""
        dropped = self._unknown == MARK
        return [span.start for span in self.spans(text) if span.known or not dropped]

    def lost(self, text: str) -> int:
        """How many characters of the text are not represented by its tokens.

        They are those of unknown tokens, and those that no token covers: dropped for want of a
        token, or by normalisation. White space that no token covers is not counted: tokenizers of
        words leave it out because words are told apart without it, which is no loss of this text.
        A character that normalisation changes, as by lowering its case, is represented.
        """
        lost: set[int] = set()
        position = 0
        for start, end, known in self.spans(text):
            if not known:
                lost.update(range(start, end))
            if start > position:
                lost.update(i for i in range(position, start) if not text[i].isspace())
            position = max(position, end)
        lost.update(i for i in range(position, len(text)) if not text[i].isspace())
        return len(lost)


@lru_cache(maxsize=2)
def speller(tokenizer: PreTrainedTokenizerBase) -> Speller | None:
    """A tokenizer's speller; None for a slow one, written in Python, which has no offsets."""
    return Speller(tokenizer.backend_tokenizer) if tokenizer.is_fast else None
