"""A graph for each shard: nothing to learn, and the shards stay files of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from tttnn.retrieval.indexes.hnsw.settings import Hnsw

from tttnn.retrieval.approximate import nearest_found
from tttnn.retrieval.faiss_files import to_file
from tttnn.retrieval.vectors import VectorStore


def learn(spec: Hnsw, store: VectorStore) -> dict[str, np.ndarray]:
    """Nothing but the dimension."""
    return {"sample": np.empty((0, store.dimension), np.float32)}


def merge_learnt(spec: Hnsw, learnt: list[dict[str, np.ndarray]]) -> faiss.Index:
    """An empty graph of the shards' dimension."""
    d = learnt[0]["sample"].shape[1]
    return faiss.IndexIDMap2(faiss.index_factory(d, spec.factory, faiss.METRIC_L2))


def fill(
    spec: Hnsw, trained: Path, store: VectorStore, beside: Path, path: Path, memory: int
) -> None:
    """Write a shard's graph, which is in memory as a whole, to `beside`, which will be `path`."""
    index = faiss.read_index(str(trained))
    for ids_, vectors in store.blocks(share=spec.share):
        index.add_with_ids(vectors, ids_)
    to_file(index, beside, path)


def opened(path: Path) -> faiss.Index:
    """A shard's graph, in memory."""
    return faiss.read_index(str(path))


def ids(path: Path) -> Iterator[np.ndarray]:
    """The passage ids of a shard's file."""
    index = opened(path)
    yield faiss.vector_to_array(index.id_map)


def list_sizes(index: faiss.Index) -> None:
    """A graph has no lists."""


def together(trained: Path, shards: list[Path]) -> faiss.Index:
    """The shards' graphs, searched one after the other."""
    kept = [opened(path) for path in shards]
    index = faiss.IndexShards(kept[0].d, False, False)
    for graph in kept:
        index.add_shard(graph)
    index.referenced_objects = kept
    return index


def find(
    index: faiss.Index,
    store: VectorStore,
    vectors: np.ndarray,
    k: int,
    *,
    share: float,
    asked: dict[str, Any],
    memory: int,
    device: str,
) -> tuple[np.ndarray, np.ndarray]:
    """The K nearest that a walk of so many in view comes by."""
    faiss.downcast_index(index.index).hnsw.efSearch = asked["breadth"]
    return nearest_found(index, store, vectors, k, memory)
