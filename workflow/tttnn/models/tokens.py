"""A text's tokens."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase


def tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """A text's token ids, without special ones."""
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
