"""Exact search of all queries in one pass beside one query at a time.

python benchmarks/batch_search.py [--passages 40000] [--queries 1000] [--dimension 128]
"""

from __future__ import annotations

import argparse
import statistics
import time

import faiss
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=40_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)  # so that processor time is work, not waiting
    generator = np.random.default_rng(0)
    passages = generator.standard_normal((options.passages, options.dimension), np.float32)
    queries = generator.standard_normal((options.queries, options.dimension), np.float32)
    index = faiss.IndexFlatL2(options.dimension)
    index.add(passages)
    seconds: dict[str, list[float]] = {"one by one": [], "one pass": []}
    for _ in range(options.repeats):
        started = time.process_time()
        single = np.concatenate([index.search(query[None], 50)[1] for query in queries])
        seconds["one by one"].append(time.process_time() - started)
        started = time.process_time()
        batch = index.search(queries, 50)[1]
        seconds["one pass"].append(time.process_time() - started)
    for name, values in seconds.items():
        print(f"{name:10} {statistics.median(values):8.3f} CPU s (median of {len(values)})")
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    print(f"ratio {statistics.median(ratios):.1f}; same nearest {(single == batch).mean():.4f}")


if __name__ == "__main__":
    main()
