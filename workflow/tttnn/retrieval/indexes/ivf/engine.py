"""Inverted lists: centroids learnt from every shard, merged into one quantiser that all share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import faiss
import numpy as np
from tqdm import tqdm

from tttnn.files import no_space, reserve
from tttnn.retrieval.approximate import nearest_found
from tttnn.retrieval.faiss_files import to_file
from tttnn.retrieval.indexes.ivf.settings import ENOUGH, KEPT, Ivf
from tttnn.retrieval.vectors import VectorStore

ID_BYTES, FLOAT_BYTES = 8, 4
MOVED = 2  # a list's array doubles when it is full
ADDED_AT_ONCE = 65536  # vectors
SHORT = 10**8  # distances of an iteration of k-means; where there are more, it tells how far it is
WITHOUT_LISTS = b"il00"
PACKED = faiss.BlockInvertedLists


def _kmeans(
    vectors: np.ndarray,
    lists: int,
    seed: int,
    *,
    weights: np.ndarray | None = None,
    first: np.ndarray | None = None,
) -> faiss.Kmeans:
    """Lists learnt from vectors, from the centroids `first`, or from some of the vectors."""
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        lists,
        niter=20,
        seed=seed,
        verbose=len(vectors) * lists > SHORT,
        min_points_per_centroid=1,
        max_points_per_centroid=(2**31 - 1) // lists,  # the sample is already as large as wanted
    )
    kmeans.train(vectors, weights=weights, init_centroids=first)
    return kmeans


def learn(spec: Ivf, store: VectorStore) -> dict[str, np.ndarray]:
    """`centroids` (lists, d); `weights` (lists), how many of the shard's vectors each stands for.

    And `sample` (n, d), a part of what they were learnt from.
    """
    sample = store.sample(spec.sample_per_shard, np.random.default_rng(spec.seed))
    lists = min(spec.lists, len(sample))
    kmeans = _kmeans(sample, lists, spec.seed)
    _, nearest = kmeans.index.search(sample, 1)
    counts = np.bincount(nearest[:, 0], minlength=lists)
    kept = sample[:: -(-len(sample) // KEPT)]
    return {
        "centroids": kmeans.centroids,
        "weights": (counts * (len(store) / len(sample))).astype(np.float32),
        "sample": kept.copy(),  # safetensors ignores strides
    }


def merge_learnt(spec: Ivf, learnt: list[dict[str, np.ndarray]]) -> faiss.Index:
    """Cluster the shards' weighted centroids; a trained, empty index.

    Clusters start from centroids drawn by weight, as k-means over the vectors would start from more
    of them where there are more: drawn evenly, lists are up to three times as unbalanced. Where the
    shards kept enough of their vectors, the lists are bettered by these.
    """
    index = faiss.index_factory(learnt[0]["centroids"].shape[1], spec.factory, faiss.METRIC_L2)
    centroids = np.concatenate([tensors["centroids"] for tensors in learnt])
    weights = np.concatenate([tensors["weights"] for tensors in learnt])
    centroids, weights = centroids[weights > 0], weights[weights > 0]
    if len(centroids) < spec.lists:
        raise ValueError(
            f"{spec.factory} has {spec.lists} inverted lists, but the shards' samples only "
            f"have {len(centroids)} clusters: use fewer lists or raise sample_per_shard"
        )
    share = weights.astype(np.float64) / weights.sum(dtype=np.float64)
    generator = np.random.default_rng(spec.seed)
    first = centroids[generator.choice(len(centroids), spec.lists, replace=False, p=share)]
    merged = _kmeans(centroids, spec.lists, spec.seed, weights=weights, first=first).centroids
    sample = np.concatenate([tensors["sample"] for tensors in learnt])
    if len(sample) >= ENOUGH * spec.lists:
        each = [np.full(n := len(t["sample"]), t["weights"].sum() / n, np.float32) for t in learnt]
        weights = np.concatenate(each)
        merged = _kmeans(sample, spec.lists, spec.seed, weights=weights, first=merged).centroids
        merged = _without_empty(merged, sample, weights)
    ivf = faiss.extract_index_ivf(index)
    if spec.is_rotated:  # a rotation keeps distances: centroids learnt before it are good after it
        rotation = faiss.downcast_VectorTransform(index.chain.at(0))
        rotation.train(sample)
        merged, sample = rotation.apply(merged), rotation.apply(sample)
    ivf.quantizer.train(merged)
    ivf.quantizer.add(merged)
    ivf.train(sample)
    index.is_trained = ivf.is_trained
    return index


def _without_empty(centroids: np.ndarray, sample: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Centroids (lists, d) of which each is the nearest of a vector of the sample.

    One that is not is put where another has the vector that, by its weight, is worst off.
    """
    centroids = centroids.copy()
    for _ in range(10):
        quantizer = faiss.IndexFlatL2(centroids.shape[1])
        quantizer.add(centroids)
        distances, nearest = (each[:, 0] for each in quantizer.search(sample, 1))
        members = np.bincount(nearest, minlength=len(centroids))
        cost = distances * weights
        for empty in np.flatnonzero(members == 0):
            worst = np.argmax(np.where(members[nearest] > 1, cost, -1))
            centroids[empty] = sample[worst]
            members[nearest[worst]] -= 1
            members[empty], nearest[worst], cost[worst] = 1, empty, -1
        if len(np.unique(nearest)) == len(centroids) and not (cost < 0).any():
            break
    return centroids


def fill(
    spec: Ivf, trained: Path, store: VectorStore, beside: Path, path: Path, memory: int
) -> None:
    """Write a share of a shard's vectors, in their lists, to `beside`, which will be `path`.

    Lists that would take more than half of `memory` are filled in pieces, which lie beside until
    they are joined: as many bytes again on the disk. Lists of a fast scan, whose codes are packed,
    cannot be joined so: they are filled at once, a shard's in memory.
    """
    index = faiss.read_index(str(trained))
    code = faiss.extract_index_ivf(index).code_size + ID_BYTES
    rows = max(1, memory // 2 // (MOVED * code))
    pieces: list[Path] = []

    def put_aside() -> None:
        pieces.append(beside.with_name(f"{beside.name}.{len(pieces)}"))
        to_file(index, pieces[-1], path)
        index.reset()

    block = max(1, min(rows, ADDED_AT_ONCE, memory // 2 // (2 * FLOAT_BYTES * store.dimension)))
    progress = tqdm(
        total=store.held(spec.share), unit=" vectors", unit_scale=True, mininterval=5, delay=5
    )
    try:
        for ids_, vectors in store.blocks(block, spec.share):
            if index.ntotal and index.ntotal + len(ids_) > rows and not spec.is_packed:
                put_aside()
            index.add_with_ids(vectors, ids_)
            progress.update(len(ids_))
        if not pieces:
            to_file(index, beside, path)
            return
        put_aside()
        _join(index, pieces, beside, path)
    finally:
        progress.close()
        for piece in pieces:
            piece.unlink(missing_ok=True)


def _join(index: faiss.Index, pieces: list[Path], beside: Path, path: Path) -> None:
    """Write one index whose lists are those of the pieces, one after the other, mapped.

    faiss writes only lists that it holds in memory; an index without lists ends in four bytes that
    say so, in whose place come the lists as it would have written them (`write_InvertedLists`).
    """
    ivf = faiss.extract_index_ivf(index)
    kept = [opened_lists(piece) for piece in pieces]
    parts = [lists for _, lists in kept]
    sizes = [sum(part.list_size(number) for part in parts) for number in range(ivf.nlist)]
    index.ntotal = ivf.ntotal = sum(sizes)
    ivf.replace_invlists(None, True)
    to_file(index, beside, path)
    with beside.open("r+b") as file:
        file.seek(-len(WITHOUT_LISTS), os.SEEK_END)
        if file.read() != WITHOUT_LISTS:
            raise RuntimeError("this faiss writes an index without lists in another way")
        file.seek(-len(WITHOUT_LISTS), os.SEEK_END)
        start = file.tell()
        head = b"ilar" + np.array([ivf.nlist, ivf.code_size], "<u8").tobytes()
        head += b"full" + np.array([ivf.nlist, *sizes], "<u8").tobytes()
        size = start + len(head) + sum(sizes) * (ivf.code_size + ID_BYTES)
        try:
            reserve(file.fileno(), path, size)
            file.write(head)
            _write_lists(file, parts, ivf)
        except OSError as error:
            raise no_space(error, path, size) from error


def _write_lists(file: BinaryIO, parts: list[faiss.InvertedLists], ivf: faiss.IndexIVF) -> None:
    """Write each list's codes, of one part after the other, and then its ids."""
    for number in range(ivf.nlist):
        held = [(part, part.list_size(number)) for part in parts]
        for part, count in held:
            if count:
                codes = part.get_codes(number)
                file.write(faiss.rev_swig_ptr(codes, count * ivf.code_size))
        for part, count in held:
            if count:
                file.write(faiss.rev_swig_ptr(part.get_ids(number), count))


def opened(path: Path) -> faiss.Index:
    """A shard's index; its lists are mapped, but those of a fast scan are read."""
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP)


def opened_lists(path: Path) -> tuple[faiss.Index, faiss.InvertedLists]:
    """A shard's index, which has to be kept, and its lists."""
    index = opened(path)
    return index, faiss.extract_index_ivf(index).invlists


def ids(path: Path) -> Iterator[np.ndarray]:
    """The passage ids of a shard's file, a list at a time."""
    _index, lists = opened_lists(path)
    for number in range(lists.nlist):
        if lists.list_size(number):
            yield faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number)).copy()


def together(trained: Path, shards: list[Path]) -> faiss.Index:
    """The shards' lists as one index's, one shard's after another's, mapped.

    faiss's stack of lists knows nothing of a fast scan's packed ones; of these the shards are
    searched one after the other, and are in memory.
    """
    index = faiss.read_index(str(trained))
    kept = [opened_lists(path) for path in shards]
    if any(isinstance(faiss.downcast_InvertedLists(each), PACKED) for _, each in kept):
        found = faiss.IndexShards(index.d, False, False)
        for shard, _ in kept:
            found.add_shard(shard)
        found.referenced_objects = kept
        return found
    ivf = faiss.extract_index_ivf(index)
    stacked = faiss.InvertedListsPtrVector()
    for _, lists in kept:
        stacked.push_back(lists)
    stack = faiss.HStackInvertedLists(stacked.size(), stacked.data())
    ivf.replace_invlists(stack, False)
    index.ntotal = ivf.ntotal = sum(shard.ntotal for shard, _ in kept)
    index.referenced_objects = [kept, stack]  # faiss has only their addresses
    return index


def find(
    index: faiss.Index,
    store: VectorStore,
    vectors: np.ndarray,
    k: int,
    *,
    share: float,
    asked: dict[str, Any],
    memory: int,
    device: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances and passage ids of the K nearest in the `nprobe` lists that are read."""
    faiss.extract_index_ivf(index).nprobe = asked["nprobe"]
    return nearest_found(index, store, vectors, k, memory)


def list_sizes(index: faiss.Index) -> np.ndarray:
    """How many vectors each list has, int64."""
    lists = faiss.extract_index_ivf(index).invlists
    return np.array([lists.list_size(number) for number in range(lists.nlist)])
