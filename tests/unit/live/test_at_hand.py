"""Vectors at hand: what is found is what the workflow's exact search finds, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from live_run import write_run
from shards import brute_force
from tttnn.live import at_hand, shard
from tttnn.live.at_hand import AtHand
from tttnn.live.shard import OpenShard

K = 5


def opened(tmp_path, vectors, monkeypatch):
    """A shard of two chunks, and a list with the number of queries of each search elsewhere."""
    live = write_run(tmp_path, [[len(vectors) // 2] * 2], vectors)
    searched, search = [], shard.exact.search

    def counted(store, queries, *arguments, **options):
        searched.append(len(queries))
        return search(store, queries, *arguments, **options)

    monkeypatch.setattr(shard.exact, "search", counted)
    return live, OpenShard(live.run, "00"), searched


def same(found, expected):
    distances, ids = found
    np.testing.assert_allclose(distances, expected[0], rtol=1e-12, atol=1e-300)
    assert ids.tolist() == expected[1].tolist()


def test_a_few_queries_and_many_are_answered_in_the_thread_that_asks(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((400, 8), np.float32)
    live, held, searched = opened(tmp_path, vectors, monkeypatch)
    queries = generator.standard_normal((30, 8), np.float32)
    monkeypatch.setattr(at_hand, "RANKED", 8 * 61 * 8 * 4)  # four at once
    found = held.search(queries, K)
    same(found, brute_force(queries, live.vectors, live.ids, K))
    for row in range(3):
        alone = held.search(queries[row : row + 1], K)
        assert alone[0].tobytes() == found[0][row : row + 1].tobytes()
        assert alone[1].tobytes() == found[1][row : row + 1].tobytes()
    assert not searched


def test_where_the_bound_proves_nothing_the_workflows_search_is_asked(tmp_path, monkeypatch):
    generator = np.random.default_rng(1)
    vectors = generator.standard_normal((400, 8), np.float32)
    vectors[100:300] = vectors[100]  # more of one distance than are found beyond K
    live, held, searched = opened(tmp_path, vectors, monkeypatch)
    queries = np.stack([vectors[100] + np.float32(0.01), *vectors[:3]])
    same(held.search(queries, K), brute_force(queries, live.vectors, live.ids, K))
    assert searched == [1]


def test_where_a_few_prove_nothing_as_many_as_the_workflow_ranks_are_ranked(tmp_path, monkeypatch):
    generator = np.random.default_rng(5)
    vectors = generator.standard_normal((400, 8), np.float32)
    vectors[100:130] = vectors[100]  # more than K and a few, fewer than the workflow ranks
    live, held, searched = opened(tmp_path, vectors, monkeypatch)
    ranked, knn = [], at_hand.faiss.knn

    def counted(queries, of, count):
        ranked.append((len(queries), count))
        return knn(queries, of, count)

    monkeypatch.setattr(at_hand.faiss, "knn", counted)
    queries = np.stack([-vectors[100], vectors[100] + np.float32(0.01)])
    same(held.search(queries, K), brute_force(queries, live.vectors, live.ids, K))
    assert ranked == [(2, K + at_hand.FEW), (1, K + at_hand.SPARE)]
    assert not searched


@pytest.mark.parametrize("scale", [1e15, 1e-30])
def test_numbers_beyond_what_float32_can_multiply_are_found_as_well(scale, tmp_path, monkeypatch):
    generator = np.random.default_rng(2)
    vectors = (generator.standard_normal((200, 4)) * scale).astype(np.float32)
    live, held, _ = opened(tmp_path, vectors, monkeypatch)
    queries = (generator.standard_normal((3, 4)) * scale).astype(np.float32)
    same(held.search(queries, K), brute_force(queries, live.vectors, live.ids, K))


def test_fewer_vectors_than_are_asked_for_are_all_found(tmp_path, monkeypatch):
    vectors = np.random.default_rng(3).standard_normal((4, 8), np.float32)
    live, held, searched = opened(tmp_path, vectors, monkeypatch)
    same(held.search(vectors, 9), brute_force(vectors, live.vectors, live.ids, 9))
    assert not searched


def test_a_large_shard_stays_where_it_is(tmp_path, monkeypatch):
    vectors = np.random.default_rng(4).standard_normal((20, 8), np.float32)
    live, _, _ = opened(tmp_path, vectors, monkeypatch)
    monkeypatch.setattr(at_hand, "MOST", vectors.nbytes - 1)
    held = OpenShard(live.run, "00")
    assert AtHand.of(held._store, 1.0) is None
    same(held.search(vectors[:2], K), brute_force(vectors[:2], live.vectors, live.ids, K))
