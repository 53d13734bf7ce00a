"""Inverted lists: centroids learnt from every shard, merged into one quantiser that all share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tttnn.files import no_space, reserve
from tttnn.retrieval.indexes.ivf.settings import ENOUGH, KEPT, Ivf
from tttnn.retrieval.vectors import VectorStore

LISTS = "lists.ivfdata"
ID_BYTES = 8
OPENED = faiss.IO_FLAG_ONDISK_SAME_DIR  # the lists are beside the index, wherever it is now


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
    index.quantizer.train(merged)
    index.quantizer.add(merged)
    index.train(sample)
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


def ids(path: Path) -> np.ndarray:
    """The passage ids of a shard's file, list by list."""
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    lists = index.invlists
    return np.concatenate(
        [
            faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number)).copy()
            for number in range(lists.nlist)
            if lists.list_size(number)
        ]
        or [np.empty(0, np.int64)]
    )


def merge(spec: Ivf, trained: Path, shards: list[Path], folder: Path) -> list[str]:
    """One index whose lists are on disk, in a file beside it; returns the index's name.

    The lists' file is what faiss's own `merge_ondisk` makes of it, byte for byte; but that one
    writes through a memory map, for which a full disk is the end of the process.
    """
    index = faiss.read_index(str(trained))
    ivf = faiss.extract_index_ivf(index)
    opened = [faiss.read_index(str(path), faiss.IO_FLAG_MMAP) for path in shards]
    parts = [faiss.extract_index_ivf(part).invlists for part in opened]
    lists = faiss.OnDiskInvertedLists(ivf.nlist, ivf.code_size, str(folder / LISTS))
    places = faiss.OnDiskOneListVector()
    end = 0
    for number in range(ivf.nlist):
        place = faiss.OnDiskOneList()
        place.size = place.capacity = sum(part.list_size(number) for part in parts)
        place.offset = end
        places.push_back(place)
        end += place.size * (ivf.code_size + ID_BYTES)
    lists.lists.swap(places)
    lists.totsize = end
    _write_lists(folder / LISTS, parts, ivf, end)
    ivf.ntotal = index.ntotal = end // (ivf.code_size + ID_BYTES)
    ivf.replace_invlists(lists, True)
    lists.this.disown()  # it is the index's now
    lists.filename = LISTS  # beside the index, see `OPENED`; where it was made is no part of it
    faiss.write_index(index, str(folder / "index.faiss"))
    return ["index.faiss"]


def _write_lists(
    path: Path, parts: list[faiss.InvertedLists], ivf: faiss.IndexIVF, size: int
) -> None:
    """Write each list's codes, of one part after the other, and then its ids."""
    try:
        with path.open("wb") as file:
            reserve(file.fileno(), path, size)
            for number in range(ivf.nlist):
                held = [(part, part.list_size(number)) for part in parts]
                for part, count in held:
                    if count:
                        codes = part.get_codes(number)
                        file.write(faiss.rev_swig_ptr(codes, count * ivf.code_size))
                for part, count in held:
                    if count:
                        file.write(faiss.rev_swig_ptr(part.get_ids(number), count))
    except OSError as error:
        raise no_space(error, path, size) from error


def ask(index: faiss.Index, asked: dict[str, Any]) -> None:
    """Set how many lists a search reads."""
    index.nprobe = asked["nprobe"]


def list_sizes(index: faiss.Index) -> np.ndarray:
    """How many vectors each list has, int64."""
    lists = index.invlists
    return np.array([lists.list_size(number) for number in range(lists.nlist)])
