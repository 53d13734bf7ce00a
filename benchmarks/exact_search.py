"""Exact search through files, with its proof, beside faiss's of vectors in memory, in turns.

python benchmarks/exact_search.py [--vectors 1000000] [--dimension 256] [--queries 2000] [--k 200]

Ours reads the vectors' files, compares their checksums, searches, proves, takes distances in
float64 and writes candidates. faiss's is `IndexFlatL2.search` alone, of as many as ours finds, with
all vectors in memory; and the same with one query at a time, for `--single` of them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]

from shards import write_vectors  # noqa: E402
from tttnn.retrieval.candidates import writing  # noqa: E402
from tttnn.retrieval.exact import search  # noqa: E402
from tttnn.retrieval.exact_memory import MEMORY, SPARE  # noqa: E402
from tttnn.retrieval.vectors import VectorStore  # noqa: E402
from tttnn.tables import write_table  # noqa: E402


def write_store(folder: Path, vectors: np.ndarray, files: int) -> tuple[list[Path], list[Path]]:
    """Files of passages, which are ids alone, and of their vectors."""
    passages, embeddings = [], []
    for number, part in enumerate(np.array_split(np.arange(len(vectors)), files)):
        passages.append(folder / f"{number:02d}.parquet")
        write_table(passages[-1], pa.table({"passage_id": part}))
        rows = vectors[part[0] : part[-1] + 1]
        embeddings.append(write_vectors(folder / f"{number:02d}.npy", passages[-1], rows))
    return passages, embeddings


def timed(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--k", type=int, default=200)
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float32")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", type=int, default=MEMORY)
    parser.add_argument("--single", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    faiss.omp_set_num_threads(options.threads)
    generator = np.random.default_rng(0)
    shape = (options.vectors, options.dimension)
    vectors = generator.standard_normal(shape, np.float32).astype(options.dtype)
    queries = generator.standard_normal((options.queries, options.dimension), np.float32)
    index = faiss.IndexFlatL2(options.dimension)
    index.add(vectors.astype(np.float32))
    wanted = min(options.k + SPARE, options.vectors)
    seconds: dict[str, list[float]] = {"ours": [], "faiss": [], "one by one": []}
    with tempfile.TemporaryDirectory() as folder:
        files = write_store(Path(folder), vectors, options.files)
        del vectors

        def ours() -> None:
            found = search(VectorStore(*files), queries, options.k, memory=options.memory)
            told = f"{found.widened} of {found.pairs} widened, {found.again} distances more"
            print(told, file=sys.stderr)
            with writing(Path(folder, "candidates.parquet")) as writer:
                writer.write(np.arange(len(queries)), found.distances, found.ids)

        for _ in range(options.repeats):
            seconds["ours"].append(timed(ours))
            seconds["faiss"].append(timed(lambda: index.search(queries, wanted)))
            singles = queries[: options.single]
            took = timed(lambda: [index.search(one[None], wanted) for one in singles])  # noqa: B023
            seconds["one by one"].append(took * len(queries) / max(1, len(singles)))
    work = 2 * options.vectors * options.queries * options.dimension
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:10} {median:8.2f} s ({work / median / 1e9:.0f} GFLOP/s), of {values}")
    for name in ("faiss", "one by one"):
        ratios = [b / a for a, b in zip(seconds["ours"], seconds[name], strict=True)]
        print(f"rate beside {name}: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
