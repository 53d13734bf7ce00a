"""Neighbours get their texts, and how alike each of them and the query are."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards import write_passages, write_queries
from tttnn.corpus.passages import list_passages
from tttnn.retrieval.gather import gather_neighbors
from tttnn.sections.gather import Gather
from tttnn.tables import write_table

WORDS = [f"word{number}" for number in range(40)]


def sentence(first: int, last: int) -> str:
    return " ".join(WORDS[first:last])


def manifest(folder, passages):
    list_passages(passages, folder / "manifest.json")
    return folder / "manifest.json"


def gather(folder, queries: dict[int, str], texts: list[str], found, **spec):
    """`found` holds the places in `texts` of each query's candidates."""
    half = len(texts) // 2
    ids = [*range(half), *(2**40 + row for row in range(len(texts) - half))]
    passages = [
        write_passages(folder / "0.parquet", ids[:half], texts[:half], "ArXiv"),
        write_passages(folder / "1.parquet", ids[half:], texts[half:], "Github"),
    ]
    rows = [
        (query, rank, ids[place], rank + 0.5)
        for query, places in zip(queries, found, strict=True)
        for rank, place in enumerate(places)
    ]
    schema = pa.schema(
        [
            ("query_id", pa.int64()),
            ("rank", pa.int32()),
            ("passage_id", pa.int64()),
            ("distance", pa.float64()),
        ]
    )
    columns = list(zip(*rows, strict=True)) or [[]] * 4
    write_table(folder / "c.parquet", pa.table([list(c) for c in columns], schema=schema))
    write_queries(folder / "q.parquet", list(queries), list(queries.values()))
    gather_neighbors(
        Gather(**spec),
        folder / "c.parquet",
        folder / "q.parquet",
        manifest(folder, passages),
        folder / "out.parquet",
    )
    return pq.read_table(folder / "out.parquet").to_pylist()


def test_neighbours_are_the_candidates_with_their_texts(tmp_path):
    texts = [f"text {number}" for number in range(6)]
    rows = gather(tmp_path, {8: "text 1", 4: "other"}, texts, [[1, 5, 0], [3, 1, 4]], depth=2)
    assert [(r["query_id"], r["rank"], r["text"]) for r in rows] == [
        (8, 0, "text 1"),
        (8, 1, "text 5"),
        (4, 0, "text 3"),
        (4, 1, "text 1"),
    ]
    assert [r["distance"] for r in rows] == [0.5, 1.5, 0.5, 1.5]
    assert [r["pile_set_name"] for r in rows] == ["ArXiv", "Github", "Github", "ArXiv"]
    assert [r["passage_id"] for r in rows] == [1, 2**40 + 2, 2**40, 1]
    assert [r["exact"] for r in rows] == [True, False, False, False]
    assert [r["overlap"] for r in rows] == [1.0, 0.0, 0.0, 0.0]
    assert [r["jaccard"] for r in rows] == [1.0, 0.0, 0.0, 0.0]


def test_measures_by_hand(tmp_path):
    """A query of 20 words has 8 13-grams and 16 5-grams."""
    texts = [
        sentence(0, 20),  # the query
        "Before: " + sentence(0, 20).upper() + " and after!",  # 23 words, 19 5-grams
        sentence(0, 16),  # its first 16 words hold 4 of the one, 12 of the other
        sentence(7, 30),  # its last 13 words hold 1 and 9; here are 10 more of the latter
        sentence(8, 40),  # its last 12 words hold none and 8; here are 20 more
        " ".join(reversed(WORDS)),  # the same words in another order
    ]
    rows = gather(tmp_path, {1: sentence(0, 20)}, texts, [range(6)])
    assert [row["exact"] for row in rows] == [True, *5 * [False]]
    assert [row["overlap"] for row in rows] == [1, 1, 0.5, 0.125, 0, 0]
    assert [row["jaccard"] for row in rows] == [1, 16 / 19, 12 / 16, 9 / 26, 8 / 36, 0]


def test_the_sizes_of_the_grams_are_the_configurations(tmp_path):
    texts = ["so it is, really", "it is so", "it", "Is it so? It is!"]
    rows = gather(tmp_path, {1: "It is so."}, texts, [range(4)])
    assert [row["overlap"] for row in rows] == [row["jaccard"] for row in rows] == [0, 1, 0, 0]
    rows = gather(tmp_path, {1: "It is so."}, texts, [range(4)], ngram=2, shingle=1)
    assert [row["overlap"] for row in rows] == [0.5, 1, 0, 0.5]
    assert [row["jaccard"] for row in rows] == [3 / 4, 1, 1 / 3, 1]


def test_equal_words_are_no_exact_copy(tmp_path):
    texts = ["If a > b\n return b", "if a < b return b"]
    rows = gather(tmp_path, {1: "if a > b return B"}, texts, [range(2)])
    assert [row["exact"] for row in rows] == [True, False]
    assert [row["jaccard"] for row in rows] == [1, 1]


def test_many_queries_are_gathered_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("tttnn.retrieval.gather.QUERIES_AT_ONCE", 3)
    texts = [f"text {number}" for number in range(10)]
    queries = {name: f"text {name % 100}" for name in range(100, 108)}
    found = [[(3 * n + i) % 10 for i in range(4)] for n in range(8)]
    rows = gather(tmp_path, queries, texts, found)
    assert [row["exact"] for row in rows] == [
        n % 100 == i for n, places in zip(queries, found, strict=True) for i in places
    ]
    assert [row["text"] for row in rows] == [f"text {i}" for places in found for i in places]
    assert [row["query_id"] for row in rows] == [name for name in queries for _ in range(4)]


def test_of_a_split_document_the_evaluated_half_counts(tmp_path):
    gather(tmp_path, {1: "the first half"}, [sentence(0, 20), "two"], [[0]])
    halves = {"query_id": [1], "text": ["the first half"], "continuation": [sentence(0, 20)]}
    write_table(tmp_path / "q.parquet", pa.table(halves))
    files = [tmp_path / name for name in ("c.parquet", "q.parquet", "manifest.json", "out.parquet")]
    gather_neighbors(Gather(), *files)
    (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (row["exact"], row["overlap"], row["jaccard"]) == (True, 1.0, 1.0)


def test_a_task_without_queries_gives_an_empty_table(tmp_path):
    assert gather(tmp_path, {}, ["one", "two"], []) == []
    assert {"exact", "overlap", "jaccard"} <= set(pq.read_schema(tmp_path / "out.parquet").names)


def test_candidates_of_other_passages_are_an_error(tmp_path):
    gather(tmp_path, {1: "text"}, ["one", "two", "three", "four"], [[3]])
    (tmp_path / "out.parquet").unlink()
    with pytest.raises(ValueError, match=r"passage \d+ is beyond the 2 rows of .*0\.parquet"):
        gather_neighbors(
            Gather(),
            tmp_path / "c.parquet",
            tmp_path / "q.parquet",
            manifest(tmp_path, [tmp_path / "0.parquet"]),
            tmp_path / "out.parquet",
        )
    assert not (tmp_path / "out.parquet").exists()
