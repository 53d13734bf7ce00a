"""One batch pass of all queries over an index; the random control; and recall.

Whatever found them, candidates get their distances from one fixed routine and are ordered by
(distance, passage id). An index, which ranks in float32, is asked for more than K, so that its
rounding does not decide who comes K-th: the table does not depend on threads or on its blocks.
"""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from tttnn.config.base import Section
from tttnn.files import replacing
from tttnn.index import MergedIndex
from tttnn.vectors import VectorStore, in_share, squared_distances

CANDIDATES = pa.schema(
    [
        ("query_id", pa.int64()),
        ("rank", pa.int32()),  # from 0
        ("passage_id", pa.int64()),
        ("distance", pa.float64()),  # squared Euclidean
    ]
)
QUERIES_AT_ONCE = 256  # whose candidates' vectors are in memory together
SPARE = 32  # candidates found beyond K; with d = 1024, K = 200 one query in 20 needs some


class SearchSpec(Section):
    """K, and how many inverted lists are read for a query."""

    candidates: int
    nprobe: int


class RandomSpec(Section):
    """K, and the seed of the draw."""

    candidates: int
    seed: int


class RecallSpec(Section):
    """How many queries are checked, at which k, and what the index was asked with."""

    queries: int
    at: list[int]
    nprobe: int


def read_query_ids(queries: list[Path]) -> list[np.ndarray]:
    """The query ids of each task's file."""
    return [pq.read_table(path, columns=["query_id"])["query_id"].to_numpy() for path in queries]


def _distances(store: VectorStore, vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
    starts = tqdm(range(0, len(ids), QUERIES_AT_ONCE), desc="distances", mininterval=5)
    groups = (slice(start, start + QUERIES_AT_ONCE) for start in starts)
    parts = [squared_distances(vectors[group], store.fetch(ids[group])) for group in groups]
    return np.concatenate(parts) if parts else np.empty(ids.shape)


def rank_exactly(
    store: VectorStore, vectors: np.ndarray, ids: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Order each query's candidates by (exact distance, id) and keep the first `k`.

    Returns distances and ids, both (n, k). In `ids` (n, at least k), -1 means none; the first of a
    query must be one.
    """
    none = ids < 0
    distances = np.where(none, np.inf, _distances(store, vectors, np.where(none, ids[:, :1], ids)))
    order = np.lexsort((ids, distances), axis=1)[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(ids, order, 1)


def _write(
    outputs: list[Path], query_ids: list[np.ndarray], distances: np.ndarray, ids: np.ndarray
) -> None:
    row, k = 0, ids.shape[1]
    for path, members in zip(outputs, query_ids, strict=True):
        rows = slice(row, row + len(members))
        row += len(members)
        columns = [
            np.repeat(members, k),
            np.tile(np.arange(k, dtype=np.int32), len(members)),
            ids[rows].ravel(),
            distances[rows].ravel(),
        ]
        with replacing(path) as beside:
            pq.write_table(pa.table(columns, schema=CANDIDATES), beside, compression="zstd")


def load_vectors(path: Path, query_ids: list[np.ndarray]) -> np.ndarray:
    """The queries' embeddings (n, d), float32, a row for each of `query_ids` in their order.

    Raises `ValueError` if there are more or fewer.
    """
    vectors = np.load(path, allow_pickle=False).astype(np.float32)
    count = sum(len(ids) for ids in query_ids)
    if len(vectors) != count:
        raise ValueError(f"{path} has {len(vectors)} vectors for {count} queries: embed them again")
    return vectors


def search_index(
    spec: SearchSpec,
    index: Path,
    queries: list[Path],
    vectors: Path,
    passages: list[Path],
    embeddings: list[Path],
    outputs: list[Path],
) -> None:
    """Write each task's candidates: the K nearest passages of every query, nearest first.

    `vectors` holds the queries' embeddings in the order of the files `queries`; `outputs` are the
    tables, a file a task in the same order. An index of fewer than K passages gives them all.

    Raises `ValueError` if a query finds fewer than K, or the index is not of these passages.
    """
    query_ids = read_query_ids(queries)
    found_by = load_vectors(vectors, query_ids)
    store = VectorStore(passages, embeddings)
    opened = MergedIndex(index)
    indexed = int(in_share(store.ids(), opened.share).sum())
    if (opened.ntotal, opened.dimension) != (indexed, store.dimension):
        raise ValueError(
            f"{index} holds {opened.ntotal} vectors of {opened.dimension} dimensions, the passages "
            f"are {indexed} of {store.dimension}: it is not their index; remove it and run again"
        )
    k = min(spec.candidates, opened.ntotal)
    _, ids = opened.search(found_by, min(k + SPARE, opened.ntotal), spec.nprobe)
    short = np.flatnonzero((ids[:, :k] < 0).any(axis=1))
    if len(short):
        name = np.concatenate(query_ids)[short[0]]
        raise ValueError(
            f"query {name} found {int((ids[short[0]] >= 0).sum())} of {k} candidates "
            f"({len(short)} queries found too few): raise nprobe or lower search.candidates"
        )
    _write(outputs, query_ids, *rank_exactly(store, found_by, ids, k))


def draw_random(
    spec: RandomSpec,
    queries: list[Path],
    vectors: Path,
    passages: list[Path],
    embeddings: list[Path],
    outputs: list[Path],
) -> None:
    """Write K passages drawn at random for each query, in the order drawn: the control.

    A query's draw depends on the seed, its id and the corpus, and on no other query.
    """
    query_ids = read_query_ids(queries)
    found_by = load_vectors(vectors, query_ids)
    store = VectorStore(passages, embeddings)
    everything = store.ids()
    k = min(spec.candidates, len(everything))
    draws = [
        np.random.default_rng([spec.seed, int(name)]).choice(len(everything), k, replace=False)
        for name in np.concatenate(query_ids)
    ]
    ids = everything[np.array(draws, dtype=np.int64).reshape(-1, k)]
    _write(outputs, query_ids, _distances(store, found_by, ids), ids)


def measure_recall(
    spec: RecallSpec,
    index: Path,
    name: str,
    candidates: list[Path],
    queries: list[Path],
    vectors: Path,
    passages: list[Path],
    embeddings: list[Path],
    output: Path,
) -> None:
    """Compare an index's candidates with exact search of what it indexes, on a sample of queries.

    `output` is CSV: `index,factory,k,recall,queries,ntotal`, recall being the mean share of the k
    nearest passages that are among the first k candidates. A candidate exactly as far as the k-th
    nearest counts as found, because equal texts are interchangeable. A k of `spec.at` above the
    number of candidates counts as that number.
    """
    query_ids = read_query_ids(queries)
    found_by = load_vectors(vectors, query_ids)
    store = VectorStore(passages, embeddings)
    table = pd.concat([pd.read_parquet(path) for path in candidates])
    found = table["distance"].to_numpy().reshape(len(found_by), -1)
    generator = np.random.default_rng(0)
    size = min(spec.queries, len(found_by))
    sample = np.sort(generator.choice(len(found_by), size, replace=False))
    points = sorted({min(k, found.shape[1]) for k in spec.at})
    opened = MergedIndex(index)
    wanted = min(points[-1] + SPARE, opened.ntotal)
    heap = faiss.ResultHeap(size, wanted)
    for ids, block in tqdm(store.blocks(share=opened.share), desc="exact search", mininterval=5):
        distances, places = faiss.knn(found_by[sample], block, min(wanted, len(block)))
        heap.add_result(distances, ids[places])
    heap.finalize()
    exact, _ = rank_exactly(store, found_by[sample], heap.I, points[-1])
    probed = f", nprobe {spec.nprobe}" if opened.factory != "Flat" else ""
    rows = [
        {
            "index": name,
            "factory": opened.factory + probed,
            "k": at,
            "recall": float((found[sample, :at] <= exact[:, at - 1 : at]).mean()),
            "queries": size,
            "ntotal": opened.ntotal,
        }
        for at in points
    ]
    with replacing(output) as beside:
        pd.DataFrame(rows).to_csv(beside, index=False)
