"""Candidates made of other candidates: another document's, and several searches' together."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shards import (
    MEMORY_MB,
    brute_force,
    write_frame,
    write_queries,
    write_query_vectors,
    write_shards,
)
from tttnn.retrieval.candidates import CANDIDATES
from tttnn.retrieval.pool import PoolSpec, pool_candidates
from tttnn.tables import read_table

QUERY_IDS = [[11, 3, 7], [], [5, 90, 2, 1], [8]]
COUNTS = [[30, 30], [0, 40], [20]]
ALL = list(chain.from_iterable(QUERY_IDS))


class Searched:
    """Shards, queries, and two tables of K candidates a query: the nearest, and others."""

    def __init__(self, folder: Path, k: int = 12) -> None:
        generator = np.random.default_rng(5)
        self.folder, self.k = folder, k
        self.shards = write_shards(folder, COUNTS, generator.normal(size=(120, 8)).astype("f4"))
        self.queries = generator.normal(size=(len(ALL), 8)).astype("f4")
        self.targets = write_query_vectors(folder / "queries.safetensors", ALL, self.queries)
        self.files = [
            write_queries(folder / f"queries/{task}.parquet", ids)
            for task, ids in enumerate(QUERY_IDS)
        ]
        near = brute_force(self.queries, self.shards.vectors, self.shards.ids, k)[1]
        other = np.array([generator.permutation(self.shards.ids)[:k] for _ in ALL])
        other[:, 3] = near[:, 0]  # so that some are found twice
        other[:, 5] = near[:, 7]
        self.found = {"near": dict(zip(ALL, near, strict=True))}
        self.found["other"] = dict(zip(ALL, other, strict=True))

    def tables(self, name: str) -> list[Path]:
        paths = []
        for task, members in enumerate(QUERY_IDS):
            rows = [
                (query, rank, passage, 0.5)
                for query in members
                for rank, passage in enumerate(self.found[name][query])
            ]
            frame = pd.DataFrame(rows, columns=CANDIDATES.names)
            kinds = dict(zip(CANDIDATES.names, ("int64", "int32", "int64", "float64"), strict=True))
            path = self.folder / f"candidates/{name}/{task}.parquet"
            paths.append(write_frame(path, frame.astype(kinds)))
        return paths

    def pool(self, memory_mb: int = MEMORY_MB, **pool) -> dict[int, pd.DataFrame]:
        """What the stage writes, by query."""
        of = pool["of"] if isinstance(pool["of"], list) else [pool["of"]]
        outputs = [self.folder / f"pooled/{path.name}" for path in self.files]
        pool_candidates(
            PoolSpec(pool=pool),
            [path for name in of for path in self.tables(name)],
            self.files,
            self.targets,
            self.shards.lists,
            outputs,
            memory_mb,
        )
        pooled = {}
        for members, path in zip(QUERY_IDS, outputs, strict=True):
            table = read_table(path)
            assert table.schema.equals(CANDIDATES)
            frame = table.to_pandas()
            assert frame["query_id"].drop_duplicates().tolist() == [
                query for query in members if query in set(frame["query_id"])
            ]
            pooled |= dict(iter(frame.groupby("query_id")))
        return pooled


@pytest.fixture
def searched(tmp_path) -> Searched:
    return Searched(tmp_path)


def lender(searched: Searched, rows: pd.DataFrame) -> int:
    """Whose candidates these are."""
    ids = rows["passage_id"].tolist()
    (found,) = (query for query, own in searched.found["near"].items() if own.tolist() == ids)
    return found


# --- another document's ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_everyone_of_a_task_gets_the_candidates_of_another_and_no_two_the_same(searched, seed):
    pooled = searched.pool(kind="elsewhere", of="near", seed=seed)
    for members in (QUERY_IDS[0], QUERY_IDS[2]):
        lenders = {query: lender(searched, pooled[query]) for query in members}
        assert all(query != lent for query, lent in lenders.items())
        assert sorted(lenders.values()) == sorted(members)


def test_the_seed_decides_whose(searched):
    def lenders(seed):
        pooled = searched.pool(kind="elsewhere", of="near", seed=seed)
        return tuple(lender(searched, pooled[query]) for query in QUERY_IDS[2])

    assert lenders(0) == lenders(0)
    assert len({lenders(seed) for seed in range(12)}) > 3


def test_the_order_of_the_file_does_not_decide_whose(tmp_path, monkeypatch):
    def lenders(folder):
        searched = Searched(folder)
        pooled = searched.pool(kind="elsewhere", of="near", seed=3)
        return {query: lender(searched, pooled[query]) for query in sorted(ALL) if query != 8}

    before = lenders(tmp_path / "a")
    reversed_ids = [ids[::-1] for ids in QUERY_IDS]
    monkeypatch.setitem(globals(), "QUERY_IDS", reversed_ids)
    monkeypatch.setitem(globals(), "ALL", list(chain.from_iterable(reversed_ids)))
    assert lenders(tmp_path / "b") == before


def test_distances_are_those_of_the_document_that_borrows(searched):
    vectors = dict(zip(searched.shards.ids.tolist(), searched.shards.vectors, strict=True))
    pooled = searched.pool(kind="elsewhere", of="near", seed=0)
    for place, query in enumerate(ALL[:-1]):
        for _, _, passage, distance in pooled[query].itertuples(index=False):
            apart = searched.queries[place].astype(float) - vectors[passage].astype(float)
            assert distance == pytest.approx((apart**2).sum(), rel=1e-12)


def test_a_document_alone_in_its_task_gets_none_and_it_is_said(searched, capsys):
    assert 8 not in searched.pool(kind="elsewhere", of="near", seed=0)
    said = capsys.readouterr().err
    assert "pooled/3.parquet: no other document of its task lends document 8" in said
    assert len(said.splitlines()) == 1


# --- several searches together -----------------------------------------------------------------


def fused(lists: list[list[int]], smoothing: int, k: int) -> list[int]:
    """Cormack et al. 2009: Σ 1 / (k + rank), in whole fractions."""
    worth: dict[int, Fraction] = {}
    for found in lists:
        for rank, passage in enumerate(found, start=1):
            worth[passage] = worth.get(passage, Fraction(0)) + Fraction(1, smoothing + rank)
    return sorted(worth, key=lambda passage: (-worth[passage], passage))[:k]


@pytest.mark.parametrize("smoothing", [0, 60])
@pytest.mark.parametrize("of", [["near", "other"], ["other", "near"]])
def test_a_union_is_reciprocal_rank_fusion(searched, smoothing, of):
    pooled = searched.pool(kind="union", of=of, smoothing=smoothing)
    for query in ALL:
        lists = [searched.found[name][query].tolist() for name in of]
        ids = pooled[query]["passage_id"].tolist()
        assert ids == fused(lists, smoothing, searched.k)
        assert len(set(ids)) == searched.k
        assert pooled[query]["rank"].tolist() == list(range(searched.k))


def test_what_both_found_comes_first_by_hand(searched):
    """At smoothing 60 rank 1 and rank 4 together beat any one rank alone."""
    pooled = searched.pool(kind="union", of=["near", "other"], smoothing=60)
    for query in ALL:
        assert pooled[query]["passage_id"].iloc[0] == searched.found["near"][query][0]


@pytest.mark.parametrize(
    "pool",
    [
        {"kind": "union", "of": ["near", "other"], "smoothing": 60},
        {"kind": "elsewhere", "of": "near", "seed": 1},
    ],
)
def test_memory_changes_nothing(searched, pool, monkeypatch):
    before = searched.pool(**pool)
    monkeypatch.setattr("tttnn.retrieval.pool.room", lambda memory_mb: 1)
    after = searched.pool(**pool)
    assert before.keys() == after.keys()
    for query, rows in before.items():
        pd.testing.assert_frame_equal(
            rows.reset_index(drop=True), after[query].reset_index(drop=True)
        )


def test_a_table_of_other_queries_is_refused(searched):
    searched.found["near"][11], searched.found["near"][3] = searched.found["near"][3], []
    with pytest.raises(ValueError, match="is not a table of K candidates for each query"):
        searched.pool(kind="elsewhere", of="near", seed=1)
