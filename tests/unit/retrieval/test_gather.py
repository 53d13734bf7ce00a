"""Neighbours get their texts, and how alike each of them and the query are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards import write_passages, write_queries
from tttnn.corpus.passages import list_passages
from tttnn.digests import DamagedError
from tttnn.retrieval import texts as module
from tttnn.retrieval.candidates import CANDIDATES
from tttnn.retrieval.gather import gather_neighbors
from tttnn.retrieval.texts import collect_texts, want_texts
from tttnn.sections.gather import Gather
from tttnn.tables import write_table

WORDS = [f"word{number}" for number in range(40)]


def sentence(first: int, last: int) -> str:
    return " ".join(WORDS[first:last])


def manifest(folder, passages, name="manifest.json"):
    list_passages(passages, folder / name)
    return folder / name


def collect(folder, passages, candidates, **spec):
    """Copies of the passages that these candidates need; a file of passages is a shard."""
    wanted = [folder / f"wanted/{number}.parquet" for number in range(len(passages))]
    want_texts(Gather(**spec), candidates, wanted)
    copies = [folder / f"copies/{path.name}" for path in wanted]
    for listed, path, copy in zip(wanted, passages, copies, strict=True):
        collect_texts(listed, [path], copy)
    return copies


def gather(folder, queries: dict[int, str], texts: list[str], found, *, collected=True, **spec):
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
    copies = collect(folder, passages, [folder / "c.parquet"], **spec) if collected else []
    gather_neighbors(
        Gather(**spec),
        folder / "c.parquet",
        folder / "q.parquet",
        manifest(folder, passages),
        manifest(folder, copies, "copies.json"),
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
    *files, out = (
        tmp_path / name for name in ("c.parquet", "q.parquet", "manifest.json", "out.parquet")
    )
    gather_neighbors(Gather(), *files, manifest(tmp_path, [], "copies.json"), out)
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
            manifest(tmp_path, [], "copies.json"),
            tmp_path / "out.parquet",
        )
    assert not (tmp_path / "out.parquet").exists()


# Texts that are collected in one pass


@pytest.fixture
def read(monkeypatch):
    """The row groups that are read, by file."""
    groups = []

    def spied(file, path, group, **columns):
        if not columns:
            groups.append((path.parent.name, path.name, group))
        return reading(file, path, group, **columns)

    reading = module._read_group
    monkeypatch.setattr(module, "_read_group", spied)
    return groups


def corpus(folder, sizes=(700, 300)):
    """Shards of passages whose texts are their own ids, and of different lengths."""
    files, ids = [], []
    for shard, size in enumerate(sizes):
        mine = [shard * 2**40 + row for row in range(size)]
        texts = [f"{name} {'x' * (name % 7)}" for name in mine]
        (folder / f"{shard}").mkdir()
        files.append(write_passages(folder / f"{shard}/0.parquet", mine, texts, "ArXiv"))
        ids += mine
    return files, ids


def draw(path, ids, queries, depth, generator):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [generator.choice(ids, depth, replace=False) for _ in range(queries)]
    columns = [
        np.repeat(np.arange(queries), depth),
        np.tile(np.arange(depth, dtype=np.int32), queries),
        np.concatenate(rows),
        np.zeros(queries * depth),
    ]
    write_table(path, pa.table(columns, schema=CANDIDATES))
    return path


@pytest.fixture
def sets(tmp_path):
    """Passages of two shards, and candidates of two sets of three tasks."""
    generator = np.random.default_rng(0)
    passages, ids = corpus(tmp_path)
    candidates = [
        draw(tmp_path / f"candidates/{way}/{task}.parquet", ids[10:900], 5, 12, generator)
        for way in ("flat", "random")
        for task in ("books", "code", "mail")
    ]
    return passages, candidates


def joined(folder, passages, candidates, copies, name, **spec):
    write_queries(folder / "q.parquet", list(range(5)), [f"{n} xx" for n in range(5)])
    out = folder / f"{name}/{candidates.parent.name}/{candidates.name}"
    files = [candidates, folder / "q.parquet", manifest(folder, passages)]
    gather_neighbors(Gather(**spec), *files, manifest(folder, copies, "copies.json"), out)
    return out


def test_every_row_group_is_read_once_for_all_tasks_and_sets(sets, tmp_path, read):
    passages, candidates = sets
    collect(tmp_path, passages, candidates, depth=10)
    groups = [("0", 0), ("0", 1), ("0", 2), ("1", 0)]  # none needs the last of shard 1
    assert sorted(read) == [(shard, "0.parquet", group) for shard, group in groups]


def test_copies_and_passages_give_the_same_files(sets, tmp_path, monkeypatch):
    passages, candidates = sets
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 16)
    copies = collect(tmp_path, passages, candidates, depth=10)
    # none of the store of passages: all that is wanted is there
    for path in candidates:
        from_passages = joined(tmp_path, passages, path, [], "neighbors", depth=10).read_bytes()
        with monkeypatch.context() as patched:
            patched.delattr("tttnn.corpus.passages.PassageStore.fetch")
            assert joined(tmp_path, passages, path, copies, "neighbors", depth=10).read_bytes() == (
                from_passages
            )


def test_a_copy_has_row_groups_of_one_task_each_by_id(sets, tmp_path, monkeypatch):
    passages, candidates = sets
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 16)
    held = {}
    for copy in collect(tmp_path, passages, candidates, depth=10):
        file = pq.ParquetFile(copy)
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group).to_pylist()
            (task,) = {row["task"] for row in rows}
            assert len(rows) < 2 * 16
            held.setdefault(task, []).extend(rows)
    for task, rows in held.items():
        tables = [pq.read_table(path) for path in candidates if path.stem == task]
        wanted = {r["passage_id"] for t in tables for r in t.to_pylist() if r["rank"] < 10}
        ids = [row["passage_id"] for row in rows]
        assert ids == sorted(wanted)
        assert all(row["text"].startswith(f"{row['passage_id']} ") for row in rows)
        assert all(row["size"] == len(row["text"]) for row in rows)


def test_a_task_reads_its_own_row_groups_once(sets, tmp_path, monkeypatch, read):
    passages, candidates = sets
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 16)
    copies = collect(tmp_path, passages, candidates, depth=10)
    read.clear()
    joined(tmp_path, passages, candidates[0], copies, "neighbors", depth=10)
    assert len(set(read)) == len(read) > 2
    tasks = {
        pq.ParquetFile(tmp_path / folder / name).read_row_group(group)["task"][0].as_py()
        for folder, name, group in read
    }
    assert tasks == {"books"}


def test_what_copies_lack_is_read_from_the_passages(sets, tmp_path, capsys):
    passages, candidates = sets
    copies = collect(tmp_path, passages, candidates[:3], depth=10)
    path = candidates[3]  # of the other set, and as before of a task
    expected = joined(tmp_path, passages, path, [], "neighbors", depth=10).read_bytes()
    assert joined(tmp_path, passages, path, copies, "neighbors", depth=10).read_bytes() == expected
    assert "texts are not among the copies" in capsys.readouterr().err


def test_copies_that_are_gone_are_not_missed(sets, tmp_path, capsys):
    passages, candidates = sets
    copies = collect(tmp_path, passages, candidates, depth=10)
    out = joined(tmp_path, passages, candidates[0], copies, "neighbors", depth=10)
    before = out.read_bytes()
    listed = [candidates[0], tmp_path / "q.parquet", tmp_path / "manifest.json"]
    copies[0].unlink()
    gather_neighbors(Gather(depth=10), *listed, tmp_path / "copies.json", out)
    assert out.read_bytes() == before
    assert "lists copies that are not there" in capsys.readouterr().err
    gather_neighbors(Gather(depth=10), *listed, tmp_path / "nowhere.json", out)
    assert out.read_bytes() == before


def test_copies_of_other_passages_count_for_nothing(sets, tmp_path, capsys):
    passages, candidates = sets
    copies = collect(tmp_path, passages, candidates, depth=10)
    ids = pq.read_table(passages[0])["passage_id"].to_pylist()
    write_passages(passages[0], ids, [f"another {name}" for name in ids], "Github")
    rows = pq.read_table(
        joined(tmp_path, passages, candidates[0], copies, "neighbors", depth=10)
    ).to_pylist()
    assert {row["text"].startswith("another") for row in rows if row["passage_id"] < 2**40} == {
        True
    }
    assert "0.parquet is of other passages, which are read anew" in capsys.readouterr().err


def test_rows_in_memory_are_bounded_by_their_text(sets, tmp_path, monkeypatch):
    passages, candidates = sets
    copies = collect(tmp_path, passages, candidates, depth=10)
    whole = pq.read_table(joined(tmp_path, passages, candidates[0], copies, "neighbors", depth=10))
    monkeypatch.setattr("tttnn.retrieval.gather.BYTES_AT_ONCE", 40)
    for given in (copies, []):  # no other file where texts are not copied
        out = joined(tmp_path, passages, candidates[0], given, "neighbors", depth=10)
        file = pq.ParquetFile(out)
        assert file.read().equals(whole)
        groups = [file.read_row_group(g)["text"].to_pylist() for g in range(file.num_row_groups)]
        assert all(len("".join(group)) <= 40 or len(group) == 1 for group in groups)
        assert len(groups) > 5


def test_a_damaged_text_is_not_copied(sets, tmp_path):
    passages, candidates = sets
    table = pq.read_table(passages[0])
    texts = [f"{text}!" for text in table["text"].to_pylist()]
    write_table(passages[0], table.set_column(2, "text", [texts]))
    with pytest.raises(DamagedError, match=r"0\.parquet: passage \d+ has a text of SHA-256"):
        collect(tmp_path, passages, candidates)
    assert not (tmp_path / "copies/0.parquet").exists()


def test_a_wanted_passage_that_is_nowhere_is_an_error(sets, tmp_path):
    passages, _ = sets
    at = tmp_path / "candidates/far/books.parquet"
    path = draw(at, [5, 800], 1, 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="lists 2 passages, of which 1 are in none of"):
        collect(tmp_path, passages, [path])
    path = draw(at, [5, 7 * 2**40], 1, 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="candidates of books are of shard 7"):
        collect(tmp_path, passages, [path])
