"""Embeddings on disk beside the passages they belong to, never all in memory."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tttnn.digests import DamagedError, read_record
from tttnn.environment import Environment
from tttnn.retrieval.rows import Rows
from tttnn.tables import open_table, table_digest


def manifest_of(vectors: Path) -> Path:
    """Where the manifest of a chunk's vectors is: beside them."""
    return vectors.with_suffix(".json")


def _open(passages: Path, vectors: Path) -> tuple[Rows, dict[str, Any]]:
    """A chunk's vectors and their manifest, found to be of these passages."""
    remedy = f"remove {vectors} and run again"
    if not manifest_of(vectors).is_file():
        raise DamagedError(f"{manifest_of(vectors)} is missing: {remedy}")
    manifest = read_record(manifest_of(vectors), remedy)
    if manifest["passages"] != table_digest(passages):
        raise DamagedError(
            f"{vectors} was made of {manifest['rows']} passages that are not those of {passages}: "
            f"they are not of the same chunk, or one was made again; {remedy}"
        )
    rows = Rows(vectors)
    expected = ([manifest["rows"], manifest["dimension"]], manifest["dtype"])
    if (list(rows.shape), rows.dtype.name) != expected:
        raise DamagedError(
            f"{vectors} has {rows.dtype.name} of shape {rows.shape}, its manifest expects "
            f"{expected[1]} of {tuple(expected[0])}: {remedy}"
        )
    return rows, manifest


class VectorStore:
    """Vectors by passage id, and in blocks, memory-mapped from the chunks' npy files.

    `passages` and `embeddings` are the files of the same chunks, in order of passage id; beside
    each of the latter is its manifest. Whether a chunk's vectors are of these passages is compared
    when it is opened, by digests that are at hand; a vector when it is read (see
    `tttnn.retrieval.rows`).

    Raises `ValueError` if a pair is not of one chunk, or if files differ in dimension or embedder.
    """

    def __init__(self, passages: list[Path], embeddings: list[Path]) -> None:
        if len(passages) != len(embeddings):
            raise ValueError(f"{len(passages)} passage files, {len(embeddings)} embedding files")
        self._starts: list[int] = []
        self._arrays: list[Rows] = []
        self.environments: list[Environment] = []
        """What each chunk was embedded with; more than one where an embedding was gone on with."""
        embedders: set[str] = set()
        for passage_file, vector_file in zip(passages, embeddings, strict=True):
            vectors, manifest = _open(passage_file, vector_file)
            self.environments += manifest["environments"]
            embedders.add(manifest["embedder"])
            if self._arrays and vectors.shape[1] != self.dimension:
                raise ValueError(
                    f"{vector_file} has {vectors.shape[1]} dimensions, the others "
                    f"{self.dimension}: embed all chunks with one embedder"
                )
            if len(embedders) > 1:
                raise ValueError(
                    f"{vector_file} is of another embedder than the chunks before it: remove its "
                    "folder, and embed all chunks with one embedder"
                )
            if len(vectors):
                metadata = open_table(passage_file).metadata
                self._starts.append(metadata.row_group(0).column(0).statistics.min)
                self._arrays.append(vectors)
        if not self._arrays:
            raise ValueError(f"no passages in {passages[0].parent.parent}: nothing to search")
        if self._starts != sorted(self._starts):
            raise ValueError("chunk files are not in the order of their passage ids")

    def __len__(self) -> int:
        return sum(len(vectors) for vectors in self._arrays)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._arrays[0].shape[1]

    def ids(self) -> np.ndarray:
        """Every passage id, ascending, int64."""
        pairs = zip(self._starts, self._arrays, strict=True)
        return np.concatenate([np.arange(start, start + len(vectors)) for start, vectors in pairs])

    def blocks(
        self,
        rows: int = 65536,
        share: float = 1.0,
        *,
        as_stored: bool = False,
        only: Container[int] | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(ids, vectors) of at most `rows` passages at a time, of a share of them all.

        Vectors are float32, or `as_stored`, float16 or float32. With `only`, those blocks are read
        whose numbers, counted from 0 as they come, are in it.
        """
        number = -1
        for start, vectors in zip(self._starts, self._arrays, strict=True):
            for first in range(0, len(vectors), rows):
                ids = np.arange(start + first, start + min(first + rows, len(vectors)))
                keep = in_share(ids, share)
                number += bool(keep.any())
                if not keep.any() or (only is not None and number not in only):
                    continue
                block = vectors[first : first + rows]
                if not keep.all():
                    ids, block = ids[keep], block[keep]
                yield ids, block if as_stored else block.astype(np.float32, copy=False)

    def fetch(self, ids: np.ndarray) -> np.ndarray:
        """Vectors of `ids` (any shape) as float64, with one more axis at the end.

        Raises `ValueError` for an id that no chunk holds.
        """
        unique, places = np.unique(ids, return_inverse=True)
        rows = np.empty((len(unique), self.dimension))
        files = np.searchsorted(self._starts, unique, side="right") - 1
        for file in np.unique(files):
            members = np.flatnonzero(files == file)
            offsets = unique[members] - self._starts[file] if file >= 0 else None
            if offsets is None or offsets[-1] >= len(self._arrays[file]):
                raise ValueError(f"passage {unique[members[-1]]} is in no chunk: rebuild the index")
            rows[members] = self._arrays[file][offsets]
        return rows[places].reshape(*np.shape(ids), self.dimension)

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray:
        """At most `rows` vectors drawn without replacement, float32."""
        total = len(self)
        chosen = np.sort(generator.choice(total, min(rows, total), replace=False))
        bounds = np.cumsum([0, *(len(vectors) for vectors in self._arrays)])
        parts = [
            vectors[chosen[(chosen >= low) & (chosen < low + len(vectors))] - low]
            for low, vectors in zip(bounds, self._arrays, strict=False)
        ]
        return np.concatenate(parts).astype(np.float32)


def in_share(ids: np.ndarray, share: float) -> np.ndarray:
    """Which passages belong to a share of them all; a smaller share is a part of a larger one.

    Decided by each id alone (the finaliser of SplitMix64, Steele et al. 2014), so that shards can
    be asked one by one.
    """
    if share >= 1:
        return np.full(np.shape(ids), True)
    x = np.asarray(ids).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))) < np.uint64(share * 2**64)


def squared_distances(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Squared Euclidean distance of each query (n, d) to each of its own vectors (n, k, d).

    In float64 and in one fixed order, so that results do not depend on a library's block size or
    number of threads, and the distance of equal vectors is 0.
    """
    difference = vectors - queries[:, None, :].astype(np.float64)
    return np.einsum("nkd,nkd->nk", difference, difference, optimize=False)
