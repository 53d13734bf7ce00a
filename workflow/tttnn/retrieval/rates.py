"""What an index costs: bytes on the disk, seconds to fill it, and how many queries it answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tttnn.digests import read_record
from tttnn.files import name_within
from tttnn.retrieval.merged import TRAINED, engine_of, read_manifest
from tttnn.retrieval.vectors import VectorStore

ADDED = 8192  # vectors, at most, that filling is timed with
TOGETHER = 1000  # queries, at most, that are asked in one batch
SINGLE = 20  # of them, at most, one after the other
PATIENCE = 10.0  # seconds after which no further one is asked, over all shards


def _embedding_bytes(embeddings: Path) -> int:
    """Of a shard's vectors as they lie on the disk, by its list."""
    record, root = read_record(embeddings), embeddings.absolute().parents[2]
    if "published" in record:
        return record["published"]["bytes"]
    files = (name_within(root, entry["vectors"], embeddings) for entry in record["chunks"])
    return sum(file.stat().st_size for file in files)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _fill_seconds(trained: Path, store: VectorStore, share: float) -> float:
    """Seconds to add a vector to the training, in memory: the mean of the first ones."""
    index = faiss.read_index(str(trained))
    ids, vectors = next(store.blocks(ADDED, share))
    return _seconds(lambda: index.add_with_ids(vectors, ids)) / len(ids)


def _asked(
    find: Callable[[np.ndarray], object], queries: np.ndarray, patience: float
) -> tuple[float, float]:
    """Seconds a query, of all in one batch, and of one alone: the mean of as many as time allows.

    The batch is asked first, so that what memory has room for is there when single ones are.
    """
    batched = _seconds(lambda: find(queries)) / len(queries)
    single: list[float] = []
    while len(single) < min(SINGLE, len(queries)) and sum(single) < patience:
        one = queries[len(single) : len(single) + 1]
        single.append(_seconds(lambda: find(one)))  # noqa: B023
    return batched, float(np.mean(single))


def _opened(kind: str, index: list[Path]) -> Iterator[Any]:
    """The shards' indexes, one after the other; of a type without files nothing, once."""
    if not index:
        yield None
        return
    for name in read_manifest(index[0])["shards"]:
        yield engine_of(kind).opened(index[0] / name)


def measure_rates(
    index: list[Path],
    lists: list[Path],
    store: VectorStore,
    queries: np.ndarray,
    k: int,
    *,
    kind: str,
    share: float,
    asked: dict[str, Any],
    memory: int,
) -> dict[str, float]:
    """A row of what an index costs on this machine, with the threads that the job has.

    - `index_bytes`, `embedding_bytes`: on the disk, a passage that is indexed, and one that is
      embedded. An exact index has no file.
    - `build_seconds`: to add all vectors to a trained index, from the rate of the first 8,192.
      Learning is not in it, nor reading vectors and writing files.
    - `batched_per_second`, `single_per_second`: queries, with exact distances of what is found, as
      the stages search: shard after shard. One alone was preceded by the batch.

    `index` is the merged index, compared already, and empty for an exact one; `queries` is (n, d),
    of which 1,000 are asked. `memory` is in bytes, for what a search holds.
    """
    rows = store.held(share)
    filling, on_disk, shards = 0.0, 0, 1
    if index:
        manifest = read_manifest(index[0])
        filling = rows * _fill_seconds(index[0] / TRAINED, store, share)
        on_disk = sum(part["bytes"] for part in manifest["parts"].values())
        shards = len(manifest["shards"])
    took = []
    for opened in _opened(kind, index):

        def find(some: np.ndarray, opened: Any = opened) -> object:
            return engine_of(kind).find(
                opened, store, some, k, share=share, asked=asked, memory=memory, device="cpu"
            )

        took.append(_asked(find, queries[:TOGETHER], PATIENCE / shards))
    batched, single = np.sum(took, axis=0)
    return {
        "index_bytes": on_disk / rows,
        "embedding_bytes": sum(map(_embedding_bytes, lists)) / len(store),
        "build_seconds": filling,
        "batched_per_second": 1 / batched,
        "single_per_second": 1 / single,
    }
