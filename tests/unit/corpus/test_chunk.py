"""Shards become passages: documents as they are, or windows that leave nothing out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from tiny import byte_tokenizer, write_manifest
from tttnn.corpus.chunk import chunk_shard
from tttnn.corpus.documents import CorpusError, write_records
from tttnn.digests import write_record
from tttnn.sections.chunk import Chunk

MIXED = "Grüße aus Köln! 東京は雨です。 \N{FAMILY}\N{FROG FACE} שלום e\u0301\n\n\tx = 'ñ'  # naïve "


def chunk(folder: Path, texts: list[str], count: int, number: int = 5, documents=None, **spec):
    folder.mkdir(parents=True, exist_ok=True)
    shard, manifest = folder / "05.jsonl.zst", folder / "05.json"
    write_records(shard, ({"text": t, "meta": {"pile_set_name": "ArXiv"}} for t in texts))
    counted = len(texts) if documents is None else documents
    digest = hashlib.sha256(shard.read_bytes()).hexdigest()
    write_record(manifest, {"documents": counted, "sha256": digest})
    outputs = [folder / f"{position}.parquet" for position in range(count)]
    tokenizer = [spec.pop("model")] if "model" in spec else []
    spec = Chunk(chunks_per_shard=count, tokenizer="some" if tokenizer else None, **spec)
    chunk_shard(spec, number, shard, manifest, outputs, tokenizer)
    return [pq.read_table(path) for path in outputs]


def texts_of(tables) -> list[str]:
    return [text for table in tables for text in table["text"].to_pylist()]


@pytest.fixture(scope="module")
def byte_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bytes")
    byte_tokenizer().save_pretrained(folder)
    write_manifest(folder)
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["gpt2-like", "roberta-like"])
def merging_model(request, tmp_path_factory):
    """Byte-level BPE with merges; RoBERTa's leaves the space before a word out of its offsets."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    tokenizer.train_from_iterator([MIXED, "aus aus aus Grüße naïve"], trainer)
    if request.param:
        tokenizer.post_processor = processors.RobertaProcessing(
            ("<s>", 0), ("<s>", 0), trim_offsets=True, add_prefix_space=False
        )
    tokenizer.enable_truncation(7)  # a saved tokenizer may carry it: windows must not
    folder = tmp_path_factory.mktemp("merging")
    tokenizer.save(str(folder / "tokenizer.json"))
    write_manifest(folder)
    return folder


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11])
def test_passages_are_the_documents_in_order_with_ids_through_all_chunks(count, tmp_path):
    texts = [f"document {number} {MIXED}" for number in range(7)]
    tables = chunk(tmp_path, texts, count)
    assert texts_of(tables) == texts
    ids = [name for table in tables for name in table["passage_id"].to_pylist()]
    assert ids == [5 * 2**40 + row for row in range(7)]
    sizes = [len(table) for table in tables]
    assert max(sizes) - min(sizes) <= 1
    digests = [digest for table in tables for digest in table["sha256"].to_pylist()]
    assert digests == [hashlib.sha256(text.encode()).digest() for text in texts]
    assert {table.schema for table in tables} == {tables[0].schema}  # of empty ones too


@pytest.mark.parametrize("documents", [256, 257, 700])
def test_more_passages_than_a_row_group(documents, tmp_path):
    (table,) = chunk(tmp_path, [f"text {number}" for number in range(documents)], 1)
    assert table["text"].to_pylist() == [f"text {number}" for number in range(documents)]
    metadata = pq.ParquetFile(tmp_path / "0.parquet").metadata
    groups = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert max(groups) == 256


def test_windows_of_bytes_by_hand(byte_model, tmp_path):
    (table,) = chunk(
        tmp_path,
        ["abcdefghijk", "ab", "abcd", "abcde"],
        1,
        unit="window",
        model=byte_model,
        window_tokens=4,
        stride_tokens=3,
    )
    assert texts_of([table]) == ["abcd", "defg", "ghij", "jk", "ab", "abcd", "abcd", "de"]


@pytest.mark.parametrize(("window", "stride"), [(2, 1), (3, 3), (5, 5), (8, 3), (8, 8), (1000, 9)])
def test_windows_put_together_are_the_text_though_tokens_split_characters(
    window, stride, byte_model, tmp_path
):
    """A token is a byte, so that most windows begin or end inside a character."""
    text = MIXED * 3
    (table,) = chunk(
        tmp_path,
        [text],
        1,
        unit="window",
        model=byte_model,
        window_tokens=window,
        stride_tokens=stride,
    )
    end = 0
    for piece in texts_of([table]):
        place = text.index(piece, max(0, end - len(piece)))
        assert place <= end or not text[end:place].strip()  # no gap but white space
        assert len(piece.encode()) <= window + 3  # a window and the rest of a character
        end = place + len(piece)
    assert not text[end:].strip()


@pytest.mark.parametrize("size", [2, 5, 16])
def test_windows_of_a_tokenizer_with_merges(size, merging_model, tmp_path):
    text = " \n" + (MIXED + "aus Grüße.") * 4
    (table,) = chunk(
        tmp_path,
        [text],
        1,
        unit="window",
        model=merging_model,
        window_tokens=size,
        stride_tokens=size,
    )
    pieces = texts_of([table])
    tokenizer = Tokenizer.from_file(str(merging_model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokens = len(tokenizer.encode(text, add_special_tokens=False))
    assert len(pieces) <= -(-tokens // size)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    if size == 16:
        assert "".join(pieces) == text  # no window is white space only


def test_overlapping_windows_share_what_the_stride_leaves(byte_model, tmp_path):
    text = "".join(chr(ord("a") + i % 26) for i in range(100))
    (table,) = chunk(
        tmp_path, [text], 1, unit="window", model=byte_model, window_tokens=32, stride_tokens=24
    )
    assert texts_of([table]) == [text[0:32], text[24:56], text[48:80], text[72:100]]


def test_windows_count_rows_and_chunks_count_documents(byte_model, tmp_path):
    tables = chunk(
        tmp_path,
        ["abcdef", "gh", "ijkl", "m"],
        2,
        unit="window",
        model=byte_model,
        window_tokens=2,
        stride_tokens=2,
    )
    assert [table["text"].to_pylist() for table in tables] == [
        ["ab", "cd", "ef", "gh"],
        ["ij", "kl", "m"],
    ]
    ids = [name for table in tables for name in table["passage_id"].to_pylist()]
    assert ids == [5 * 2**40 + row for row in range(7)]


@pytest.mark.parametrize("counted", [3, 5])
def test_a_manifest_of_another_shard_is_an_error(counted, tmp_path):
    with pytest.raises(ValueError, match=f"does not hold the {counted} documents"):
        chunk(tmp_path, ["one", "two", "three", "four"], 2, documents=counted)
    assert not list(tmp_path.glob("*.parquet"))


def test_a_faulty_record_leaves_no_chunk(tmp_path):
    with pytest.raises(CorpusError, match=r"05\.jsonl\.zst, line 3: empty text"):
        chunk(tmp_path, ["one", "two", " \n"], 3)
    assert {path.name for path in tmp_path.iterdir()} == {"05.jsonl.zst", "05.json"}


def test_windows_need_a_tokenizer_and_documents_none(byte_model, tmp_path):
    with pytest.raises(ValueError, match="unit: window"):
        chunk(tmp_path, ["one"], 1, unit="window")
    with pytest.raises(ValueError, match="unit: window"):
        chunk(tmp_path, ["one"], 1, model=byte_model)
