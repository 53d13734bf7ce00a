"""A shard of an index, open for searching; and what tells a run's index from another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tttnn.config.load import ConfigError, load
from tttnn.config.root import Config
from tttnn.corpus.passages import ROW_BITS
from tttnn.digests import check_file, read_record
from tttnn.files import sha256
from tttnn.live.at_hand import AtHand
from tttnn.live.texts import Kept, KeptPassages
from tttnn.places import run_folder
from tttnn.reading import read_json
from tttnn.retrieval import exact
from tttnn.retrieval.faiss_files import checked, guards
from tttnn.retrieval.merged import engine_of
from tttnn.retrieval.rows import Rows
from tttnn.retrieval.vectors import VectorStore, manifest_of
from tttnn.sections.base import nearest

BLOCK = 65536  # vectors that are compared at once, when they are opened
MEMORY = 256 << 20  # bytes of a search, at most


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

    def __init__(self, run: str | Path, index: str | None = None) -> None:
        self.folder = run_folder(run)
        file = self.folder / "config.json"
        if not file.is_file():
            raise ValueError(
                f"{file} is missing: start the run, or give --run the name or folder of one that "
                "was started"
            )
        try:
            self.config: Config = load(read_json(file))
        except ConfigError as error:
            raise ValueError(
                f"{file} was written by another version of the workflow: start the run once more, "
                f"or use the version that made it ({' '.join(str(error).split())[:300]})"
            ) from error
        built = self.config.built_indexes
        self.index = built[0] if index is None else index
        if self.index not in built:
            raise ValueError(
                f"run {self.folder.name} has no index {self.index!r}.{nearest(self.index, built)}"
            )
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

    def adopted(self, shard: str) -> Path | None:
        """The list of a shard's published vectors; None where they were made by the run."""
        name = self.settings.embedder
        if name not in self.config.embeddings.published:
            return None
        path = self.folder / "embeddings" / name / f"{shard}.json"
        if not path.is_file():
            raise ValueError(f"{path} is missing: run the workflow to its candidates first")
        return path

    def index_file(self, shard: str) -> Path | None:
        """A shard's own index; None for an exact one, which is the embeddings."""
        if self.settings.kind == "flat":
            return None
        path = self.folder / "index" / self.index / "shards" / f"{shard}.faiss"
        if not path.is_file():
            raise ValueError(f"{path} is missing: index {self.index} has no shards to serve")
        return path

    def _manifests(self, shard: str) -> list[dict[str, Any]]:
        if listed := self.adopted(shard):
            return [entry["manifest"] for entry in read_record(listed)["chunks"]]
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


def _adopted(listed: Path) -> VectorStore:
    """A shard's published vectors, the file compared as a whole."""
    said = read_record(listed)["published"]
    remedy = f"copy it again, or remove {listed} and run again"
    check_file(Path(said["file"]), said["sha256"], listed, remedy)
    return VectorStore.of([listed])


class OpenShard:
    """One shard, all of whose vectors were read, and compared, when it was opened; see `AtHand`.

    They are memory-mapped, and of a small one in memory as well. `kept` holds the texts that were
    asked for last, of all shards that are given the same.
    """

    def __init__(self, run: Run, name: str, kept: Kept | None = None) -> None:
        passages, embeddings = run.files(name)
        self.name = name
        listed = run.adopted(name)
        self._store = _adopted(listed) if listed else _Held(passages, embeddings)
        self._passages = KeptPassages(passages, kept or Kept())
        self._share = run.settings.share
        self.rows = self._store.held(self._share)
        self.dimension = self._store.dimension
        self._index = None
        self._at_hand: AtHand | None = None
        self._engine, self._asked = engine_of(run.settings.kind), run.settings.asked()
        if file := run.index_file(name):
            settings = run.settings
            expected = guards(settings.kind, settings.factory, self.dimension, self._store.embedder)
            told = {"share": settings.share, "vectors": self._store.digest}
            checked(file, expected | told)
            self._index = self._engine.opened(file)
        else:
            self._at_hand = AtHand.of(self._store, self._share)

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and ids, both (n, at most k), by (distance, id)."""
        k = min(k, max(1, self.rows))  # no room is wanted for more than there are
        if self._index is None:
            return self._exact(vectors, k)
        return self._engine.find(
            self._index,
            self._store,
            vectors,
            k,
            share=self._share,
            asked=self._asked,
            memory=MEMORY,
            device="cpu",
        )

    def _exact(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As the engine of an exact index does, without its line a search."""
        if self._at_hand is None:
            found = exact.search(self._store, vectors, k, share=self._share, memory=MEMORY)
            return found.distances, found.ids
        distances, ids, is_proven = self._at_hand.find(vectors, k)
        if not is_proven.all():
            again = exact.search(
                self._store, vectors[~is_proven], k, share=self._share, memory=MEMORY
            )
            distances[~is_proven], ids[~is_proven] = again.distances, again.ids
        return distances, ids

    def texts(self, ids: list[int]) -> dict[int, tuple[str, str | None]]:
        """Text and subset by id; raises `ValueError` for an id that is not the shard's."""
        return self._passages.fetch(ids)


def number_of(passage: int) -> int:
    """The number of the shard that a passage is in."""
    return passage >> ROW_BITS
