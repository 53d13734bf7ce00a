"""Search, a job a shard: the K nearest of every query in it; then those of all shards, merged.

What a shard holds is ranked by exact distances in float64 before it is merged, so that the table of
candidates depends neither on how many shards or jobs there are, nor on blocks, threads or device.
(An index that approximates is asked for K of each shard: of more shards it finds more.)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from tttnn.digests import DamagedError
from tttnn.retrieval.candidates import GROUP_BYTES, QueryTable, groups, read_query_ids, writing
from tttnn.retrieval.faiss_files import checked, guards, sealed_digest
from tttnn.retrieval.merged import MANIFEST, engine_of, read_manifest
from tttnn.retrieval.targets import Targets
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.base import Section
from tttnn.sections.memory import room
from tttnn.tables import OPTIONS, sealing

FOUND = [
    ("query_id", pa.int64()),
    ("passage_id", pa.int64()),  # -1: none
    ("distance", pa.float64()),  # squared Euclidean
]
QUERIES_TOGETHER = 256  # in a row group


class SearchSpec(Section):
    """K; the index; and what it is asked with, such as how many lists are read for a query."""

    candidates: int
    kind: str
    factory: str
    share: float
    asked: dict[str, Any]


class MergeSpec(Section):
    """K."""

    candidates: int


class Shard:
    """A shard that is open to be searched: its vectors, and the index of a type that has files.

    `digest` tells its index from any other: of an exact one it is that of its vectors' manifests,
    of others the SHA-256 of the shard's index file. `rows` is how many passages are indexed.

    Raises `DamagedError` before faiss reads a byte where the file is not what was written, or is
    not the index of these vectors.
    """

    def __init__(
        self, kind: str, factory: str, share: float, embeddings: Path, index: Path | None
    ) -> None:
        self.store = VectorStore.of([embeddings])
        self._engine, self._share = engine_of(kind), share
        self._index: faiss.Index | None = None
        if index is None:
            self.digest, self.rows = self.store.digest, self.store.held(share)
            return
        expected = guards(kind, factory, self.store.dimension, self.store.embedder)
        said = checked(index, expected | {"share": share, "vectors": self.store.digest})
        self.digest, self.rows = sealed_digest(index), int(said["rows"])
        self._index = self._engine.opened(index)

    def find(
        self, vectors: np.ndarray, k: int, asked: dict[str, Any], memory: int, device: str = "cpu"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances, float64, and passage ids of the K nearest, by (distance, id).

        Both are (queries, k), with fewer columns where the shard has fewer passages; -1: none.
        `vectors` is float32 (queries, d); `memory` is in bytes, of blocks and groups of queries.
        """
        return self._engine.find(
            self._index,
            self.store,
            vectors,
            k,
            share=self._share,
            asked=asked,
            memory=memory,
            device=device,
        )


def merged(found: list[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The K nearest of several shards': distances and ids, (queries, at most k) each.

    By (distance, id); -1, which stands for none, comes last.
    """
    distances = np.concatenate([each for each, _ in found], axis=1)
    ids = np.concatenate([each for _, each in found], axis=1)
    distances = np.where(ids < 0, np.inf, distances)
    order = np.lexsort((ids, distances), axis=1)[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(ids, order, 1)


def _device(gpus: int) -> str:
    if not gpus:
        return "cpu"
    import torch  # seconds, and only where a job has a GPU

    return "cuda" if torch.cuda.is_available() else "cpu"


def search_shard(
    spec: SearchSpec,
    embeddings: Path,
    index: list[Path],
    vectors: Path,
    output: Path,
    memory_mb: int,
    gpus: int = 0,
) -> None:
    """Write the K nearest passages of one shard for every query: `query_id, passage_id, distance`.

    `embeddings` is the shard's list; `index` its index's file, and empty for an exact index, which
    is the embeddings. `vectors` holds the embeddings of all queries of a set, in whose order rows
    are, and by (distance, passage id), as many for each query, -1 where fewer were found.

    In memory are the queries' ids, and of as many queries as `memory_mb` has room for their vectors
    and what was found; and blocks of the shard's vectors.

    Raises `ValueError` where the queries are of another embedder, and `DamagedError`.
    """
    targets = Targets(vectors)
    shard = Shard(spec.kind, spec.factory, spec.share, embeddings, next(iter(index), None))
    _check_embedder(vectors, targets, embeddings, shard.store)
    memory, device = room(memory_mb), _device(gpus)
    said = {
        "index": shard.digest,
        "rows": shard.rows,
        "embedder": shard.store.embedder,
        "asked": {name: value for name, value in spec.asked.items() if name != "kind"},
    }
    schema = pa.schema(FOUND, metadata={"said": json.dumps(said, sort_keys=True)})
    k = min(spec.candidates, shard.rows)
    each = 2 * targets.dimension * 4 + GROUP_BYTES * max(1, k)
    with sealing(output) as beside, pq.ParquetWriter(beside, schema, **OPTIONS) as writer:
        for group in groups(len(targets), each, memory // 2):
            distances, ids = shard.find(targets[group], k, spec.asked, memory // 2, device)
            members = np.repeat(targets.ids[group], ids.shape[1])
            table = pa.table([members, ids.ravel(), distances.ravel()], schema=schema)
            writer.write_table(table, row_group_size=QUERIES_TOGETHER * max(1, ids.shape[1]))
            print(f"{output}: {group.stop} of {len(targets)} queries", file=sys.stderr)


def _check_embedder(vectors: Path, targets: Targets, embeddings: Path, store: VectorStore) -> None:
    if targets.embedder != store.embedder:
        raise ValueError(
            f"{vectors} is of another embedder than the passages of {embeddings}: remove the one "
            "that is out of date and run again"
        )
    if targets.dimension != store.dimension:
        raise ValueError(
            f"{vectors} has {targets.dimension} dimensions, the passages of {embeddings} "
            f"{store.dimension}: remove the one that is out of date and run again"
        )


def _check_found(found: list[Path], tables: list[QueryTable], index: list[Path]) -> int:
    """How many passages all shards hold; raises `DamagedError` where they are not one index's."""
    said = [json.loads(table.said["said"]) for table in tables]
    for path, each in zip(found, said, strict=True):
        for name in ("embedder", "asked"):
            if each[name] != said[0][name]:
                raise DamagedError(
                    f"{path} was found with another {name} than {found[0]}: remove both and run "
                    "again"
                )
    if index:
        manifest = read_manifest(index[0])
        parts = [manifest["parts"][name]["sha256"] for name in manifest["shards"]]
        for path, each, expected in zip(found, said, parts, strict=True):
            if each["index"] != expected:
                raise DamagedError(
                    f"{path} was found in an index of SHA-256 {each['index']}, "
                    f"{index[0] / MANIFEST} has {expected}: remove the former and run again"
                )
    return sum(each["rows"] for each in said)


def merge_candidates(
    spec: MergeSpec,
    found: list[Path],
    index: list[Path],
    queries: list[Path],
    outputs: list[Path],
    memory_mb: int,
) -> None:
    """Write each task's candidates: the K nearest passages of every query, nearest first.

    `found` are what `search_shard` wrote of each shard, in order; `index` is the merged index,
    whose files these must have been found in, and empty for an exact one. `outputs` are the tables,
    a file a task in the order of `queries`. An index of fewer than K passages gives them all.

    In memory are some queries' candidates, of one shard after the other.

    Raises `ValueError` if a query finds fewer than K, or a passage twice, or if the shards were not
    searched for the same, or are not the index's.
    """
    query_ids = read_query_ids(queries)
    all_ids = np.concatenate([np.empty(0, np.int64), *query_ids])
    tables = [QueryTable(path, all_ids) for path in found]
    k = min(spec.candidates, _check_found(found, tables, index))
    start = 0
    progress = tqdm(total=len(all_ids), unit=" queries", mininterval=5, delay=5)
    for members, output in zip(query_ids, outputs, strict=True):
        with writing(output) as writer:
            for group in groups(len(members), 2 * GROUP_BYTES * k, room(memory_mb)):
                rows = slice(start + group.start, start + group.stop)
                distances, ids = _nearest_of_all(tables, rows, k)
                _check_complete(members[group], ids, k, output)
                writer.write(members[group], distances, ids)
                progress.update(group.stop - group.start)
        start += len(members)
    progress.close()


def _nearest_of_all(tables: list[QueryTable], rows: slice, k: int) -> tuple[np.ndarray, np.ndarray]:
    count = rows.stop - rows.start
    best = np.empty((count, 0)), np.empty((count, 0), np.int64)
    for table in tables:
        found = table.read(rows)
        best = merged([best, (found["distance"], found["passage_id"])], k)
    return best


def _check_complete(members: np.ndarray, ids: np.ndarray, k: int, output: Path) -> None:
    short = np.flatnonzero((ids < 0).any(axis=1))
    if len(short):
        raise ValueError(
            f"query {members[short[0]]} found {int((ids[short[0]] >= 0).sum())} of {k} candidates "
            f"({len(short)} queries found too few): raise nprobe or lower search.candidates"
        )
    in_order = np.sort(ids, axis=1)
    twice = np.argwhere(in_order[:, 1:] == in_order[:, :-1])
    if len(twice):
        row, place = twice[0]
        raise DamagedError(
            f"{output}: query {members[row]} found passage {in_order[row, place]} twice: remove "
            "what was found, and the index, and run again"
        )
