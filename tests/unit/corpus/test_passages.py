"""Passages by id, from many files."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest

from shards import write_passages
from tttnn.corpus.passages import (
    PASSAGES,
    PassageStore,
    list_passages,
    listed,
    passage_id,
)
from tttnn.digests import DamagedError
from tttnn.tables import write_table

FIRST_OF_SHARD_3 = 3 * 2**40


@pytest.fixture
def store(tmp_path):
    """Shard 0 in chunks of 700, 0 and 1 passages, shard 3 in one of 2."""
    return PassageStore(
        write_passages(
            tmp_path / f"{number}.parquet",
            list(range(first, first + count)),
            [f"text {row}" for row in range(first, first + count)],
            subset,
        )
        for number, (first, count, subset) in enumerate(
            [(0, 700, "ArXiv"), (0, 0, "ArXiv"), (700, 1, "Github"), (FIRST_OF_SHARD_3, 2, "USPTO")]
        )
    )


def test_an_id_names_shard_and_row():
    assert passage_id(0, 7) == 7
    assert passage_id(3, 5) == FIRST_OF_SHARD_3 + 5
    assert passage_id(2**20 - 1, 2**40 - 1) < 2**63  # the largest that config allows
    assert len({passage_id(s, r) for s in range(3) for r in (0, 1, 2**40 - 1)}) == 9


def test_fetch_finds_every_passage_in_any_order(store):
    rows = [0, 255, 256, 257, 511, 512, 699, 700]  # both sides of every row group
    ids = [FIRST_OF_SHARD_3 + 1, *reversed(rows), FIRST_OF_SHARD_3]
    found = store.fetch(ids)
    assert found.keys() == set(ids)
    assert {name: text for name, (text, _) in found.items()} == {n: f"text {n}" for n in ids}
    assert [found[row][1] for row in (699, 700)] == ["ArXiv", "Github"]


def test_every_row_once_and_repeats_are_free(store):
    everything = [*range(701), FIRST_OF_SHARD_3, FIRST_OF_SHARD_3 + 1]
    assert len(store.fetch(everything + everything)) == 703
    assert store.fetch([]) == {}


@pytest.mark.parametrize("stranger", [-1, 701, 2**40, FIRST_OF_SHARD_3 + 2, 5 * 2**40])
def test_an_id_that_nothing_has_is_an_error(store, stranger):
    with pytest.raises(ValueError, match=f"passage {stranger} is "):
        store.fetch([0, stranger])


def test_chunks_out_of_order_are_an_error(tmp_path):
    paths = [
        write_passages(tmp_path / f"{first}.parquet", [first], ["text"]) for first in (0, 1, 2)
    ]
    with pytest.raises(ValueError, match="order"):
        PassageStore([paths[0], paths[2], paths[1]])


def test_a_list_of_chunks_can_be_moved_with_them(tmp_path):
    chunks = [
        write_passages(tmp_path / f"one/passages/{shard}/0.parquet", [shard << 40], ["text"])
        for shard in (0, 1)
    ]
    list_passages(chunks, tmp_path / "one/passages/manifest.json")
    (tmp_path / "one").rename(tmp_path / "two")
    found = listed(tmp_path / "two/passages/manifest.json")
    assert found == [tmp_path / f"two/passages/{shard}/0.parquet" for shard in (0, 1)]
    assert PassageStore(found).fetch([1 << 40]) == {1 << 40: ("text", "Github")}


def test_a_list_of_other_files_is_an_error(tmp_path):
    chunks = [write_passages(tmp_path / f"{row}.parquet", [row], ["text"]) for row in (0, 1)]
    list_passages(chunks, tmp_path / "manifest.json")
    assert listed(tmp_path / "manifest.json") == chunks
    write_passages(chunks[1], [1], ["another text"])
    with pytest.raises(
        DamagedError, match=r"1\.parquet is not the file that .*manifest\.json lists"
    ):
        listed(tmp_path / "manifest.json")


@pytest.mark.parametrize(("number", "text"), [(8, "text"), (7, "a text")])
def test_a_passage_is_compared_with_its_own_digest(number, text, tmp_path):
    """Whatever else has gone wrong: the row is of another passage, or has another text."""
    digest = hashlib.sha256(b"text").digest()
    rows = [[number, 9], ["ArXiv"] * 2, [text, "text"], [digest] * 2]
    write_table(tmp_path / "0.parquet", pa.table(rows, schema=PASSAGES))
    store = PassageStore([tmp_path / "0.parquet"])
    store._starts = [7]
    with pytest.raises(DamagedError, match=r"0\.parquet: passage 7 has a text of SHA-256"):
        store.fetch([7])
