"""Inverted lists: centroids learnt from every shard, merged into one quantiser that all share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tttnn.files import no_space, reserve
from tttnn.retrieval.indexes.ivf.settings import Ivf
from tttnn.retrieval.vectors import VectorStore

CODE_SAMPLE = 10_000  # vectors of a shard, at most, that quantisers of codes learn from
LISTS = "lists.ivfdata"
ID_BYTES = 8
OPENED = faiss.IO_FLAG_ONDISK_SAME_DIR  # the lists are beside the index, wherever it is now


def _kmeans(vectors: np.ndarray, lists: int, seed: int, weights: np.ndarray | None) -> faiss.Kmeans:
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        lists,
        niter=20,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=(2**31 - 1) // lists,  # the sample is already as large as wanted
    )
    kmeans.train(vectors, weights=weights)
    return kmeans


def learn(spec: Ivf, store: VectorStore) -> dict[str, np.ndarray]:
    """`centroids` (lists, d); `weights` (lists), how many sampled vectors each stands for.

    And `sample` (n, d), empty unless codes are quantised too.
    """
    sample = store.sample(spec.sample_per_shard, np.random.default_rng(spec.seed))
    lists = min(spec.lists, len(sample))
    kmeans = _kmeans(sample, lists, spec.seed, None)
    _, nearest = kmeans.index.search(sample, 1)
    every = -(-len(sample) // CODE_SAMPLE)
    kept = sample[::every] if spec.code != "Flat" else sample[:0]
    return {
        "centroids": kmeans.centroids,
        "weights": np.bincount(nearest[:, 0], minlength=lists).astype(np.float32),
        "sample": kept.copy(),  # safetensors ignores strides
    }


def merge_learnt(spec: Ivf, learnt: list[dict[str, np.ndarray]]) -> faiss.Index:
    """Cluster the shards' weighted centroids; a trained, empty index."""
    index = faiss.index_factory(learnt[0]["centroids"].shape[1], spec.factory, faiss.METRIC_L2)
    centroids = np.concatenate([tensors["centroids"] for tensors in learnt])
    weights = np.concatenate([tensors["weights"] for tensors in learnt])
    centroids, weights = centroids[weights > 0], weights[weights > 0]
    if len(centroids) < spec.lists:
        raise ValueError(
            f"{spec.factory} has {spec.lists} inverted lists, but the shards' samples only "
            f"have {len(centroids)} clusters: use fewer lists or raise sample_per_shard"
        )
    merged = _kmeans(centroids, spec.lists, spec.seed, weights).centroids
    index.quantizer.train(merged)
    index.quantizer.add(merged)
    sample = np.concatenate([tensors["sample"] for tensors in learnt])
    index.train(sample if len(sample) else merged)
    return index


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
