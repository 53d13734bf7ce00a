"""Halves of documents, as the paper's split experiment cuts them."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from shards import write_queries
from tiny import byte_tokenizer, save_causal
from tttnn.corpus.omissions import left_out
from tttnn.methods.split import HALVES, SplitSpec, split_documents, split_text


@pytest.mark.parametrize(
    ("length", "first"), [(2, 1), (3, 1), (10, 5), (19, 9), (20, 10), (21, 10), (100, 10)]
)
def test_the_first_part_is_half_or_the_most_it_may_be(length, first):
    text = "abcdefghij" * 10
    halves = split_text(byte_tokenizer(), text[:length], 10)
    assert halves == (text[:first], text[first:length])


def test_every_task_gets_its_halves(tmp_path):
    model = save_causal(tmp_path / "model")
    sources = [
        write_queries(tmp_path / "a.parquet", [4, 2], ["some text", "0123456789abcdef"]),
        write_queries(tmp_path / "b.parquet", []),
    ]
    outputs = [tmp_path / "out/a.parquet", tmp_path / "out/b.parquet"]
    split_documents(SplitSpec(tokens=6), sources, model, outputs)
    assert pq.read_table(outputs[0]).to_pylist() == [
        {"query_id": 4, "text": "some", "continuation": " text"},
        {"query_id": 2, "text": "012345", "continuation": "6789abcdef"},
    ]
    assert pq.read_table(outputs[1]).schema == HALVES


def test_documents_without_halves_are_left_out_and_listed(tmp_path, capsys):
    """A token is a byte: `x` has one, and the bytes of a frog are one character's."""
    model = save_causal(tmp_path / "model")
    texts = ["x", "ab", "\N{FROG FACE}", "\N{FROG FACE}!"]
    source = write_queries(tmp_path / "a.parquet", [7, 3, 9, 5], texts)
    alone = write_queries(tmp_path / "b.parquet", [1], ["y"])
    outputs = [tmp_path / "out" / name for name in ("a.parquet", "b.parquet")]
    split_documents(SplitSpec(tokens=6), [source, alone], model, outputs)
    halves = pq.read_table(outputs[0])
    assert halves.to_pylist() == [
        {"query_id": 3, "text": "a", "continuation": "b"},
        {"query_id": 5, "text": "\N{FROG FACE}", "continuation": "!"},
    ]
    assert left_out(halves.schema) == [7, 9]
    assert pq.read_table(outputs[1]).schema == HALVES
    assert left_out(pq.read_schema(outputs[1])) == [1]
    first, second = (line for line in capsys.readouterr().err.splitlines() if "left out" in line)
    assert f"{outputs[0]}: left out 2 of 4 documents" in first
    assert "(the first is 7)" in first
    assert f"{outputs[1]}: left out 1 of 1 documents" in second


def test_where_nothing_is_left_out_nothing_is_listed(tmp_path, capsys):
    model = save_causal(tmp_path / "model")
    source = write_queries(tmp_path / "a.parquet", [7], ["xy"])
    split_documents(SplitSpec(tokens=6), [source], model, [tmp_path / "out.parquet"])
    assert left_out(pq.read_schema(tmp_path / "out.parquet")) == []
    assert "left out" not in capsys.readouterr().err
