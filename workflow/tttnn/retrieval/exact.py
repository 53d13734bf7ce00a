"""Exact search of all queries in one pass over the vectors, proven to be exact.

A pass in low precision (float32 through faiss on a CPU, float16 on a GPU) finds more than K; their
distances are taken again in float64; and a bound of what low precision can err by (see
`tttnn.retrieval.bounds`) says of each query whether one that was not found may be among its K
nearest. Where it may, the blocks that have such vectors are read once more, for all such queries
together, and whatever the bound cannot exclude gets its distance in float64, too. So the result is
that of brute force in float64, with equal distances ordered by id, whatever the device, the size
of blocks, threads, or how the vectors are divided into shards that are searched one by one.
"""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from tttnn.retrieval.bounds import FLOAT32, limit
from tttnn.retrieval.exact_memory import MEMORY, SPARE, plan
from tttnn.retrieval.exact_pass import Found, Vectors, refuse_non_finite
from tttnn.retrieval.vectors import VectorStore, squared_distances

PASSES = {"cpu": "exact_cpu", "cuda": "exact_cuda"}
SAMPLE = 1024  # vectors whose middle is the centre
THREADS = 2  # that rank side by side; Python itself does a good part of it
RANKED = 4 << 20  # bytes of vectors ranked at once: in cache


class Result(NamedTuple):
    """The nearest of m queries, and how much of it the low-precision pass did not prove."""

    distances: np.ndarray  # (m, k), float64
    ids: np.ndarray  # (m, k), int64
    widened: int  # pairs of a query and a block that were looked at again
    pairs: int  # of all
    again: int  # vectors that got a distance in float64 then


def nearest(
    store: VectorStore,
    queries: np.ndarray,
    k: int,
    *,
    share: float = 1.0,
    memory: int = MEMORY,
    device: str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances (m, k), float64, and ids, int64, of each query's k nearest vectors.

    By (distance, id); of a share with fewer than k vectors all. `queries` is (m, d), float32; what
    is held beside it is at most `memory` bytes (see `tttnn.retrieval.exact_memory`). `device` is
    `cpu` or `cuda`, and changes no bit of the result. One line on stderr says how often the
    low-precision pass did not suffice.

    Raises `ValueError` for a query or a vector that has a number that is not finite, and where
    memory is too little.
    """
    found = search(store, queries, k, share=share, memory=memory, device=device)
    print(
        f"exact search on {device}: {found.widened} of {found.pairs} pairs of a query and a block "
        f"widened, {found.again} distances more",
        file=sys.stderr,
    )
    return found.distances, found.ids


def search(
    store: VectorStore,
    queries: np.ndarray,
    k: int,
    *,
    share: float = 1.0,
    memory: int = MEMORY,
    device: str = "cpu",
) -> Result:
    """As `nearest`, saying nothing and returning more."""
    queries = np.ascontiguousarray(queries, np.float32)
    if queries.ndim != 2 or queries.shape[1] != store.dimension:
        raise ValueError(
            f"queries of shape {queries.shape} for vectors of {store.dimension} dimensions: embed "
            "them with the embedder of the passages"
        )
    wrong = np.flatnonzero(~np.isfinite(queries).all(axis=1))
    if len(wrong):
        raise ValueError(f"query {wrong[0]} has a number that is not finite: embed it again")
    if device not in PASSES:
        raise ValueError(f"device {device!r} is none to search on: {', '.join(PASSES)}")
    if k < 1:
        raise ValueError(f"k is {k}: at least one vector must be asked for")
    planned = plan(memory, store.dimension, k, len(queries))
    if planned.queries < len(queries):
        passes = -(-len(queries) // planned.queries)
        print(f"exact search in {passes} passes: memory is {memory} bytes", file=sys.stderr)
    first = next(store.blocks(SAMPLE, share, as_stored=True), None)
    if first is None or not len(queries):
        return Result(np.empty((len(queries), 0)), np.empty((len(queries), 0), np.int64), 0, 0, 0)
    refuse_non_finite(*first)
    centre = np.sort(first[1], axis=0)[len(first[1]) // 2].astype(np.float32)
    groups = range(0, len(queries), planned.queries)
    results = [
        _search_group(
            Vectors(store, planned, share, centre), queries[at : at + planned.queries], k, device
        )
        for at in groups
    ]
    if len(results) == 1:
        return results[0]
    distances, ids, *counts = zip(*results, strict=True)
    widened, pairs, again = (sum(count) for count in counts)
    return Result(np.concatenate(distances), np.concatenate(ids), widened, pairs, again)


def _search_group(vectors: Vectors, queries: np.ndarray, k: int, device: str) -> Result:
    """Queries whose candidates are all in memory together."""
    engine = importlib.import_module(f"tttnn.retrieval.{PASSES[device]}")
    with np.errstate(over="ignore"):
        centred = queries - vectors.centre
    found: Found = engine.scan(vectors, centred, k + SPARE)
    count = min(k, found.seen)
    distances, ids = _rank(vectors.store, queries, found.ids, count)
    farthest = found.limit(distances[:, -1], vectors.store.dimension)
    unproven = ~(found.rest > farthest)
    needed = unproven[:, None] & ~(found.least > farthest[:, None])
    again = _widen(vectors, queries, centred, needed, distances, ids)
    return Result(distances, ids, int(needed.sum()), needed.size, again)


def _rank(
    store: VectorStore, queries: np.ndarray, ids: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` of each query's `ids` by (canonical distance, id); infinity and -1 last."""
    distances = np.full(ids.shape, np.inf)
    at_once = max(1, RANKED // (8 * ids.shape[1] * store.dimension))

    def measure(start: int) -> None:
        rows = slice(start, start + at_once)
        some = np.where(ids[rows] < 0, ids[rows].max(axis=1, keepdims=True), ids[rows])
        is_any = some[:, 0] >= 0
        distances[rows][is_any] = squared_distances(
            queries[rows][is_any], store.fetch(some[is_any])
        )

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(measure, range(0, len(ids), at_once)))
    distances[ids < 0] = np.inf
    order = np.lexsort((ids, distances), axis=1)[:, :count]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(ids, order, 1)


def _widen(
    vectors: Vectors,
    queries: np.ndarray,
    centred: np.ndarray,
    needed: np.ndarray,
    distances: np.ndarray,
    ids: np.ndarray,
) -> int:
    """Look at all vectors of the `needed` (m, blocks) again; changes `distances` and `ids`.

    Scores are float32's products anew; each vector that they do not prove to be farther than the
    K-th is measured in float64. Returns how many were.
    """
    measured = 0
    dimension = vectors.store.dimension
    numbers = np.flatnonzero(needed.any(axis=0))
    norms = np.sqrt(np.einsum("nd,nd->n", centred, centred, dtype=np.float64))
    rows = max(1, vectors.plan.work // (32 * dimension))  # one query's, all measured, fit
    for number, (names, block) in zip(numbers, vectors.centred(set(numbers)), strict=True):
        members = np.flatnonzero(needed[:, number])
        for start in range(0, len(names), rows):
            part = slice(start, start + rows)
            width = max(1, vectors.plan.work // (16 * len(names[part])))
            for at in range(0, len(members), width):
                some = members[at : at + width]
                farthest = limit(FLOAT32, norms[some], distances[some, -1], dimension)
                within = _within(centred[some], norms[some], block[part], farthest)
                for query, hits in zip(some, within, strict=True):
                    chosen = names[part][hits]
                    measured += len(chosen)
                    _merge(vectors.store, queries, query, chosen, distances, ids)
    return measured


def _within(
    queries: np.ndarray, norms: np.ndarray, vectors: np.ndarray, farthest: np.ndarray
) -> np.ndarray:
    """Which vectors (n, d) have an s that is not more than a query's limit, (m, n)."""
    with np.errstate(over="ignore", invalid="ignore"):
        scores = queries @ vectors.T
        scores *= -2
        scores += np.einsum("nd,nd->n", vectors, vectors)
        scores += (norms**2).astype(np.float32)[:, None]
        above = np.nextafter(farthest.astype(np.float32), np.float32(np.inf))
    return ~(scores > above[:, None])


def _merge(
    store: VectorStore,
    queries: np.ndarray,
    query: int,
    chosen: np.ndarray,
    distances: np.ndarray,
    ids: np.ndarray,
) -> None:
    """Put what is nearer among `chosen` into a query's row."""
    chosen = np.setdiff1d(chosen, ids[query], assume_unique=True)
    if not len(chosen):
        return
    far = squared_distances(queries[query][None], store.fetch(chosen)[None])[0]
    all_ids = np.concatenate([ids[query], chosen])
    all_distances = np.concatenate([distances[query], far])
    order = np.lexsort((all_ids, all_distances))[: ids.shape[1]]
    distances[query], ids[query] = all_distances[order], all_ids[order]
