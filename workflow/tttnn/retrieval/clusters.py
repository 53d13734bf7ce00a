"""Clusters of passages by their vectors, for experts that are trained before the test.

As test-time model merging has them (Bertolissi et al. 2025, arXiv 2505.14136): vectors of unit
length, bisecting k-means, and for a cluster the mean of its vectors, of unit length again.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
from tqdm import tqdm

from tttnn.digests import write_record
from tttnn.retrieval.tensors import load_tensors, save_tensors
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.experts import Clustering
from tttnn.sections.memory import BASE, SLACK, room

ROWS = 16384  # vectors of a block
ITERATIONS = 20  # of k-means, for each split
HELD = 3  # copies of the sample: itself, of unit length, the half that is being split
DRAWN = 16  # bytes of a passage that is drawn: its id and its key


class Clusters(NamedTuple):
    """What `cluster_passages` wrote, read and found to be that."""

    centroids: np.ndarray  # (clusters, d) float32, of unit length
    center: np.ndarray  # (d,) float64, taken off a vector before its length is made 1
    sizes: np.ndarray  # (clusters,) int64, passages of each
    starts: np.ndarray  # (clusters + 1,) int64: where each cluster's are in `passages`
    passages: np.ndarray  # int64, ids of those that are trained on
    embedder: str
    """The digest of the embedder's manifest."""

    def drawn(self, cluster: int) -> np.ndarray:
        """Ids of a cluster's passages that are trained on, ascending."""
        return self.passages[self.starts[cluster] : self.starts[cluster + 1]]


def read_clusters(path: Path) -> Clusters:
    """Raises `DamagedError` for what `cluster_passages` did not write."""
    arrays, said = load_tensors(path)
    return Clusters(**arrays, embedder=said["embedder"])


def unit(vectors: np.ndarray, center: np.ndarray, ids: np.ndarray, kind: str) -> np.ndarray:
    """Vectors (n, d) without their center, of length 1, float32.

    Raises `ValueError`, naming one of `ids`, for a vector without a direction.
    """
    moved = vectors - center
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    if not (lengths > 0).all():
        name = ids[~(lengths[:, 0] > 0)][0]
        raise ValueError(
            f"the vector of {kind} {name} has no direction (length 0 or not a number): embed again"
        )
    return (moved / lengths).astype(np.float32)


def bisected(vectors: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """The cluster (n,) of each vector (n, d) of unit length: the largest is split until there are
    so many.

    Raises `ValueError` where the vectors of the largest are all the same.
    """
    labels = np.zeros(len(vectors), np.int64)
    for made in tqdm(range(1, clusters), desc="split", unit=" clusters", mininterval=5, delay=5):
        members = np.flatnonzero(labels == np.bincount(labels).argmax())
        split = np.zeros(0, bool)
        if len(members) > 1:
            halves = faiss.Kmeans(
                vectors.shape[1],
                2,
                niter=ITERATIONS,
                seed=seed + made,
                spherical=True,
                min_points_per_centroid=1,
                max_points_per_centroid=len(members),
            )
            some = vectors[members]
            halves.train(some)
            split = (some @ halves.centroids.T).argmax(axis=1) == 1
        if split.all() or not split.any():
            raise ValueError(
                f"the {len(members)} passages of the largest of {made} clusters cannot be told "
                f"apart: lower the experts' clusters ({clusters}), or raise their sample"
            )
        labels[members[split]] = made
    return labels


def centroids_of(vectors: np.ndarray, labels: np.ndarray, clusters: int) -> np.ndarray:
    """The mean of each cluster's vectors, of length 1, (clusters, d) float32."""
    means = np.stack(
        [vectors[labels == cluster].mean(axis=0, dtype=np.float64) for cluster in range(clusters)]
    )
    return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def keys_of(ids: np.ndarray, seed: int) -> np.ndarray:
    """A number of 64 bits for each id, as if drawn: the same however passages lie in files.

    The finaliser of SplitMix64 (Steele et al. 2014), at a place of the sequence for each seed.
    """
    start = 0x9E3779B97F4A7C15 * (seed + 1) % 2**64
    x = ids.astype(np.uint64) + np.uint64(start)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class _Drawn:
    """Of each cluster the passages with the smallest keys so far: a draw without replacement."""

    def __init__(self, clusters: int, most: int) -> None:
        self._most = most
        self._keys = [np.empty(0, np.uint64)] * clusters
        self._ids = [np.empty(0, np.int64)] * clusters

    def add(self, cluster: int, keys: np.ndarray, ids: np.ndarray) -> None:
        keys = np.concatenate([self._keys[cluster], keys])
        smallest = np.argsort(keys, kind="stable")[: self._most]
        self._keys[cluster] = keys[smallest]
        self._ids[cluster] = np.concatenate([self._ids[cluster], ids])[smallest]

    def ids(self) -> list[np.ndarray]:
        """Of each cluster, ascending."""
        return [np.sort(ids) for ids in self._ids]


def _check_memory(spec: Clustering, rows: int, dimension: int, memory_mb: int) -> None:
    needed = HELD * min(spec.sample, rows) * dimension * 4 + DRAWN * spec.clusters * spec.passages
    if needed > room(memory_mb):
        raise ValueError(
            f"{min(spec.sample, rows)} vectors of {dimension} dimensions that centroids are learnt "
            f"from, and {spec.clusters} times {spec.passages} passages, need "
            f"{(needed * SLACK + BASE) / 1e6:.0f} MB, and the job has {memory_mb}: raise "
            "memory_mb, or lower the experts' sample or passages"
        )


def cluster_passages(
    spec: Clustering, embeddings: list[Path], output: Path, record: Path, memory_mb: int
) -> None:
    """Write the clusters' centroids, sizes, and which of their passages are trained on.

    `embeddings` are the shards' lists. Centroids are learnt from a sample; then each passage of the
    corpus is of the cluster whose centroid has the largest product with its vector. `output` is
    safetensors (`Clusters`), `record` JSON: the sizes, and the seconds it took.

    Raises `ValueError` where the sample has no room in `memory_mb`, where passages cannot be told
    apart, for a vector without a direction, and for a cluster that no passage is nearest to.
    """
    started = time.perf_counter()
    store = VectorStore.of(embeddings)
    _check_memory(spec, len(store), store.dimension, memory_mb)
    sample = store.sample(spec.sample, np.random.default_rng(spec.seed))
    center = np.zeros(store.dimension)
    if spec.center:
        center = sample.mean(axis=0, dtype=np.float64)
    sample = unit(sample, center, np.arange(len(sample)), "sampled passage")
    labels = bisected(sample, spec.clusters, spec.seed)
    centroids = centroids_of(sample, labels, spec.clusters)
    del sample
    sizes = np.zeros(spec.clusters, np.int64)
    drawn = _Drawn(spec.clusters, spec.passages)
    progress = tqdm(total=len(store), unit=" passages", unit_scale=True, mininterval=5, delay=5)
    for ids, vectors in store.blocks(ROWS):
        nearest = (unit(vectors, center, ids, "passage") @ centroids.T).argmax(axis=1)
        keys = keys_of(ids, spec.seed)
        for cluster in np.unique(nearest):
            members = nearest == cluster
            sizes[cluster] += members.sum()
            drawn.add(cluster, keys[members], ids[members])
        progress.update(len(ids))
    progress.close()
    if not sizes.all():
        raise ValueError(
            f"no passage is nearest to the centroid of cluster {sizes.argmin()}: lower the "
            f"experts' clusters ({spec.clusters})"
        )
    chosen = drawn.ids()
    arrays = {
        "centroids": centroids,
        "center": center,
        "sizes": sizes,
        "starts": np.cumsum([0, *map(len, chosen)]).astype(np.int64),
        "passages": np.concatenate(chosen),
    }
    save_tensors(output, arrays, {"embedder": store.embedder, "vectors": store.digest})
    values = {"sizes": sizes.tolist(), "seconds": time.perf_counter() - started}
    write_record(record, values)
    print(f"{output}: clusters of {', '.join(map(str, sizes))} passages", file=sys.stderr)
