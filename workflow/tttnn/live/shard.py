"""A shard of an index, open for searching; and what tells a run's index from another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tttnn.config.load import load
from tttnn.config.root import Config
from tttnn.corpus.passages import ROW_BITS, PassageStore
from tttnn.digests import DamagedError, check_seal, read_record
from tttnn.files import sha256
from tttnn.reading import read_json
from tttnn.retrieval.rows import Rows
from tttnn.retrieval.search import SPARE
from tttnn.retrieval.vectors import VectorStore, manifest_of, squared_distances
from tttnn.sections.base import nearest

BLOCK = 65536  # vectors that are compared at once
RANKED = 16 << 20  # bytes of vectors whose distances are taken at once


@dataclass(frozen=True)
class Build:
    """What a run's index is; answers of shards of different builds do not go together."""

    digest: str
    run: str
    index: str
    embedder: str  # digest of the embedder's manifest
    dimension: int
    shards: dict[str, str]  # the digest of each of the run's shards, by name


class Run:
    """A run's results, as far as a search needs them; raises `ValueError` where they are not."""

    def __init__(self, name: str, index: str | None = None, folder: Path | None = None) -> None:
        self.folder = (folder or Path.cwd()) / "results" / name
        file = self.folder / "config.json"
        if not file.is_file():
            raise ValueError(
                f"{file} is missing: give --run the name of a run that was started in this folder"
            )
        self.config: Config = load(read_json(file))
        built = self.config.built_indexes
        self.index = built[0] if index is None else index
        if self.index not in built:
            raise ValueError(f"run {name} has no index {self.index!r}.{nearest(self.index, built)}")
        self.settings = self.config.indexes[self.index]
        self.embedder = self.folder / "models" / self.settings.embedder

    def files(self, shard: str) -> tuple[list[Path], list[Path]]:
        """A shard's files of passages and of embeddings."""
        chunks = range(self.config.chunk.chunks_per_shard)
        embeddings = self.folder / "embeddings" / self.settings.embedder
        return (
            [self.folder / "passages" / shard / f"{chunk}.parquet" for chunk in chunks],
            [embeddings / shard / f"{chunk}.npy" for chunk in chunks],
        )

    def index_file(self, shard: str) -> Path | None:
        """A shard's own index; None for an exact one, which is the embeddings."""
        if self.settings.kind == "flat":
            return None
        path = self.folder / "index" / self.index / "shards" / f"{shard}.faiss"
        if not path.is_file():
            raise ValueError(f"{path} is missing: index {self.index} has no shards to serve")
        return path

    def _manifests(self, shard: str) -> list[dict[str, Any]]:
        files = [manifest_of(path) for path in self.files(shard)[1]]
        for file in files:
            if not file.is_file():
                raise ValueError(f"{file} is missing: run the workflow to its candidates first")
        return [read_record(file) for file in files]

    def _shard_digest(self, shard: str, manifests: list[dict[str, Any]]) -> str:
        keys = ("passages", "sha256", "rows", "dimension", "dtype", "embedder")
        told: dict[str, Any] = {"chunks": [{key: each[key] for key in keys} for each in manifests]}
        if file := self.index_file(shard):
            told["index"] = sha256(file)
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def build(self) -> Build:
        """What the index is, by its shards' manifests; no vector is read."""
        shards, embedders, dimensions = {}, set(), set()
        for shard in self.config.shards:
            manifests = self._manifests(shard)
            shards[shard] = self._shard_digest(shard, manifests)
            embedders |= {each["embedder"] for each in manifests}
            dimensions |= {each["dimension"] for each in manifests}
        if len(embedders) > 1 or len(dimensions) > 1:
            raise ValueError(
                f"{self.folder / 'embeddings'} holds vectors of {len(embedders)} embedders: run "
                "the workflow again"
            )
        values = {
            "run": self.config.run,
            "index": self.index,
            "embedder": embedders.pop(),
            "dimension": dimensions.pop(),
            "shards": shards,
        }
        told = values | {"built": self.settings.built(), "asked": self.settings.asked()}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        return Build(digest=digest, **values)


class _Compared(Rows):
    """Vectors that are compared with their checksums when they are opened, and then no more.

    To compare them whenever they are read takes longer than to search them, and who answers for
    days would compare the same ones thousands of times.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for first in range(0, len(self), BLOCK):
            super().__getitem__(slice(first, first + BLOCK))

    def __getitem__(self, places: slice | np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self._rows[places])


class _Held(VectorStore):
    """A shard's vectors, all of them read once, which also has them in the memory's cache."""

    def __init__(self, passages: list[Path], embeddings: list[Path]) -> None:
        super().__init__(passages, embeddings)
        self._arrays = [_Compared(rows.path) for rows in self._arrays]


class OpenShard:
    """One shard, memory-mapped; all of its vectors were read, and compared, when it was opened."""

    def __init__(self, run: Run, name: str) -> None:
        passages, embeddings = run.files(name)
        self.name = name
        self._store = _Held(passages, embeddings)
        self._passages = PassageStore(passages)
        self._share = run.settings.share
        self.rows = sum(len(ids) for ids, _ in self._store.blocks(BLOCK, self._share))
        self.dimension = self._store.dimension
        self._opened: faiss.Index | None = None
        if file := run.index_file(name):
            check_seal(file)
            self._opened = faiss.read_index(str(file), faiss.IO_FLAG_MMAP)
            self._opened.nprobe = run.settings.asked()["nprobe"]

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and ids, both (n, at most k), by (distance, id)."""
        wanted = min(k + SPARE, self.rows)
        if self._opened is not None:
            _, ids = self._opened.search(vectors, wanted)
        else:
            heap = faiss.ResultHeap(len(vectors), wanted)
            for names, block in self._store.blocks(BLOCK, self._share):
                distances, places = faiss.knn(vectors, block, min(wanted, len(block)))
                heap.add_result(distances, names[places])
            heap.finalize()
            ids = heap.I
        none = ids < 0
        if none[:, :1].any():
            raise DamagedError(f"shard {self.name}: a query found nothing; raise nprobe")
        there = np.where(none, ids[:, :1], ids)
        at_once = max(1, RANKED // (8 * ids.shape[1] * self.dimension))
        groups = (slice(at, at + at_once) for at in range(0, len(ids), at_once))
        exact = np.concatenate(
            [squared_distances(vectors[rows], self._store.fetch(there[rows])) for rows in groups]
        )
        return merged([(np.where(none, np.inf, exact), np.where(none, -1, ids))], k)

    def texts(self, ids: list[int]) -> dict[int, tuple[str, str | None]]:
        """Text and subset by id; raises `ValueError` for an id that is not the shard's."""
        return self._passages.fetch(ids)


def merged(found: list[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of several, by (distance, id); -1, at an infinite distance, is none."""
    distances, ids = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    order = np.lexsort((ids, distances), axis=1)[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(ids, order, 1)


def number_of(passage: int) -> int:
    """The number of the shard that a passage is in."""
    return passage >> ROW_BITS
