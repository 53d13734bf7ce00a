"""One batch pass of all queries over an index.

An index, which ranks in float32, is asked for more than K, so that its rounding does not decide who
comes K-th: the table does not depend on threads or on its blocks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tttnn.digests import DamagedError
from tttnn.retrieval.candidates import (
    load_vectors,
    rank_exactly,
    read_query_ids,
    write_candidates,
)
from tttnn.retrieval.index import MergedIndex
from tttnn.retrieval.vectors import VectorStore, in_share
from tttnn.sections.base import Section

SPARE = 32  # candidates found beyond K; with d = 1024, K = 200 one query in 20 needs some


class SearchSpec(Section):
    """K, and what the index is asked with, such as how many lists are read for a query."""

    candidates: int
    asked: dict[str, Any]


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

    Raises `ValueError` if a query finds fewer than K, or a passage twice, or the index is damaged
    or not of these passages.
    """
    query_ids = read_query_ids(queries)
    targets = load_vectors(vectors, query_ids)
    store = VectorStore(passages, embeddings)
    opened = MergedIndex(index)
    indexed = int(in_share(store.ids(), opened.share).sum())
    if (opened.ntotal, opened.dimension) != (indexed, store.dimension):
        raise ValueError(
            f"{index} holds {opened.ntotal} vectors of {opened.dimension} dimensions, the passages "
            f"are {indexed} of {store.dimension}: it is not their index; remove it and run again"
        )
    k = min(spec.candidates, opened.ntotal)
    _, ids = opened.search(targets, min(k + SPARE, opened.ntotal), spec.asked)
    short = np.flatnonzero((ids[:, :k] < 0).any(axis=1))
    if len(short):
        name = np.concatenate(query_ids)[short[0]]
        raise ValueError(
            f"query {name} found {int((ids[short[0]] >= 0).sum())} of {k} candidates "
            f"({len(short)} queries found too few): raise nprobe or lower search.candidates"
        )
    in_order = np.sort(ids, axis=1)
    twice = np.argwhere((in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] >= 0))
    if len(twice):
        row, place = twice[0]
        raise DamagedError(
            f"{index}: query {np.concatenate(query_ids)[row]} found passage "
            f"{in_order[row, place]} twice: remove the index and run again"
        )
    write_candidates(outputs, query_ids, *rank_exactly(store, targets, ids, k))
