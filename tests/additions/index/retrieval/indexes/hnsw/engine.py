"""A graph for each shard: nothing to learn, and the shards stay files of their own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from tttnn.retrieval.indexes.hnsw.settings import Hnsw

from tttnn.retrieval.vectors import VectorStore

OPENED = 0


def learn(spec: Hnsw, store: VectorStore) -> dict[str, np.ndarray]:
    """Nothing but the dimension."""
    return {"sample": np.empty((0, store.dimension), np.float32)}


def merge_learnt(spec: Hnsw, learnt: list[dict[str, np.ndarray]]) -> faiss.Index:
    """An empty graph of the shards' dimension."""
    d = learnt[0]["sample"].shape[1]
    return faiss.IndexIDMap2(faiss.index_factory(d, spec.factory, faiss.METRIC_L2))


def ids(path: Path) -> np.ndarray:
    """The passage ids of a shard's file."""
    index = faiss.read_index(str(path))
    return faiss.vector_to_array(index.id_map)


def merge(spec: Hnsw, trained: Path, shards: list[Path], folder: Path) -> list[str]:
    """The shards' files; returns their names."""
    return [Path(shutil.copyfile(path, folder / path.name)).name for path in shards]


def ask(index: faiss.Index, asked: dict[str, Any]) -> None:
    """Set how many vectors a search keeps in view."""
    faiss.downcast_index(index.index).hnsw.efSearch = asked["breadth"]
