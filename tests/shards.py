"""Passages, vectors, queries and indexes on disk, as the stages before would have left them."""

from __future__ import annotations

import hashlib
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tttnn.config.catalogue import with_index_kind
from tttnn.digests import write_record
from tttnn.environment import FIELDS
from tttnn.files import sha256
from tttnn.retrieval.index import (
    IndexSpec,
    fill_shard_index,
    merge_index,
    merge_training,
    train_shard_index,
)
from tttnn.retrieval.rows import RowWriter
from tttnn.retrieval.search import MergeSpec, SearchSpec, merge_candidates, search_shard
from tttnn.retrieval.tensors import save_tensors
from tttnn.retrieval.vectors import list_embeddings
from tttnn.tables import OPTIONS, sealing, table_digest, write_table

MEMORY_MB = 4000
MADE_WITH = {field: f"a {field}" for field in FIELDS}
SCHEMA = pa.schema(
    [
        ("passage_id", pa.int64()),
        ("pile_set_name", pa.string()),
        ("text", pa.string()),
        ("sha256", pa.binary(32)),
    ]
)


def index_spec(factory: str = "Flat", **values) -> IndexSpec:
    """The settings of an index of any type."""
    return IndexSpec(index=with_index_kind({"embedder": "some", "factory": factory, **values}))


def write_passages(path: Path, ids: list[int], texts: list[str], subset: str = "Github") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    columns = [ids, [subset] * len(ids), texts, digests]
    with sealing(path) as beside:
        pq.write_table(pa.table(columns, schema=SCHEMA), beside, row_group_size=256, **OPTIONS)
    return path


def write_queries(path: Path, ids: list[int], texts: list[str] | None = None) -> Path:
    schema = pa.schema([("query_id", pa.int64()), ("text", pa.string())])
    texts = [f"query {name}" for name in ids] if texts is None else texts
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pa.table([ids, texts], schema=schema))
    return path


def write_vectors(path: Path, passages: Path, vectors: np.ndarray) -> Path:
    """A chunk's embeddings and their manifest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with RowWriter(path, vectors.shape, vectors.dtype.str, anew=True) as writer:
        writer.write(0, vectors)
    rows, dimension = vectors.shape
    values = {"rows": rows, "dimension": dimension, "dtype": vectors.dtype.name}
    said = {"sha256": sha256(path), "passages": table_digest(passages)}
    made = {"embedder": "some", "environments": [MADE_WITH]}
    write_record(path.with_suffix(".json"), values | said | made)
    return path


def write_query_vectors(path: Path, ids: list[int], vectors: np.ndarray) -> Path:
    """The embeddings of queries."""
    tensors = {"query_id": np.array(ids, np.int64), "vectors": np.ascontiguousarray(vectors)}
    save_tensors(path, tensors, {"embedder": "some", "environments": [MADE_WITH]})
    return path


def write_frame(path: Path, frame: pd.DataFrame) -> Path:
    """Any table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pa.Table.from_pandas(frame, preserve_index=False))
    return path


class Shards(NamedTuple):
    """Files by shard and chunk, the shards' lists, and all ids and vectors in their order."""

    passages: list[list[Path]]
    embeddings: list[list[Path]]
    lists: list[Path]
    ids: np.ndarray
    vectors: np.ndarray

    @property
    def files(self) -> dict[str, list[Path]]:
        return {
            "passages": list(chain.from_iterable(self.passages)),
            "embeddings": list(chain.from_iterable(self.embeddings)),
        }


def write_shards(folder: Path, counts: list[list[int]], vectors: np.ndarray) -> Shards:
    """`counts` holds the number of passages of each shard's chunks; `vectors` are theirs."""
    passages, embeddings, lists, ids, used = [], [], [], [], 0
    for shard, chunks in enumerate(counts):
        passages.append([])
        embeddings.append([])
        row = 0
        for chunk, count in enumerate(chunks):
            numbers = [shard * 2**40 + row + i for i in range(count)]
            name = f"{shard:02d}/{chunk}"
            texts = [f"passage {passage}" for passage in numbers]
            passages[-1].append(write_passages(folder / f"passages/{name}.parquet", numbers, texts))
            path = folder / f"embeddings/{name}.npy"
            embeddings[-1].append(
                write_vectors(path, passages[-1][-1], vectors[used : used + count])
            )
            ids += numbers
            row += count
            used += count
        lists.append(folder / f"embeddings/some/{shard:02d}.json")
        list_embeddings(passages[-1], embeddings[-1], lists[-1])
    assert used == len(vectors)
    return Shards(passages, embeddings, lists, np.array(ids), vectors)


def train_index(folder: Path, spec: IndexSpec, shards: Shards) -> Path:
    learnt = []
    for number, path in enumerate(shards.lists):
        learnt.append(folder / f"trained/{number}.safetensors")
        train_shard_index(spec, path, learnt[-1], MEMORY_MB)
    merge_training(spec, learnt, folder / "trained.faiss", MEMORY_MB)
    return folder / "trained.faiss"


def fill_shards(
    folder: Path, spec: IndexSpec, trained: Path, shards: Shards, memory_mb: int = MEMORY_MB
) -> list[Path]:
    filled = []
    for number, path in enumerate(shards.lists):
        filled.append(folder / f"shards/{number:02d}.faiss")
        fill_shard_index(spec, trained, path, filled[-1], memory_mb)
    return filled


def build_index(folder: Path, spec: IndexSpec, shards: Shards) -> Path | None:
    """All four stages; the path of the merged index, which an exact one has not."""
    if not spec.index.LEARNS:
        return None
    trained = train_index(folder, spec, shards)
    filled = fill_shards(folder, spec, trained, shards)
    merge_index(spec, trained, filled, shards.lists, folder / "merged", MEMORY_MB)
    return folder / "merged"


def searched(spec: IndexSpec, **asked: int) -> dict[str, object]:
    """What those who search an index have to know of it."""
    index = spec.index
    built = {"kind": index.kind, "factory": index.factory, "share": index.share}
    return {**built, "asked": {"kind": index.kind, **asked}}


def search(
    folder: Path,
    spec: IndexSpec,
    lists: list[Path],
    queries: list[Path],
    vectors: Path,
    outputs: list[Path],
    *,
    k: int,
    merged: Path | None = None,
    memory_mb: int = MEMORY_MB,
    **asked: int,
) -> list[Path]:
    """Every shard's search, into `folder`, and their merging: the candidates' tables."""
    found = []
    for number, path in enumerate(lists):
        found.append(folder / f"{number:02d}.parquet")
        index = [] if merged is None else [merged.parent / f"shards/{number:02d}.faiss"]
        wanted = SearchSpec(candidates=k, **searched(spec, **asked))
        search_shard(wanted, path, index, vectors, found[-1], memory_mb)
    index = [] if merged is None else [merged]
    merge_candidates(MergeSpec(candidates=k), found, index, queries, outputs, memory_mb)
    return outputs


def brute_force(
    queries: np.ndarray, vectors: np.ndarray, ids: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances and ids of the k nearest, by (distance, id), one pair at a time."""
    distances = np.array(
        [[((q.astype(float) - v.astype(float)) ** 2).sum() for v in vectors] for q in queries]
    )
    order = [sorted(range(len(ids)), key=lambda i: (row[i], ids[i]))[:k] for row in distances]
    return np.take_along_axis(distances, np.array(order), 1), ids[np.array(order)]
