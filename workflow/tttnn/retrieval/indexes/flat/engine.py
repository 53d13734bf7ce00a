"""An exact index: nothing to learn, and the shards stay files of their own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tttnn.retrieval.indexes.flat.settings import Flat
from tttnn.retrieval.vectors import VectorStore

OPENED = faiss.IO_FLAG_MMAP_IFC  # a shard's file is mapped, not read


def learn(spec: Flat, store: VectorStore) -> dict[str, np.ndarray]:
    """Nothing but the dimension."""
    return {"sample": np.empty((0, store.dimension), np.float32)}


def merge_learnt(spec: Flat, learnt: list[dict[str, np.ndarray]]) -> faiss.Index:
    """An empty index of the shards' dimension."""
    return faiss.IndexIDMap2(faiss.IndexFlatL2(learnt[0]["sample"].shape[1]))


def ids(path: Path) -> np.ndarray:
    """The passage ids of a shard's file."""
    index = faiss.read_index(str(path), OPENED)
    return faiss.vector_to_array(index.id_map)


def merge(spec: Flat, trained: Path, shards: list[Path], folder: Path) -> list[str]:
    """The shards' files, hard links where the file system has them; returns their names."""
    for path in shards:
        try:
            os.link(path, folder / path.name)
        except OSError:
            shutil.copyfile(path, folder / path.name)
    return [path.name for path in shards]


def ask(index: faiss.Index, asked: dict[str, Any]) -> None:
    """There is nothing to set."""
