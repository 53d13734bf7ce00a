"""Embeddings on disk beside the passages they belong to, never all in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tttnn.digests import DamagedError, read_record, write_record
from tttnn.environment import Environment
from tttnn.files import name_within
from tttnn.retrieval.published import PublishedRows, check_opened
from tttnn.retrieval.rows import Rows
from tttnn.tables import open_table, table_digest

COUNTED_AT_ONCE = 1 << 20  # ids whose share is looked at together


def manifest_of(vectors: Path) -> Path:
    """Where the manifest of a chunk's vectors is: beside them."""
    return vectors.with_suffix(".json")


class _Chunk(NamedTuple):
    """A chunk's vectors, and what its manifest says of them."""

    rows: Rows | PublishedRows
    manifest: dict[str, Any]
    start: int  # the first passage id
    remedy: str  # where a vector is damaged


def _open(passages: Path, vectors: Path, listed: Path | None = None) -> _Chunk:
    """A chunk's vectors and their manifest, found to be of these passages."""
    also = "" if listed is None else f" and {listed}"
    remedy = f"remove {vectors}{also} and run again"
    if not (manifest_of(vectors).is_file() and vectors.is_file()):
        missing = vectors if manifest_of(vectors).is_file() else manifest_of(vectors)
        raise DamagedError(f"{missing} is missing: {remedy}")
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
    start = _first_id(passages) if len(rows) else 0
    return _Chunk(rows, manifest, start, "" if listed is None else f"; remove {listed}, too")


def _first_id(passages: Path) -> int:
    return open_table(passages).metadata.row_group(0).column(0).statistics.min


def list_embeddings(passages: list[Path], embeddings: list[Path], output: Path) -> None:
    """Write the list of a shard's chunks, JSON, for those who want its vectors.

    `output` is `embeddings/{embedder}/{shard}.json`. Files are named from the folder that holds
    `embeddings/`, with the digest of each chunk's manifest, so that a list is of these vectors and
    of no others. Raises `ValueError` where a chunk's vectors are not of its passages.
    """
    root = output.absolute().parents[2]
    chunks = []
    for passage_file, vector_file in zip(passages, embeddings, strict=True):
        chunk = _open(passage_file, vector_file)
        chunks.append(
            {
                "passages": str(passage_file.absolute().relative_to(root)),
                "vectors": str(vector_file.absolute().relative_to(root)),
                "rows": len(chunk.rows),
                "manifest": _digest(chunk.manifest),
            }
        )
    write_record(output, {"chunks": chunks})


def _digest(manifest: dict[str, Any]) -> str:
    """Of the values that say what a chunk's vectors are, wherever they were made."""
    keys = ("rows", "dimension", "dtype", "sha256", "passages", "embedder")
    return hashlib.sha256(repr([manifest[key] for key in keys]).encode()).hexdigest()


def _listed(path: Path) -> Iterator[_Chunk]:
    """The chunks of a shard's list; raises `DamagedError` unless they are those."""
    root, record = path.absolute().parents[2], read_record(path)
    if "published" in record:
        yield from _adopted(path, record)
        return
    for entry in record["chunks"]:
        files = [name_within(root, entry[key], path) for key in ("passages", "vectors")]
        chunk = _open(files[0], files[1], path)
        if _digest(chunk.manifest) != entry["manifest"]:
            raise DamagedError(
                f"{files[1]} is not what {path} lists: remove the latter and run again"
            )
        yield chunk


def _adopted(path: Path, record: dict[str, Any]) -> Iterator[_Chunk]:
    """The chunks of a list that `tttnn.retrieval.adopt` wrote: parts of one published file."""
    root, said = path.absolute().parents[2], record["published"]
    file = Path(said["file"])
    header = check_opened(file, said, f"copy it again, or remove {path} and run again")
    first = 0
    for entry in record["chunks"]:
        passages, manifest = name_within(root, entry["file"], path), entry["manifest"]
        if table_digest(passages) != manifest["passages"]:
            raise DamagedError(
                f"{passages} is not the file that {path} lists: remove the latter and run again"
            )
        rows = PublishedRows(file, header, first, manifest["rows"], said["skipped"])
        first += len(rows)
        yield _Chunk(rows, manifest, _first_id(passages) if len(rows) else 0, "")


class VectorStore:
    """Vectors by passage id, and in blocks, memory-mapped from the chunks' files.

    `passages` and `embeddings` are the files of the same chunks, in order of passage id; beside
    each of the latter is its manifest. Whether a chunk's vectors are of these passages is compared
    when it is opened, by digests that are at hand; a vector when it is read (see
    `tttnn.retrieval.rows`). In memory are a few numbers of each chunk, and what is asked for.

    Raises `ValueError` if a pair is not of one chunk, or if files differ in dimension or embedder.
    """

    def __init__(self, passages: list[Path], embeddings: list[Path]) -> None:
        if len(passages) != len(embeddings):
            raise ValueError(f"{len(passages)} passage files, {len(embeddings)} embedding files")
        pairs = zip(passages, embeddings, strict=True)
        self._take((_open(passage_file, vector_file) for passage_file, vector_file in pairs))

    @classmethod
    def of(cls, lists: list[Path]) -> VectorStore:
        """The vectors of shards, by what `list_embeddings` wrote of each, in their order."""
        store = cls.__new__(cls)
        store._take(chunk for path in lists for chunk in _listed(path))
        return store

    def _take(self, chunks: Iterator[_Chunk]) -> None:
        self._starts: list[int] = []
        self._arrays: list[Rows | PublishedRows] = []
        self._remedies: list[str] = []
        self.environments: list[Environment] = []
        """What each chunk was embedded with; more than one where an embedding was gone on with."""
        self.embedder = ""
        """The digest of the embedder's manifest."""
        digest = hashlib.sha256()
        for vectors, manifest, start, remedy in chunks:
            self.environments += manifest["environments"]
            digest.update(_digest(manifest).encode())
            if self._arrays and vectors.shape[1] != self.dimension:
                raise ValueError(
                    f"{vectors.path} has {vectors.shape[1]} dimensions, the others "
                    f"{self.dimension}: embed all chunks with one embedder"
                )
            if manifest["embedder"] != (self.embedder or manifest["embedder"]):
                raise ValueError(
                    f"{vectors.path} is of another embedder than the chunks before it: remove its "
                    "folder, and embed all chunks with one embedder"
                )
            self.embedder = manifest["embedder"]
            last = vectors.path
            if len(vectors):
                self._starts.append(start)
                self._arrays.append(vectors)
                self._remedies.append(remedy)
        if not self._arrays:
            raise ValueError(f"no passages with vectors in {last.parent}: nothing to search")
        if self._starts != sorted(self._starts):
            raise ValueError("chunk files are not in the order of their passage ids")
        self.digest = digest.hexdigest()
        """Of all vectors and where they are from, by their manifests: an exact index's."""
        self._ends = np.cumsum([len(vectors) for vectors in self._arrays])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._arrays[0].shape[1]

    def ranges(self) -> list[range]:
        """The passage ids of each chunk with any, ascending."""
        pairs = zip(self._starts, self._arrays, strict=True)
        return [range(start, start + len(vectors)) for start, vectors in pairs]

    def ids_at(self, places: np.ndarray) -> np.ndarray:
        """The passage ids, int64, at places in the ascending order of all of them."""
        files = np.searchsorted(self._ends, places, side="right")
        before = np.concatenate([[0], self._ends])[files]
        return np.asarray(self._starts, np.int64)[files] + (places - before)

    def held(self, share: float = 1.0) -> int:
        """How many passages there are, or a share of them has."""
        if share >= 1:
            return len(self)
        blocks = (
            np.arange(first, min(first + COUNTED_AT_ONCE, each.stop))
            for each in self.ranges()
            for first in range(each.start, each.stop, COUNTED_AT_ONCE)
        )
        return sum(int(in_share(block, share).sum()) for block in blocks)

    def _rows(self, file: int, places: slice | np.ndarray) -> np.ndarray:
        try:
            return self._arrays[file][places]
        except DamagedError as error:
            raise DamagedError(f"{error}{self._remedies[file]}") from None

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
        for file, (start, vectors) in enumerate(zip(self._starts, self._arrays, strict=True)):
            for first in range(0, len(vectors), rows):
                ids = np.arange(start + first, start + min(first + rows, len(vectors)))
                keep = in_share(ids, share)
                number += bool(keep.any())
                if not keep.any() or (only is not None and number not in only):
                    continue
                block = self._rows(file, slice(first, first + rows))
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
            rows[members] = self._rows(file, offsets)
        return rows[places].reshape(*np.shape(ids), self.dimension)

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray:
        """At most `rows` vectors drawn without replacement, float32.

        As many as are drawn are in memory. Of more than 50 times as many, numpy draws without a
        list of all of them.
        """
        total = len(self)
        chosen = np.sort(generator.choice(total, min(rows, total), replace=False))
        drawn = np.empty((len(chosen), self.dimension), np.float32)
        files = np.searchsorted(self._ends, chosen, side="right")
        for file in np.unique(files):
            members = np.flatnonzero(files == file)
            first = self._ends[file] - len(self._arrays[file])
            drawn[members] = self._rows(file, chosen[members] - first)
        return drawn


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
