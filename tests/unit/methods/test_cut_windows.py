"""Windows of documents, and the texts that find their neighbours."""

from __future__ import annotations

import pyarrow.parquet as pq

from shards import write_queries
from tiny import save_causal
from tttnn.methods.cut_windows import PAST, TARGET, CutSpec, cut_windows


def test_windows_and_pasts_by_hand(tmp_path, capsys):
    """A token is a byte, and a frog four of them."""
    model = save_causal(tmp_path / "model")
    source = write_queries(tmp_path / "a.parquet", [5, 3], ["abcdefghijk", "ab\N{FROG FACE}cd"])
    empty = write_queries(tmp_path / "b.parquet", [])
    targets = [tmp_path / "target/a.parquet", tmp_path / "target/b.parquet"]
    pasts = [tmp_path / "past/a.parquet", tmp_path / "past/b.parquet"]
    spec = CutSpec(tokens=4, past_tokens=5, most=None)
    cut_windows(spec, [source, empty], model, targets, pasts)
    rows = pq.read_table(targets[0]).to_pylist()
    five, three = 5 << 20, 3 << 20
    assert [tuple(row.values()) for row in rows] == [
        (five, 5, 0, 3, "abcd"),
        (five + 1, 5, 1, 3, "efgh"),
        (five + 2, 5, 2, 3, "ijk"),
        (three, 3, 0, 2, "ab"),
        (three + 1, 3, 1, 2, "\N{FROG FACE}cd"),
    ]
    assert [tuple(row.values()) for row in pq.read_table(pasts[0]).to_pylist()] == [
        (five + 1, "abcd", "efgh"),
        (five + 2, "defgh", "ijk"),
        (three + 1, "ab", "\N{FROG FACE}cd"),
    ]
    assert pq.read_schema(targets[1]) == TARGET
    assert pq.read_schema(pasts[1]) == PAST
    assert "left out" not in capsys.readouterr().err


def test_windows_behind_the_most_are_left_out_and_counted(tmp_path, capsys):
    model = save_causal(tmp_path / "model")
    source = write_queries(tmp_path / "a.parquet", [5, 3], ["abcdefghijk", "ab"])
    outputs = [tmp_path / "target.parquet"], [tmp_path / "past.parquet"]
    cut_windows(CutSpec(tokens=4, past_tokens=5, most=2), [source], model, *outputs)
    kept = pq.read_table(outputs[0][0])
    assert kept["text"].to_pylist() == ["abcd", "efgh", "ab"]
    assert kept["windows"].to_pylist() == [3, 3, 1]
    assert pq.read_table(outputs[1][0])["continuation"].to_pylist() == ["efgh"]
    assert "left out 1 of 4 windows, those behind the first 2" in capsys.readouterr().err
