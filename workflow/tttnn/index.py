"""Indexes: learnt from each shard, merged into one training, filled by shard, merged again.

Every shard uses the same quantiser, so shards can be indexed side by side and merged without
adding a vector twice. An exact index has nothing to learn: its shards stay files of their own,
which a search reads one after the other.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import faiss
import numpy as np
from faiss.contrib.ondisk import merge_ondisk
from safetensors.numpy import load_file, save_file

from tttnn.config.index import FACTORY, Index
from tttnn.files import replacing, write_json
from tttnn.vectors import VectorStore, in_share

CODE_SAMPLE = 10_000  # vectors of a shard, at most, that quantisers of codes learn from
MANIFEST = "manifest.json"
LISTS = "lists.ivfdata"


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


def train_shard_index(
    spec: Index, passages: list[Path], embeddings: list[Path], output: Path
) -> None:
    """Learn from a sample of a shard what the index type needs.

    `output` is safetensors: `centroids` (lists, d) and `weights` (lists), the number of sampled
    vectors each stands for; `sample` (n, d) where codes are quantised too. All are empty for an
    exact index.
    """
    store = VectorStore(passages, embeddings)
    d = store.dimension
    tensors = {
        "centroids": np.empty((0, d), np.float32),
        "weights": np.empty(0, np.float32),
        "sample": np.empty((0, d), np.float32),
    }
    if spec.lists:
        sample = store.sample(spec.sample_per_shard, np.random.default_rng(spec.seed))
        lists = min(spec.lists, len(sample))
        kmeans = _kmeans(sample, lists, spec.seed, None)
        _, nearest = kmeans.index.search(sample, 1)
        tensors["centroids"] = kmeans.centroids
        tensors["weights"] = np.bincount(nearest[:, 0], minlength=lists).astype(np.float32)
        if FACTORY.fullmatch(spec.factory)["code"] != "Flat":
            every = -(-len(sample) // CODE_SAMPLE)
            tensors["sample"] = sample[::every].copy()  # safetensors ignores strides
    with replacing(output) as beside:
        save_file(tensors, beside)


def _trained(spec: Index, learnt: list[dict[str, np.ndarray]]) -> faiss.Index:
    d = learnt[0]["centroids"].shape[1]
    index = faiss.index_factory(d, spec.factory, faiss.METRIC_L2)
    if spec.lists:
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


def merge_training(spec: Index, shards: list[Path], output: Path) -> None:
    """Cluster the shards' weighted centroids into the one quantiser that every shard shares.

    `output` is a trained, empty faiss index. Raises `ValueError` if there are fewer vectors than
    inverted lists, or if faiss cannot make such codes of vectors of this dimension, or of so few.
    """
    try:
        index = _trained(spec, [load_file(path) for path in shards])
    except RuntimeError as error:  # faiss's own, which name its source files first
        reason = str(error).rpartition("Error: ")[2]
        raise ValueError(f"faiss cannot train {spec.factory}: {reason}") from error
    with replacing(output) as beside:
        faiss.write_index(index, str(beside))


def fill_shard_index(
    spec: Index, trained: Path, passages: list[Path], embeddings: list[Path], output: Path
) -> None:
    """Add `spec.share` of a shard's vectors, under their passage ids, to the trained index."""
    store = VectorStore(passages, embeddings)
    index = faiss.read_index(str(trained))
    if index.d != store.dimension:
        raise ValueError(f"{trained} is for {index.d} dimensions, not {store.dimension}")
    if not spec.lists:
        index = faiss.IndexIDMap2(index)
    for ids, vectors in store.blocks(share=spec.share):
        index.add_with_ids(vectors, ids)
    with replacing(output) as beside:
        faiss.write_index(index, str(beside))


def _ids(index: faiss.Index) -> np.ndarray:
    if isinstance(index, faiss.IndexIDMap2):
        return faiss.vector_to_array(index.id_map)
    lists = index.invlists
    return np.concatenate(
        [
            faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number)).copy()
            for number in range(lists.nlist)
            if lists.list_size(number)
        ]
        or [np.empty(0, np.int64)]
    )


def merge_index(
    spec: Index,
    trained: Path,
    shards: list[Path],
    passages: list[Path],
    embeddings: list[Path],
    output: Path,
) -> None:
    """Make one index of the shards' and check it against the passages.

    `output` is a folder: for an exact index the shards' files (hard links where the file system
    has them), for inverted lists `index.faiss` with its lists in `lists.ivfdata`, read from disk;
    and `manifest.json`: the type, dimension, number of vectors, and each file's size.

    Raises `ValueError` if the ids in the shards are not exactly those of the passages, or of the
    share of them that is indexed.
    """
    store = VectorStore(passages, embeddings)
    mapped = faiss.IO_FLAG_MMAP if spec.lists else faiss.IO_FLAG_MMAP_IFC
    parts = [_ids(faiss.read_index(str(path), mapped)) for path in shards]
    found, ids = np.sort(np.concatenate(parts)), store.ids()
    ids = ids[in_share(ids, spec.share)]
    if not np.array_equal(found, ids):
        raise ValueError(
            f"the shard indexes in {shards[0].parent} hold {len(found)} ids, the passages are "
            f"{len(ids)}, and they do not match one to one: remove that folder and run again"
        )
    with replacing(output, directory=True) as beside:
        if spec.lists:
            index = faiss.read_index(str(trained))
            merge_ondisk(index, [str(path) for path in shards], str(beside / LISTS))
            faiss.write_index(index, str(beside / "index.faiss"))
            files = ["index.faiss"]
        else:
            files = [path.name for path in shards]
            for path in shards:
                try:
                    os.link(path, beside / path.name)
                except OSError:
                    shutil.copyfile(path, beside / path.name)
        write_json(
            beside / MANIFEST,
            {
                "factory": spec.factory,
                "share": spec.share,
                "dimension": store.dimension,
                "ntotal": len(ids),
                "indexes": files,
                "bytes": {file.name: file.stat().st_size for file in sorted(beside.iterdir())},
            },
        )


class MergedIndex:
    """A merged index, open for searching: a list of indexes that are searched one after another.

    Raises `ValueError` if the folder is not what its manifest says.
    """

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, size in manifest["bytes"].items():
            found = (folder / name).stat().st_size if (folder / name).is_file() else None
            if found != size:
                raise ValueError(
                    f"{folder / name} has {found} bytes, its manifest says {size}: remove "
                    f"{folder} and run again"
                )
        self._files = [folder / name for name in manifest["indexes"]]
        # an exact index is mapped; inverted lists are on disk, in this folder wherever it is now
        on_disk = LISTS in manifest["bytes"]
        self._flags = faiss.IO_FLAG_ONDISK_SAME_DIR if on_disk else faiss.IO_FLAG_MMAP_IFC
        self.factory: str = manifest["factory"]
        self.share: float = manifest["share"]
        self.dimension: int = manifest["dimension"]
        self.ntotal: int = manifest["ntotal"]

    def search(self, queries: np.ndarray, k: int, nprobe: int) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances and passage ids, both (queries, k), of the nearest found; -1: none."""
        heap = faiss.ResultHeap(len(queries), k)
        for file in self._files:
            index = faiss.read_index(str(file), self._flags)
            if hasattr(index, "nprobe"):
                index.nprobe = nprobe
            distances, ids = index.search(queries, k)
            heap.add_result(distances, ids)
        heap.finalize()
        return heap.D, heap.I
