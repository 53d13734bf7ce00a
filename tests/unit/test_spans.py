"""Texts are cut at their own characters, whatever a tokenizer makes of them."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from tttnn.corpus.chunk import windows
from tttnn.methods.cut_windows import cut
from tttnn.methods.split import split_text
from tttnn.spans import Speller, speller

MIXED = "naïve café — 😀👩‍👧 é e\u0301 天地玄黄 \u200b\ufeff\x00 \r\n\t ﬁ ㍍ İ 한국 क्षि <unk> [UNK]"
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # what SentencePiece writes for a space


def byte_level(trim: bool = False) -> Tokenizer:
    """GPT-2's kind: tokens of bytes, some of them of several; trimmed as RoBERTa trims offsets."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("a", "b"), ("Ġ", "a"), ("Ġ", "Ġ"), ("Ã", "©"), ("å", "¤"), ("ĠĠ", "Ġa")]
    symbols = ["<s>", *alphabet, *(left + right for left, right in merges)]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(symbols)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if trim:
        tokenizer.post_processor = processors.RobertaProcessing(
            ("<s>", 0), ("<s>", 0), trim_offsets=True, add_prefix_space=False
        )
    return tokenizer


def byte_fallback() -> Tokenizer:
    """Llama's kind: a few characters, and bytes for all others; a space is put before the text."""
    symbols = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    symbols += [SPACE, *"abcé天", f"{SPACE}a", "ab"]
    tokenizer = Tokenizer(
        models.BPE(
            {name: i for i, name in enumerate(symbols)},
            [(SPACE, "a"), ("a", "b")],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
    )
    return tokenizer


def word_piece() -> Tokenizer:
    """BERT's kind: words in lower case, without accents and white space; others are unknown."""
    symbols = ["[UNK]", *"abcdefghij天地e", *(f"##{letter}" for letter in "abcdefghij")]
    tokenizer = Tokenizer(
        models.WordPiece({name: i for i, name in enumerate(symbols)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def dropping() -> Tokenizer:
    """A few letters, and neither an unknown token nor bytes: the rest is dropped."""
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2, " ": 3, "é": 4}, [("a", "b")]))
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer


FAST = {
    "byte-level": byte_level(),
    "byte-level, trimmed": byte_level(trim=True),
    "byte fallback": byte_fallback(),
    "words": word_piece(),
    "dropping": dropping(),
}
TOKENIZERS = {
    name: PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<s>")
    for name, tokenizer in FAST.items()
} | {"slow": ByT5Tokenizer()}
EXAMPLES = int(os.environ.get("TTTNN_EXAMPLES", "100"))
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.text(st.sampled_from(sorted({*MIXED, *"abc"})), max_size=40),
)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=EXAMPLES, deadline=None)
@example(text=MIXED * 3, most=5)
@example(text="天地玄黄", most=1)
@example(text="a😀", most=1024)
@example(text="😀a", most=1024)
@example(text="  a", most=1)
@given(text=texts, most=st.integers(1, 12))
def test_halves_are_the_text(name, text, most):
    tokenizer = TOKENIZERS[name]
    first, second = split_text(tokenizer, text, most)
    assert first + second == text
    assert len(first.encode()) + len(second.encode()) == len(text.encode())
    if first:
        for half in (first, second):  # each can be trained on and evaluated
            assert tokenizer(half, add_special_tokens=False)["input_ids"]
    elif spelt := speller(tokenizer):
        assert len(set(spelt.starts(text))) <= 1  # there are no two tokens to cut between
    else:
        assert len(text) <= 1


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=EXAMPLES, deadline=None)
@example(text=MIXED * 3, tokens=5, past=3)
@example(text="天地玄黄", tokens=1, past=1)
@example(text="😀a😀", tokens=2, past=7)
@example(text="\n\n a", tokens=1, past=1)
@given(text=texts, tokens=st.integers(1, 12), past=st.integers(1, 12))
def test_windows_of_a_document_are_the_text(name, text, tokens, past):
    cuts = [*cut(Speller(FAST[name]), text, tokens, past)]
    assert "".join(piece.text for piece in cuts) == text
    assert all(piece.text for piece in cuts) or cuts == [("", "")]
    before = ""
    for piece in cuts:
        assert before.endswith(piece.past)
        assert bool(piece.past) == bool(before)
        before += piece.text


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=EXAMPLES, deadline=None)
@example(text=MIXED * 3, length=3)
@given(text=texts, length=st.integers(1, 9))
def test_windows_put_together_are_the_text(name, text, length):
    """But for windows of white space alone, which are left out."""
    starts = speller(TOKENIZERS[name]).starts(text)
    pieces = list(windows(text, starts, length, length))
    assert "".join("".join(pieces).split()) == "".join(text.split())
    left_out = len(text.encode()) - sum(len(piece.encode()) for piece in pieces)
    assert left_out == 0 or (left_out > 0 and any(c.isspace() for c in text))
    assert all(piece.strip() for piece in pieces)


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    text=st.permutations(sorted({*MIXED, *"abcdef"})).map("".join),
    length=st.integers(2, 9),
    stride=st.integers(1, 8),
)
def test_windows_that_overlap_leave_nothing_out(name, text, length, stride):
    """No character is there twice, so that the place of each is known."""
    starts = speller(TOKENIZERS[name]).starts(text)
    covered: set[int] = set()
    for piece in windows(text, starts, length, min(stride, length)):
        place = text.index(piece)
        covered.update(range(place, place + len(piece)))
    assert all(text[place].isspace() for place in range(len(text)) if place not in covered)


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=EXAMPLES, deadline=None)
@example(text=MIXED)
@given(text=texts)
def test_as_many_tokens_begin_as_the_tokenizer_makes(name, text):
    """In ascending order; where text is dropped, a pair that it kept apart may count as two."""
    tokenizer = TOKENIZERS[name]
    starts = speller(tokenizer).starts(text)
    assert starts == sorted(starts)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if name == "dropping":
        assert len(ids) <= len(starts) <= 2 * len(ids)
    else:
        assert len(starts) == len(ids)


@pytest.mark.parametrize("name", ["byte-level", "byte-level, trimmed"])
@settings(max_examples=EXAMPLES, deadline=None)
@example(text="ab  ab \n a", most=3)
@given(
    text=st.text(st.sampled_from("ab \n\té天,"), min_size=2, max_size=40), most=st.integers(1, 9)
)
def test_the_cut_is_the_released_codes_where_its_halves_are_text(name, text, most):
    tokenizer = TOKENIZERS[name]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    cut = most if len(ids) >= 2 * most else len(ids) // 2
    released = (tokenizer.decode(ids[:cut]), tokenizer.decode(ids[cut:]))
    if released[0] and "".join(released) == text:
        assert split_text(tokenizer, text, most) == released


@pytest.mark.parametrize(
    ("text", "halves"),
    [
        ("", ("", "")),
        ("天", ("", "天")),
        ("天地", ("天", "地")),
        ("abc天", ("abc", "天")),  # six tokens: the fourth is the character's first byte
        ("天abc", ("天", "abc")),
        ("ab天", ("ab", "天")),  # five tokens
        ("a天b", ("a", "天b")),  # the third of five is inside the character
        ("天ab", ("天", "ab")),  # so is this, and it is the first
    ],
)
def test_a_slow_tokenizer_is_cut_by_search(text, halves):
    """A token a byte."""
    assert split_text(TOKENIZERS["slow"], text) == halves


@pytest.mark.parametrize(
    ("name", "text", "lost"),
    [
        ("byte-level", MIXED, 0),
        ("byte-level, trimmed", MIXED, 0),
        ("byte fallback", MIXED, 0),
        ("dropping", "ab ab", 0),
        ("dropping", "天ab天 b", 2),
        ("dropping", "a天b", 1),  # though its tokens are those of `ab`
        ("dropping", "天地", 2),
        ("dropping", "a\nb\n", 2),  # it has a token for spaces, and none for line ends
        ("words", "ab  Cä\n天", 0),  # white space, case and accents are normalised
        ("words", "xyz ab", 3),  # a whole word is unknown
        ("words", "ab \x07a", 1),  # a control character is dropped
        ("words", "a\u200bb", 1),
        ("words", "", 0),
    ],
)
def test_characters_without_a_token_are_counted(name, text, lost):
    assert Speller(FAST[name]).lost(text) == lost


def test_the_name_of_the_unknown_token_is_a_text_like_any_other():
    tokenizer = byte_fallback()
    tokenizer.add_special_tokens(["<unk>"])
    assert Speller(tokenizer).lost("ab<unk>") == 0
    unigram = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0))
    unigram.add_special_tokens(["<unk>"])
    assert Speller(unigram).lost("a<unk>天地a") == 2


def test_a_spellers_tokenizer_stays_as_it_is():
    tokenizer = byte_level(trim=True)
    tokenizer.enable_truncation(2)
    before = tokenizer.to_str()
    assert Speller(tokenizer).starts("ab ab") == [0, 2, 3]
    assert tokenizer.to_str() == before
