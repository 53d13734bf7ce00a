"""The first tokens of a text's beginning are those of the text."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordPieceTrainer
from transformers import PreTrainedTokenizerFast

from tttnn.models import first_tokens as module
from tttnn.models.first_tokens import first_tokens, may_be_cut

CORPUS = [
    "The naïve café — a 天地玄黄 of the theatre, isn't it?  We'll see  \n\n the 12345 others' own.",
    "def f(x):\n    return x + 1  # the other one, and the rest of the theme\n",
]
SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]


def wrapped(tokenizer: Tokenizer, trainer) -> PreTrainedTokenizerFast:
    tokenizer.train_from_iterator(CORPUS, trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]")
    fast.add_special_tokens({"mask_token": "[MASK]"})
    return fast


def byte_level(**options) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(**options)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return wrapped(
        tokenizer,
        BpeTrainer(
            vocab_size=330, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False
        ),
    )


def bert(lowercase: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return wrapped(
        tokenizer,
        WordPieceTrainer(vocab_size=120, special_tokens=SPECIAL, show_progress=False),
    )


def unigram() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return wrapped(
        tokenizer,
        UnigramTrainer(
            vocab_size=90, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False
        ),
    )


TOKENIZERS = {
    "GPT-2's": byte_level(add_prefix_space=False),
    "RoBERTa's": byte_level(add_prefix_space=True, trim_offsets=True),
    "BERT's": bert(lowercase=True),
    "BERT's, cased": bert(lowercase=False),
}
WHOLE = {
    "bytes of whole texts": byte_level(add_prefix_space=False, use_regex=False),
    "Unigram": unigram(),
}
PIECES = [
    "the", "theatre", " ", "  ", "\n", " \n", "\t", "\r\n", "\N{NO-BREAK SPACE}", "\x00", "\x1c",
    "\x85", "\N{ZERO WIDTH SPACE}", "'s", "'", "isn't", "123", "4", "é", "e\u0301", "\u0301",
    "天地", "한국", "😀", "!", "--", "[MASK]", "[MA", "SK]", "[SEP]", "[", "a", "ing", "İ",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=60).map("".join)


@pytest.mark.parametrize("name", [*TOKENIZERS, *WHOLE])
@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.integers(3, 12))
@example(["the [MASK] the [MASK]   the", "", " ", "a  \n b"], 3)
def test_they_are_those_of_the_whole_text(name: str, texts: list[str], length: int) -> None:
    tokenizer = (TOKENIZERS | WHOLE)[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHARACTERS", 1)  # so that short texts are cut, and short beginnings
        patch.setattr(module, "GROWTH", 2)
        tokens = first_tokens(tokenizer, texts, length)
    assert tokens == tokenizer(texts, truncation=True, max_length=length)["input_ids"]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_only_a_beginning_of_a_long_text_is_tokenised(name: str, monkeypatch) -> None:
    tokenizer, asked = TOKENIZERS[name], []
    encode = PreTrainedTokenizerFast.__call__

    def call(self, texts, **options):
        asked.extend(texts)
        return encode(self, texts, **options)

    monkeypatch.setattr(PreTrainedTokenizerFast, "__call__", call)
    text = "a word or two " * 100_000
    (ids,) = first_tokens(tokenizer, [text], 16)
    assert len(ids) == 16
    assert sum(map(len, asked)) < 1000


def test_where_it_is_not_known_whole_texts_are_tokenised() -> None:
    assert all(may_be_cut(tokenizer) for tokenizer in TOKENIZERS.values())
    assert not any(may_be_cut(tokenizer) for tokenizer in WHOLE.values())
    left, spaced = byte_level(add_prefix_space=False), byte_level(add_prefix_space=False)
    left.truncation_side = "left"
    spaced.add_tokens(["two words"])
    assert not may_be_cut(left)
    assert not may_be_cut(spaced)
