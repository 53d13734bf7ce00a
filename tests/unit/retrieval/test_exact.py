"""Exact search is brute force in float64, ties by id, whatever is used to find it."""

from __future__ import annotations

import zlib
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shards import write_shards
from tttnn.retrieval import exact, exact_cuda, exact_memory
from tttnn.retrieval.bounds import FLOAT16, FLOAT32, Precision, limit
from tttnn.retrieval.exact import nearest, search
from tttnn.retrieval.exact_memory import FIXED, SPARE, held, plan
from tttnn.retrieval.rows import Rows, checksums, joined_checksums
from tttnn.retrieval.vectors import VectorStore, in_share, squared_distances

SPLIT = [[0.3, 0.2], [0.0, 0.5]]
DEVICES = ["cpu", "torch-cpu"]


@pytest.fixture(autouse=True)
def _on_the_processor(monkeypatch):
    """The GPU's pass, by the same functions of torch, on a processor."""
    monkeypatch.setitem(exact.PASSES, "torch-cpu", "exact_cuda")
    monkeypatch.setattr(exact_cuda, "DEVICE", "cpu")


def stored(folder: Path, vectors: np.ndarray) -> tuple[VectorStore, np.ndarray]:
    """A store of two shards with two chunks each, and all ids."""
    counts = [[int(part * len(vectors)) for part in chunks] for chunks in SPLIT]
    counts[1][1] += len(vectors) - sum(map(sum, counts))
    shards = write_shards(folder, counts, vectors)
    return VectorStore(**shards.files), shards.ids


def brute(queries, vectors, ids, k):
    """By (distance, id), every pair in float64."""
    far = squared_distances(
        queries.astype(np.float32), np.broadcast_to(vectors, (len(queries), *vectors.shape))
    )
    order = np.lexsort((np.broadcast_to(ids, far.shape), far), axis=1)[:, :k]
    return np.take_along_axis(far, order, 1), ids[order]


def assert_exact(got, queries, vectors, ids, k):
    distances, names = brute(queries, vectors, ids, k)
    np.testing.assert_array_equal(got[1], names)
    np.testing.assert_array_equal(got[0], distances)
    assert got[0].dtype == np.float64 and got[1].dtype == np.int64


def small_blocks(monkeypatch, rows: int) -> None:
    monkeypatch.setattr(exact_memory, "MOST_ROWS", rows)


def spread(generator, n=700, d=24):
    return generator.standard_normal((n, d), np.float32)


def with_ties(generator):
    """Each vector some 70 times, so that ties go far beyond what is found to spare."""
    return np.repeat(spread(generator, 10), 70, axis=0)


def nearly_equal(generator):
    """Cosines of 0.9999 and more: their spread is small beside their length."""
    return 10 + spread(generator) / 100


def with_huge(generator):
    """One whose square float32 does not hold, some of 1e18, and one far off."""
    vectors = spread(generator)
    vectors[100] *= 1e30
    vectors[300:303] *= 1e18
    vectors[500] *= 1e6
    return vectors


def all_huge(generator):
    return spread(generator) * np.float32(1e19)


def with_zeros(generator):
    vectors = spread(generator)
    vectors[::3] = 0
    return vectors


def tiny(generator):
    return spread(generator) * np.float32(1e-30)


CORPORA = [spread, with_ties, nearly_equal, with_huge, all_huge, with_zeros, tiny]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.filterwarnings("error")
def test_the_nearest_are_those_of_brute_force(tmp_path, monkeypatch, corpus, device):
    generator = np.random.default_rng(0)
    vectors = corpus(generator)
    queries = np.concatenate([vectors[[0, 1, 100, 300, 500]], vectors[:20] + vectors[5:25] / 8])
    store, ids = stored(tmp_path, vectors)
    small_blocks(monkeypatch, 128)
    assert_exact(nearest(store, queries, 20, device=device), queries, vectors, ids, 20)


@pytest.mark.parametrize("device", DEVICES)
def test_vectors_of_float16(tmp_path, device):
    generator = np.random.default_rng(1)
    vectors = spread(generator).astype(np.float16)
    vectors[7] = 60000
    queries = spread(generator, 30)
    store, ids = stored(tmp_path, vectors)
    assert_exact(nearest(store, queries, 10, device=device), queries, vectors, ids, 10)


def trap(generator):
    """Vectors whose distances in low precision are in another order.

    Those near the query lie on a sphere about it, and all are far from the centre, for most vectors
    are elsewhere.
    """
    d, n = 64, 400
    query = (generator.standard_normal(d) * 30).astype(np.float32)
    around = generator.standard_normal((n, d))
    around *= 40 / np.linalg.norm(around, axis=1, keepdims=True)
    around *= 1 + 1e-5 * generator.standard_normal((n, 1))
    elsewhere = 3000 + generator.standard_normal((n + 100, d))
    vectors = np.concatenate([query + around, elsewhere])
    return query[None], generator.permutation(vectors).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
def test_without_widening_the_trap_gives_a_wrong_answer_and_with_it_the_right_one(
    tmp_path, monkeypatch, device
):
    # faiss, too, is to take products, as it does of very many queries; then a few differences
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 1)
    queries, vectors = trap(np.random.default_rng(2))
    store, ids = stored(tmp_path, vectors)
    found = search(store, queries, 20, device=device)
    assert_exact(found[:2], queries, vectors, ids, 20)
    assert found.widened > 0 and found.again > 0
    monkeypatch.setattr(exact, "_widen", lambda *_: 0)
    careless = search(store, queries, 20, device=device)
    assert not np.array_equal(careless.ids, found.ids)


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_far_apart_is_proven_without_widening(tmp_path, device):
    generator = np.random.default_rng(3)
    vectors, queries = spread(generator, 2000, 8), spread(generator, 40, 8)
    vectors[3] *= 1e6  # does not spoil the others' bound
    store, _ = stored(tmp_path, vectors)
    assert search(store, queries, 5, device=device).widened == 0


@pytest.mark.parametrize("device", DEVICES)
def test_nothing_but_the_answer_depends_on_blocks_memory_and_threads(tmp_path, monkeypatch, device):
    generator = np.random.default_rng(4)
    vectors, queries = with_ties(generator), spread(generator, 50)
    store, ids = stored(tmp_path, vectors)
    for rows in (1, 7, 64, 10_000):
        small_blocks(monkeypatch, rows)
        assert_exact(nearest(store, queries, 30, device=device), queries, vectors, ids, 30)
    small_blocks(monkeypatch, 100)
    threads = faiss.omp_get_max_threads()
    try:
        for count in (1, 3):
            faiss.omp_set_num_threads(count)
            assert_exact(nearest(store, queries, 30, device=device), queries, vectors, ids, 30)
    finally:
        faiss.omp_set_num_threads(threads)
    little = FIXED + 700_000
    assert plan(little, 24, 30, 50).queries < 50
    assert_exact(
        nearest(store, queries, 30, device=device, memory=little), queries, vectors, ids, 30
    )


@pytest.mark.parametrize("share", [0.01, 0.5])
@pytest.mark.parametrize("device", DEVICES)
def test_of_a_share_only_its_vectors_are_found(tmp_path, monkeypatch, share, device):
    generator = np.random.default_rng(5)
    vectors, queries = spread(generator), spread(generator, 10)
    store, ids = stored(tmp_path, vectors)
    small_blocks(monkeypatch, 64)
    keep = in_share(ids, share)
    got = nearest(store, queries, 20, share=share, device=device)
    assert_exact(got, queries, vectors[keep], ids[keep], 20)
    assert got[0].shape[1] == min(20, keep.sum())


def test_shards_searched_one_by_one_and_merged_are_as_all_at_once(tmp_path):
    generator = np.random.default_rng(6)
    vectors, queries = with_ties(generator), spread(generator, 20)
    shards = write_shards(tmp_path, [[300, 50], [350]], vectors)
    parts = [
        nearest(VectorStore(*files), queries, 40)
        for files in zip(shards.passages, shards.embeddings, strict=True)
    ]
    distances, ids = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    order = np.lexsort((ids, distances), axis=1)[:, :40]
    merged = np.take_along_axis(distances, order, 1), np.take_along_axis(ids, order, 1)
    assert_exact(merged, queries, vectors, shards.ids, 40)


@pytest.mark.parametrize("device", DEVICES)
def test_more_than_there_are_gives_all(tmp_path, device):
    generator = np.random.default_rng(7)
    vectors, queries = spread(generator, 30), spread(generator, 3)
    store, ids = stored(tmp_path, vectors)
    got = nearest(store, queries, 50, device=device)
    assert got[1].shape == (3, 30)
    assert_exact(got, queries, vectors, ids, 50)


@pytest.mark.parametrize("device", DEVICES)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    numbers=st.lists(
        st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from([0.0, 1.0, 1.0000001]),
        min_size=8,
        max_size=240,
    ),
    k=st.integers(1, 90),
    copies=st.integers(1, 20),
)
def test_any_numbers(tmp_path_factory, device, numbers, k, copies):
    flat = np.array(numbers, np.float32)
    vectors = np.tile(flat[: len(flat) // 4 * 4].reshape(-1, 4), (copies, 1))
    queries = vectors[: max(1, len(vectors) // copies // 2)]
    store, ids = stored(tmp_path_factory.mktemp("store"), vectors)
    assert_exact(nearest(store, queries, k, device=device), queries, vectors, ids, k)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("device", DEVICES)
def test_what_is_no_finite_number_is_refused_by_name(tmp_path, value, device):
    generator = np.random.default_rng(8)
    vectors, queries = spread(generator), spread(generator, 3)
    vectors[650, 3] = value
    store, ids = stored(tmp_path, vectors)
    with pytest.raises(ValueError, match=f"passage {ids[650]} has a number that is not finite"):
        nearest(store, queries, 3, device=device)
    queries[1, 2] = value
    with pytest.raises(ValueError, match="query 1 has a number that is not finite"):
        nearest(store, queries, 3, device=device)


def test_what_cannot_be_asked_is_refused(tmp_path):
    store, _ = stored(tmp_path, spread(np.random.default_rng(9)))
    with pytest.raises(ValueError, match="shape"):
        nearest(store, np.zeros((2, 5), np.float32), 3)
    with pytest.raises(ValueError, match="k is 0"):
        nearest(store, np.zeros((2, 24), np.float32), 0)
    with pytest.raises(ValueError, match="memory_mb"):
        nearest(store, np.zeros((2, 24), np.float32), 3, memory=1 << 20)
    with pytest.raises(ValueError, match="tpu"):
        nearest(store, np.zeros((2, 24), np.float32), 3, device="tpu")


@pytest.mark.parametrize("precision", [FLOAT32, FLOAT16], ids=["float32", "float16"])
def test_no_vector_is_scored_above_the_limit_of_its_distance(precision: Precision):
    """Scores are computed one number after the other, rounded at each step."""
    generator = np.random.default_rng(10)
    dtype = np.float32 if precision is FLOAT32 else np.float16
    worst = 0.0
    for d in (3, 40):
        for length in (1.0, 1e-3, 100.0):
            vectors = (1 + generator.standard_normal((200, d)) / 50).astype(np.float32) * length
            vectors = vectors.astype(np.float32)
            query = vectors[0] * np.float32(1.01)
            score = np.zeros(len(vectors), np.float32)
            a, b = vectors - vectors[1], query - vectors[1]
            product = np.zeros(len(vectors), np.float32)
            for i in range(d):
                score += a[:, i] ** 2 + b[i] ** 2
                product += a[:, i].astype(dtype).astype(np.float32) * np.float32(b[i].astype(dtype))
            score -= 2 * product
            true = squared_distances(query[None], vectors[None])[0]
            norm = np.full(len(true), np.linalg.norm(b.astype(float)))
            most = limit(precision, norm, true, d)
            assert (score <= most).all()
            worst = max(worst, float(((score - true) / (most - true)).max()))
    assert worst > 1e-3  # the bound is not so wide that it says nothing


@pytest.mark.parametrize("memory", [300 << 20, 1 << 30, 8 << 30])
@pytest.mark.parametrize("dimension", [16, 256, 1024])
def test_what_is_held_is_within_the_memory_that_was_given(memory, dimension):
    for queries in (1, 2000, 40_000):
        assert held(dimension, 200, queries, plan(memory, dimension, 200, queries)) <= memory


def test_checksums_of_rows_joined_are_those_of_their_bytes(tmp_path):
    generator = np.random.default_rng(11)
    for n, d in ((1, 1), (2, 3), (7, 256), (300, 33)):
        rows = generator.standard_normal((n, d), np.float32)
        assert joined_checksums(checksums(rows)[None], 4 * d)[0] == zlib.crc32(rows)


def test_a_damaged_vector_among_many_is_named(tmp_path):
    vectors = spread(np.random.default_rng(12), 9000, 64)
    shards = write_shards(tmp_path, [[9000]], vectors)
    path = shards.embeddings[0][0]
    content = bytearray(path.read_bytes())
    content[len(content) - 4 * 9001 - 256 * 1000] ^= 1  # row 8000
    path.write_bytes(content)
    with pytest.raises(ValueError, match="row 8000"):
        Rows(path)[:]
    with pytest.raises(ValueError, match="row 8000"):
        nearest(VectorStore(**shards.files), vectors[:3], 3 + SPARE)
