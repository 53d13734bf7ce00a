"""The first tokens of texts, from as much of each as surely holds them."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase

CHARACTERS = 8  # of a text a token, at the first try
GROWTH = 4  # of what is tried next
BOUNDARY = re.compile(r"\S(?=[ \n])")
"""Where a text may be cut in two: behind a character that is no white space, and before a space."""


def _splits_at_spaces(state: dict[str, Any]) -> bool:
    """Whether the tokens of a text up to a boundary are those of the text cut there.

    That is so where words are told apart before they become tokens, none goes over a boundary, and
    what a word is does not depend on what follows the space behind it: in GPT-2's and RoBERTa's
    tokenizers and in BERT's. Others may have it too, but it is not known of them.
    """
    model, words = state["model"], state["pre_tokenizer"] or {}
    normalizer = (state["normalizer"] or {}).get("type")
    kind = (model["type"], words.get("type"), normalizer)
    if kind[:2] == ("BPE", "ByteLevel"):
        known = normalizer is None and words.get("use_regex", True) and not model.get("dropout")
    else:
        known = kind == ("WordPiece", "BertPreTokenizer", "BertNormalizer")
    added = (token["content"] for token in state["added_tokens"])
    return bool(known) and not any(re.search(r"\s", content) for content in added)


@lru_cache(maxsize=2)
def may_be_cut(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the first tokens of a text are known to be those of its beginning."""
    if not tokenizer.is_fast or tokenizer.truncation_side != "right":
        return False
    return _splits_at_spaces(json.loads(tokenizer.backend_tokenizer.to_str()))


def _beginning(text: str, characters: int) -> str:
    """The text up to its first boundary behind so many characters; all of it without one."""
    found = BOUNDARY.search(text, characters) if len(text) > characters else None
    return text[: found.end()] if found else text


def first_tokens(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], length: int
) -> list[list[int]]:
    """Each text's first `length` token ids, special ones included.

    They are what the tokenizer makes of the whole text, truncated: of a beginning that gives as
    many tokens the rest is not looked at, where that is known to change nothing.
    """
    tokens: list[list[int]] = [[] for _ in texts]
    characters = CHARACTERS * length
    waiting = list(range(len(texts)))
    cut = may_be_cut(tokenizer)
    while waiting:
        tried = [_beginning(texts[i], characters) if cut else texts[i] for i in waiting]
        found = tokenizer(tried, truncation=True, max_length=length, verbose=False)["input_ids"]
        short = []
        for i, beginning, ids in zip(waiting, tried, found, strict=True):
            if len(ids) == length or len(beginning) == len(texts[i]):
                tokens[i] = ids
            else:
                short.append(i)
        waiting, characters = short, characters * GROWTH
    return tokens
