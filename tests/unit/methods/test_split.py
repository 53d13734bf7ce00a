"""Halves of documents, as the paper's split experiment cuts them."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from shards import write_queries
from tiny import byte_tokenizer, save_causal
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


def test_a_document_without_halves_is_named(tmp_path):
    model = save_causal(tmp_path / "model")
    source = write_queries(tmp_path / "a.parquet", [7], ["x"])
    with pytest.raises(ValueError, match=r"a\.parquet: document 7 has fewer than two tokens"):
        split_documents(SplitSpec(tokens=6), [source], model, [tmp_path / "out.parquet"])
    assert not (tmp_path / "out.parquet").exists()
