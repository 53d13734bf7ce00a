"""Indexes that learn: from each shard, merged into one training, filled by shard, put together.

An exact index is the embeddings, and nothing is made for it. Of the others every shard uses the
same training, so shards can be indexed side by side, each has a file of its own, and none is
written twice. What depends on the type of index is in its folder of `tttnn.retrieval.indexes`,
whose `engine` has for every type

- `find(index, store, vectors, k, *, share, asked, memory, device)`: the K nearest of a shard;

and for one that learns

- `learn(spec, store)`: what a shard's vectors teach, as arrays by name;
- `merge_learnt(spec, learnt)`: all shards' as a trained, empty faiss index that takes ids;
- `fill(spec, trained, store, beside, path, memory)`: write a shard's index; how many it holds;
- `opened(path)`: a shard's index, its codes mapped where faiss can; `ids(path)`: the passage ids in
  it, some at a time; `list_sizes(index)`: how many each of its lists has, None without lists;
- `together(trained, shards)`: the shards' files as one index, nothing copied.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import faiss
import numpy as np
from pydantic import BeforeValidator, SerializeAsAny
from tqdm import tqdm

from tttnn.environment import distinct, environment
from tttnn.retrieval.faiss_files import (
    checked,
    guards,
    sealed_digest,
    write_index,
    write_sealed,
)
from tttnn.retrieval.merged import engine_of, write_merged
from tttnn.retrieval.tensors import load_tensors, save_tensors
from tttnn.retrieval.vectors import VectorStore, in_share
from tttnn.sections.base import Section
from tttnn.sections.index import Index
from tttnn.sections.kinds import INDEXES
from tttnn.sections.kinds import checked as checked_settings
from tttnn.sections.memory import room


class IndexSpec(Section):
    """The index's settings, checked by the class of its own type."""

    index: SerializeAsAny[Annotated[Index, BeforeValidator(partial(checked_settings, INDEXES))]]


def _guards(spec: Index, dimension: int, embedder: str) -> dict[str, Any]:
    return guards(spec.kind, spec.factory, dimension, embedder)


def train_shard_index(spec: IndexSpec, embeddings: Path, output: Path, memory_mb: int) -> None:
    """Learn from a sample of a shard what the index type needs; `output` is safetensors.

    `embeddings` is the shard's list (`tttnn.retrieval.vectors.list_embeddings`). In memory is the
    sample, `sample_per_shard` vectors, a few times over: it does not grow with the shard.
    """
    del memory_mb  # what is held is the sample; the plan refuses one that is above it
    store = VectorStore.of([embeddings])
    tensors = engine_of(spec.index.kind).learn(spec.index, store)
    said = {"embedder": store.embedder, "environments": [environment()]}
    save_tensors(output, tensors, said)


def merge_training(spec: IndexSpec, shards: list[Path], output: Path, memory_mb: int) -> None:
    """Merge what the shards taught into the one training that every shard shares.

    `output` is a trained, empty faiss index. In memory is what all shards taught: centroids, and at
    most `KEPT` vectors of each. Raises `ValueError` if there are fewer vectors than inverted lists,
    or if faiss cannot make such codes of vectors of this dimension, or of so few.
    """
    del memory_mb  # as above
    loaded = [load_tensors(path) for path in shards]
    learnt = [tensors for tensors, _ in loaded]
    environments = [one for _, said in loaded for one in said["environments"]]
    embedders = [said["embedder"] for _, said in loaded]
    for path, embedder in zip(shards, embedders, strict=True):
        if embedder != embedders[0]:
            raise ValueError(
                f"{path} learnt from vectors of another embedder than {shards[0]}: remove both and "
                "run again"
            )
    try:
        index = engine_of(spec.index.kind).merge_learnt(spec.index, learnt)
    except RuntimeError as error:  # faiss's own, which name its source files first
        reason = str(error).rpartition("Error: ")[2]
        raise ValueError(f"faiss cannot train {spec.index.factory}: {reason}") from error
    said = _guards(spec.index, index.d, embedders[0])
    made_with = distinct([*environments, environment()])
    write_index(index, output, said | {"environments": made_with})


def fill_shard_index(
    spec: IndexSpec, trained: Path, embeddings: Path, output: Path, memory_mb: int
) -> None:
    """Add a share of a shard's vectors, under their passage ids, to the trained index.

    `output` is one index file, whose seal says what it is, how many it holds and of which training.
    In memory are the training, a block of vectors, and as many codes as `memory_mb` has room for.
    """
    store, share = VectorStore.of([embeddings]), spec.index.share
    expected = _guards(spec.index, store.dimension, store.embedder)
    said = checked(trained, expected)
    made_with = distinct([*said["environments"], environment()])
    rows = store.held(share)
    fill = engine_of(spec.index.kind).fill
    write_sealed(
        lambda beside: fill(spec.index, trained, store, beside, output, room(memory_mb)),
        output,
        expected
        | {
            "rows": rows,
            "share": share,
            "trained": sealed_digest(trained),
            "vectors": store.digest,
            "environments": made_with,
        },
    )


def _check_ids(path: Path, kind: str, store: VectorStore, share: float) -> None:
    """Raise `ValueError` unless the ids in a shard's file are exactly those of a share of it.

    A byte for each passage of a chunk is in memory, and some ids of the file at a time.
    """
    ranges = store.ranges()
    seen = [np.zeros(len(each), bool) for each in ranges]
    starts = np.array([each.start for each in ranges])
    count = 0
    is_known = True
    for ids in engine_of(kind).ids(path):
        count += len(ids)
        files = np.searchsorted(starts, ids, side="right") - 1
        for file in np.unique(files):
            places = ids[files == file] - starts[file]
            is_known &= bool(file >= 0 and (places < len(seen[file])).all())
            if is_known:
                seen[file][places] = True
    held = store.held(share)
    is_known &= all(
        not seen[file][np.flatnonzero(~in_share(np.asarray(each), share))].any()
        for file, each in enumerate(ranges)
        if share < 1
    )
    if not is_known or count != held or sum(int(each.sum()) for each in seen) != held:
        raise ValueError(
            f"{path} holds {count} ids, its passages are {held}, and they do not match one to one: "
            "remove it and run again"
        )


def merge_index(
    spec: IndexSpec,
    trained: Path,
    shards: list[Path],
    embeddings: list[Path],
    output: Path,
    memory_mb: int,
) -> None:
    """Make one index of the shards' and check it against the passages, shard by shard.

    `embeddings` are the shards' lists, in their order. `output` is a folder: the training and the
    shards' files, hard links where the file system has them, and `manifest.json` (see
    `tttnn.retrieval.merged`). In memory is a byte for each passage of one shard.

    Raises `ValueError` if a shard's file is damaged, is not of this training, or if the ids in it
    are not exactly those of its passages, or of the share of them that is indexed.
    """
    del memory_mb  # a byte for each passage of a shard
    kind, share = spec.index.kind, spec.index.share
    stores = [VectorStore.of([path]) for path in embeddings]
    expected = _guards(spec.index, stores[0].dimension, stores[0].embedder)
    said = [checked(trained, expected)]
    own = {"share": share, "trained": sealed_digest(trained)}
    for path, store in zip(tqdm(shards, unit=" shards", delay=5), stores, strict=True):
        expected["embedder"] = store.embedder
        said.append(checked(path, expected | own | {"vectors": store.digest}))
        _check_ids(path, kind, store, share)
    made_with = distinct([one for each in said for one in each["environments"]] + [environment()])
    manifest = expected | {
        "share": share,
        "rows": sum(each["rows"] for each in said[1:]),
        "environments": made_with,
    }
    write_merged(output, manifest, trained, shards, faiss.omp_get_max_threads())
