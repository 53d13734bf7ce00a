"""Exact search on a GPU: shares of the matrix unit's rate and of the disk's; and that it is exact.

python benchmarks/gpu_search.py [--device cuda] [--small] [--folder FOLDER] [--output FILE.json]

Needs torch, numpy and pyarrow alone, no network, and four minutes at most; ends with 1 where a bit
differs from brute force in float64 on the CPU, or where a score errs by more than its bound says.
`--device cpu --small` is the same logic without a GPU.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from tttnn.digests import write_record
from tttnn.retrieval import exact, exact_cuda
from tttnn.retrieval.bounds import FLOAT16, limit
from tttnn.retrieval.exact_memory import SPARE
from tttnn.retrieval.rows import RowWriter
from tttnn.retrieval.vectors import VectorStore, squared_distances
from tttnn.tables import table_digest, write_table

K = 200
FILES = 16  # on disk
TILE = 1 << 20  # vectors of a block that stays on the device
STARTED = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", file=sys.stderr, flush=True)


def seconds_of(device: str, function: Callable[[], object], repeats: int = 5) -> float:
    """The median, after one that is not counted."""
    taken = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def matrix_rate(device: str, size: int) -> float:
    """FLOP a second of a product in bfloat16."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / seconds_of(device, lambda: a @ b, 10)


def resident(device: str, n: int, d: int, m: int) -> float:
    """FLOP a second of finding K and some for m queries among n vectors on the device."""
    centre = torch.zeros(d, device=device)
    tiles = []
    for start in range(0, n, TILE):
        rows = torch.randn(min(TILE, n - start), d, device=device)
        ids = torch.arange(start, start + len(rows), device=device)
        tiles.append(exact_cuda.prepare(rows, ids, centre, float(2 ** np.ceil(np.log2(d) / 2))))
    queries = np.random.default_rng(0).standard_normal((m, d), np.float32)
    scale = float(2 ** np.ceil(np.log2(d) / 2))

    given = exact_cuda.Nearest(queries, K + SPARE, scale, device)

    def search() -> None:
        nearest = copy.copy(given)  # whose tensors are replaced, not changed
        for tile in tiles:
            nearest.add(tile)

    return 2.0 * n * d * m / seconds_of(device, search, 3)


def write_store(folder: Path, parts: Iterable[np.ndarray]) -> VectorStore:
    """Files of passages, which are ids alone, and of their vectors."""
    passages, embeddings, start = [], [], 0
    for number, vectors in enumerate(parts):
        passages.append(folder / f"{number:02d}.parquet")
        ids = np.arange(start, start + len(vectors))
        start += len(vectors)
        write_table(passages[-1], pa.table({"passage_id": ids}))
        embeddings.append(folder / f"{number:02d}.npy")
        with RowWriter(embeddings[-1], vectors.shape, vectors.dtype.str, anew=True) as writer:
            writer.write(0, vectors)
            writer.save()
        rows, dimension = vectors.shape
        values = {"rows": rows, "dimension": dimension, "dtype": vectors.dtype.name}
        values |= {
            "sha256": "",
            "passages": table_digest(passages[-1]),
            "embedder": "none",
            "environments": [],
        }
        write_record(embeddings[-1].with_suffix(".json"), values)
    return VectorStore(passages, embeddings)


def drop(folder: Path) -> None:
    """Ask the system to forget what it has of the files."""
    for path in folder.glob("*.npy"):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def read_rate(folder: Path) -> float:
    """Bytes a second of reading the files, nothing done with them."""
    drop(folder)
    started, total, buffer = time.perf_counter(), 0, bytearray(1 << 24)
    for path in sorted(folder.glob("*.npy")):
        with path.open("rb", buffering=0) as file:
            while read := file.readinto(buffer):
                total += read
    return total / (time.perf_counter() - started)


def from_disk(device: str, folder: Path, n: int, d: int, m: int) -> dict[str, Any]:
    """End to end: files, checksums, copies, search, float64, beside reading the files alone."""
    generator = np.random.default_rng(1)
    base = generator.standard_normal((n // FILES, d), np.float32).astype(np.float16)
    store = write_store(folder, (np.roll(base, number, axis=1) for number in range(FILES)))
    queries = generator.standard_normal((m, d), np.float32)
    plain, ours, result = [], [], None
    for _ in range(2):
        plain.append(read_rate(folder))
        drop(folder)
        started = time.perf_counter()
        result = exact.search(store, queries, K, device=device)
        ours.append(store.dimension * 2 * len(store) / (time.perf_counter() - started))
    drop(folder)
    started = time.perf_counter()
    exact.search(store, queries[:1], K, device=device)
    alone = store.dimension * 2 * len(store) / (time.perf_counter() - started)
    assert result is not None
    return {
        "vectors": n,
        "dimension": d,
        "queries": m,
        "disk_bytes_a_second": max(plain),
        "bytes_a_second": max(ours),
        "bytes_a_second_of_one_query": alone,
        "widened": result.widened,
        "pairs": result.pairs,
    }


def planted(n: int, d: int, dtype: str) -> np.ndarray:
    """Vectors with copies, ties, zeros, a far one, huge ones, and many that are nearly equal."""
    generator = np.random.default_rng(2)
    vectors = generator.standard_normal((n, d), np.float32)
    vectors[n // 2 :] = vectors[:1] * 3 + vectors[n // 2 :] / 50
    vectors[100:500] = vectors[7]
    vectors[500:520] = 0
    vectors[n - 10 :] = vectors[n - 11]
    if dtype == "float32":
        vectors[600] *= 1e18
        vectors[601] *= 1e30
    vectors[602] *= 1e3
    return vectors.astype(dtype)


def brute_force(vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    distances = np.empty((len(queries), k))
    ids = np.empty((len(queries), k), np.int64)
    for row, query in enumerate(queries):
        parts = [vectors[at : at + 16384][None] for at in range(0, len(vectors), 16384)]
        far = np.concatenate([squared_distances(query[None], part)[0] for part in parts])
        order = np.lexsort((np.arange(len(far)), far))[:k]
        distances[row], ids[row] = far[order], order
    return distances, ids


def compare(device: str, n: int, d: int, dtype: str) -> dict[str, Any]:
    """Whether each bit is that of brute force, and how much of the bound scores used."""
    vectors = planted(n, d, dtype)
    generator = np.random.default_rng(3)
    near = vectors[[0, 7, 100, 505, 600, 601, 602, n // 2, n - 1]].astype(np.float32)
    some = vectors[generator.integers(0, n, 24)].astype(np.float32)
    some += generator.standard_normal(some.shape, np.float32) / 100
    queries = np.concatenate([near, some])
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder), [vectors[: n // 3], vectors[n // 3 :]])
        found = exact.search(store, queries, K, device=device)
    distances, ids = brute_force(vectors, queries, K)
    same = np.array_equal(found.ids, ids) and np.array_equal(found.distances, distances)
    told = {"vectors": n, "dimension": d, "dtype": dtype, "same": same}
    return told | {"widened": found.widened, "pairs": found.pairs}


def used_of_bound(device: str, d: int) -> float:
    """The largest share of its bound that the device's score of a pair errs by."""
    generator = np.random.default_rng(4)
    vectors = (5 + generator.standard_normal((4096, d))).astype(np.float32)
    queries = (5 + generator.standard_normal((64, d))).astype(np.float32)
    scale = float(2 ** np.ceil(np.log2(5.1 * d**0.5)))
    nearest = exact_cuda.Nearest(queries, 1, scale, device)
    zeros = torch.zeros(d, device=device)
    ids = torch.arange(len(vectors), device=device)
    tile = exact_cuda.prepare(torch.from_numpy(vectors).to(device), ids, zeros, scale)
    scores = exact_cuda._scores(nearest.queries, nearest.factors, tile.vectors, tile.norms)
    got = scores.double().cpu().numpy() + nearest.norms[:, None] ** 2
    true = np.concatenate([squared_distances(q[None], vectors[None]) for q in queries])
    norms = np.broadcast_to(nearest.norms[:, None], true.shape)
    scales = nearest.scales[:, None]
    most = limit(FLOAT16, norms, true, d, scale, scales)
    return float((np.abs(got - true) / (most - true)).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--folder", type=Path, help="on the disk whose rate is measured")
    parser.add_argument("--output", type=Path, help="JSON")
    options = parser.parse_args()
    device, small = options.device, options.small
    exact_cuda.DEVICE = device
    exact.PASSES["cpu"] = "exact_cuda"  # the same functions of torch, which need no faiss
    card = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    told: dict[str, Any] = {"card": card, "torch": torch.__version__, "k": K, "spare": SPARE}

    sizes = [(20_000, 64, "float32")] if small else []
    sizes = sizes or [
        (60_000, 256, "float32"),
        (60_000, 256, "float16"),
        (20_000, 1024, "float32"),
    ]
    told["compared"] = [compare(device, *size) for size in sizes]
    told["used_of_bound"] = {d: used_of_bound(device, d) for d in (64, 256, 1024)}
    say(f"{told['compared']} {told['used_of_bound']}")
    rate = told["matrix_rate"] = matrix_rate(device, 512 if small else 8192)
    say(f"{rate / 1e12:.0f} TFLOP/s in bfloat16")
    works = [(30_000, 64, 100)] if small else []
    works = works or [
        (n, d, m)
        for n, d in ((1_000_000, 256), (4_000_000, 256), (1_000_000, 1024))
        for m in (2000, 8000)
    ]
    told["resident"] = []
    for n, d, m in works:
        got = resident(device, n, d, m)
        told["resident"].append({"vectors": n, "dimension": d, "queries": m, "rate": got})
        say(f"{n} x {d}, {m} queries: {got / 1e12:.0f} TFLOP/s, {got / rate:.2f} of the product's")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        size = (20_000, 64, 50) if small else (8_000_000, 256, 2000)
        told["disk"] = from_disk(device, Path(folder), *size)
    say(str(told["disk"]))

    print(f"\n{card}, torch {torch.__version__}, {rate / 1e12:.0f} TFLOP/s in bfloat16\n")
    print("| vectors | queries | TFLOP/s | of the product's |\n|---|---|---|---|")
    for one in told["resident"]:
        shape = f"{one['vectors']:,} x {one['dimension']} | {one['queries']:,}"
        print(f"| {shape} | {one['rate'] / 1e12:.1f} | {one['rate'] / rate:.0%} |")
    disk = told["disk"]
    share = disk["bytes_a_second"] / disk["disk_bytes_a_second"]
    print(
        f"\nfrom files: {disk['bytes_a_second'] / 1e9:.2f} GB/s, the disk alone "
        f"{disk['disk_bytes_a_second'] / 1e9:.2f}: {share:.0%}\n"
    )
    if options.output:
        options.output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(told))
    differing = [one for one in told["compared"] if not one["same"]]
    beyond = {d: used for d, used in told["used_of_bound"].items() if used > 1}
    if differing or beyond:
        sys.exit(f"WRONG: differs from brute force {differing}, errs beyond its bound {beyond}")
    print("each bit is that of brute force in float64 on the CPU")


if __name__ == "__main__":
    main()
