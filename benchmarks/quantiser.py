"""How even the lists of an inverted index are: learnt shard by shard, and from all vectors at once.

OMP_NUM_THREADS=1 python benchmarks/quantiser.py [FOLDER] [--lists 64] [--seeds 3]

FOLDER has text in the Pile's layout (train/*.jsonl.zst), a shard a file, of which vectors are made
by a random projection of counted words; without it, only clusters of made-up vectors are looked
at. Printed are medians over seeds of the imbalance factor (lists * sum n^2 / (sum n)^2: by how much
more vectors a search reads than if all lists were of one size) and the most empty lists.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np

from tttnn.corpus.documents import read_documents
from tttnn.retrieval.indexes.ivf.engine import learn, merge_learnt
from tttnn.retrieval.indexes.ivf.settings import Ivf

WORDS = 4096  # hashes of words that are told apart


class Vectors:
    """A shard's vectors in memory, as `learn` takes them."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray:
        chosen = generator.choice(len(self), min(rows, len(self)), replace=False)
        return self._vectors[np.sort(chosen)]


def clustered(seed: int, power: float, *, apart: bool) -> list[np.ndarray]:
    """Shards of vectors in 200 clusters whose sizes fall as a power of their rank.

    All shards with some of each cluster, or, `apart`, shards of different clusters and sizes.
    """
    generator = np.random.default_rng(seed)
    sizes = 1 / np.arange(1, 201) ** power
    cluster = generator.choice(200, 20_000, p=sizes / sizes.sum())
    vectors = generator.standard_normal((200, 32))[cluster]
    vectors = (vectors + 0.3 * generator.standard_normal(vectors.shape)).astype(np.float32)
    if not apart:
        return np.array_split(vectors, 8)
    return np.split(vectors[np.argsort(cluster, kind="stable")], [12_000, 16_000, 18_000, 19_000])


def of_texts(path: Path) -> np.ndarray:
    """Unit vectors (documents, 64) of the words of each text."""
    projection = np.random.default_rng(0).standard_normal((WORDS, 64))
    rows = []
    for document in read_documents(path, needs_subset=False):
        hashes = [zlib.crc32(word.encode()) % WORDS for word in document.text.split()[:500]]
        row = np.log1p(np.bincount(hashes, minlength=WORDS)) @ projection
        rows.append(row / (np.linalg.norm(row) + 1e-9))
    return np.array(rows, np.float32)


def balance(centroids: np.ndarray, vectors: np.ndarray) -> tuple[float, int]:
    """The imbalance factor and how many lists are empty."""
    nearest = faiss.knn(vectors, centroids, 1)[1][:, 0]
    sizes = np.bincount(nearest, minlength=len(centroids)).astype(float)
    return len(sizes) * (sizes**2).sum() / sizes.sum() ** 2, int((sizes == 0).sum())


def cases(folder: Path | None) -> Iterator[tuple[str, list[np.ndarray]]]:
    for power in (0.8, 1.3):
        for apart in (False, True):
            kind = "apart" if apart else "alike"
            yield f"clusters, power {power}, shards {kind}", clustered(0, power, apart=apart)
    if folder is not None:
        yield folder.name, [of_texts(path) for path in sorted((folder / "train").iterdir())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--lists", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print("| vectors | | all at once | merged | ratio | empty | empty, merged |")
    print("|---|---|---|---|---|---|---|")
    for name, shards in cases(options.folder):
        vectors = np.concatenate(shards)
        alone, merged = [], []
        for seed in range(options.seeds):
            kmeans = faiss.Kmeans(vectors.shape[1], options.lists, seed=seed, niter=20)
            kmeans.train(vectors)
            alone.append(balance(kmeans.centroids, vectors))
            spec = Ivf(kind="ivf", embedder="any", factory=f"IVF{options.lists},Flat", seed=seed)
            index = merge_learnt(spec, [learn(spec, Vectors(shard)) for shard in shards])
            merged.append(balance(index.quantizer.reconstruct_n(0, options.lists), vectors))
        first, second = (np.median([each[0] for each in found]) for found in (alone, merged))
        empty = [max(each[1] for each in found) for found in (alone, merged)]
        print(
            f"| {name} | {len(vectors)} | {first:.2f} | {second:.2f} | {second / first:.2f} | "
            f"{empty[0]} | {empty[1]} |"
        )


if __name__ == "__main__":
    main()
