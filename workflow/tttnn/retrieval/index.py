"""Indexes: learnt from each shard, merged into one training, filled by shard, merged again.

Every shard uses the same training, so shards can be indexed side by side and merged without adding
a vector twice. What depends on the type of index is in its folder of `tttnn.retrieval.indexes`,
whose `engine` has

- `learn(spec, store)`: what a shard's vectors teach, as arrays by name;
- `merge_learnt(spec, learnt)`: all shards' as a trained, empty faiss index that takes ids;
- `merge(spec, trained, shards, folder)`: the shards' files made into one index in `folder`; returns
  the names of the files that a search opens, one after the other;
- `ids(path)`: the passage ids in a shard's file;
- `OPENED`: faiss's flags for opening those files; and `ask(index, asked)`: what a search sets;
- `list_sizes(index)`, if its vectors are in lists: how many each list of such a file has.
"""

from __future__ import annotations

import importlib
import json
from collections import Counter
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import faiss
import numpy as np
from pydantic import BeforeValidator, SerializeAsAny

from tttnn.digests import (
    DamagedError,
    block_digests,
    check_blocks,
    check_seal,
    read_record,
    write_record,
)
from tttnn.environment import distinct, environment
from tttnn.files import name_within, replacing
from tttnn.retrieval.faiss_files import read_index, write_index
from tttnn.retrieval.tensors import load_tensors, save_tensors
from tttnn.retrieval.vectors import VectorStore, in_share
from tttnn.sections.base import Section
from tttnn.sections.index import Index
from tttnn.sections.kinds import INDEXES, checked, engine

MANIFEST = "manifest.json"


class IndexSpec(Section):
    """The index's settings, checked by the class of its own type."""

    index: SerializeAsAny[Annotated[Index, BeforeValidator(partial(checked, INDEXES))]]


def _engine(kind: str) -> ModuleType:
    return importlib.import_module(engine(INDEXES, kind))


def train_shard_index(
    spec: IndexSpec, passages: list[Path], embeddings: list[Path], output: Path
) -> None:
    """Learn from a sample of a shard what the index type needs; `output` is safetensors."""
    tensors = _engine(spec.index.kind).learn(spec.index, VectorStore(passages, embeddings))
    save_tensors(output, tensors, {"environments": [environment()]})


def merge_training(spec: IndexSpec, shards: list[Path], output: Path) -> None:
    """Merge what the shards taught into the one training that every shard shares.

    `output` is a trained, empty faiss index. Raises `ValueError` if there are fewer vectors than
    inverted lists, or if faiss cannot make such codes of vectors of this dimension, or of so few.
    """
    loaded = [load_tensors(path) for path in shards]
    learnt = [tensors for tensors, _ in loaded]
    environments = [one for _, said in loaded for one in said["environments"]]
    try:
        index = _engine(spec.index.kind).merge_learnt(spec.index, learnt)
    except RuntimeError as error:  # faiss's own, which name its source files first
        reason = str(error).rpartition("Error: ")[2]
        raise ValueError(f"faiss cannot train {spec.index.factory}: {reason}") from error
    write_index(index, output, distinct([*environments, environment()]))


def fill_shard_index(
    spec: IndexSpec, trained: Path, passages: list[Path], embeddings: list[Path], output: Path
) -> None:
    """Add a share of a shard's vectors, under their passage ids, to the trained index."""
    store = VectorStore(passages, embeddings)
    index, environments = read_index(trained)
    if index.d != store.dimension:
        raise ValueError(f"{trained} is for {index.d} dimensions, not {store.dimension}")
    for ids, vectors in store.blocks(share=spec.index.share):
        index.add_with_ids(vectors, ids)
    write_index(index, output, distinct([*environments, environment()]))


def merge_index(
    spec: IndexSpec,
    trained: Path,
    shards: list[Path],
    passages: list[Path],
    embeddings: list[Path],
    output: Path,
) -> None:
    """Make one index of the shards' and check it against the passages.

    `output` is a folder: the index's files, and `manifest.json`: the type, dimension, number of
    vectors, each file's size and the SHA-256 of each of its blocks (`tttnn.digests.BLOCK`), with
    what it was made, and with what how many of its chunks were embedded.

    Raises `ValueError` if a shard's file is damaged, or if the ids in the shards are not exactly
    those of the passages, or of the share of them that is indexed.
    """
    type_ = _engine(spec.index.kind)
    store = VectorStore(passages, embeddings)
    sealed = [check_seal(path) for path in (trained, *shards)]
    made_with = [one for said in sealed for one in said["environments"]]
    embedded = Counter(json.dumps(one, sort_keys=True) for one in store.environments)
    found, ids = np.sort(np.concatenate([type_.ids(path) for path in shards])), store.ids()
    ids = ids[in_share(ids, spec.index.share)]
    if not np.array_equal(found, ids):
        raise ValueError(
            f"the shard indexes in {shards[0].parent} hold {len(found)} ids, the passages are "
            f"{len(ids)}, and they do not match one to one: remove that folder and run again"
        )
    with replacing(output, directory=True) as beside:
        files = type_.merge(spec.index, trained, shards, beside)
        made = [file for file in sorted(beside.iterdir()) if file.is_file()]
        threads = faiss.omp_get_max_threads()
        write_record(
            beside / MANIFEST,
            {
                "kind": spec.index.kind,
                "factory": spec.index.factory,
                "share": spec.index.share,
                "dimension": store.dimension,
                "ntotal": len(ids),
                "indexes": files,
                "bytes": {file.name: file.stat().st_size for file in made},
                "blocks": {file.name: block_digests(file, threads) for file in made},
                "environments": distinct([*made_with, environment()]),
                "embeddings": [
                    {"environment": json.loads(one), "chunks": count}
                    for one, count in embedded.items()
                ],
            },
        )


class MergedIndex:
    """A merged index, open for searching: a list of indexes that are searched one after another.

    All of its files are compared with their digests when it is opened, blocks side by side: a flat
    index is read whole by a search anyway, and what a search reads of inverted lists is as much a
    matter of the lists that it passes over.

    Raises `DamagedError` if the folder is not what its manifest says.
    """

    def __init__(self, folder: Path) -> None:
        remedy = f"remove {folder} and run again"
        if not (folder / MANIFEST).is_file():
            raise DamagedError(f"{folder} has no {MANIFEST}: {remedy}")
        manifest = read_record(folder / MANIFEST, remedy)
        threads = faiss.omp_get_max_threads()
        for name, size in manifest["bytes"].items():
            file = name_within(folder, name, folder / MANIFEST)
            check_blocks(file, size, manifest["blocks"][name], threads, remedy)
        self._files = [name_within(folder, n, folder / MANIFEST) for n in manifest["indexes"]]
        self._engine = _engine(manifest["kind"])
        self.factory: str = manifest["factory"]
        self.share: float = manifest["share"]
        self.dimension: int = manifest["dimension"]
        self.ntotal: int = manifest["ntotal"]

    def search(
        self, queries: np.ndarray, k: int, asked: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances and passage ids, both (queries, k), of the nearest found; -1: none.

        `asked` has the settings that the type's `ASKED` names.
        """
        heap = faiss.ResultHeap(len(queries), k)
        for file in self._files:
            index = faiss.read_index(str(file), self._engine.OPENED)
            self._engine.ask(index, asked)
            distances, ids = index.search(queries, k)
            heap.add_result(distances, ids)
        heap.finalize()
        return heap.D, heap.I

    def list_sizes(self) -> np.ndarray | None:
        """How many vectors each list has, int64; None for a type of index without lists."""
        if not hasattr(self._engine, "list_sizes"):
            return None
        opened = (faiss.read_index(str(file), self._engine.OPENED) for file in self._files)
        return np.concatenate([self._engine.list_sizes(index) for index in opened])
