"""Time of choosing N of K candidates, for each way to choose, vectors in memory.

OMP_NUM_THREADS=1 python benchmarks/selection.py [--queries 40] [--noise 0.2]

Candidates are random unit vectors around each query, so times are to be read, not choices. The
authors' SIFT, activeft, is timed without its search and opposite queries, if it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np
import torch

from tttnn.retrieval.selections.hull import hull
from tttnn.retrieval.selections.sift import sift

Choose = Callable[[np.ndarray, np.ndarray], object]


def activeft_sift(picks: int, noise: float) -> Choose:
    """The selection step of activeft's retriever on one query, as its `search` calls it."""
    from activeft import ActiveDataLoader
    from activeft.acquisition_functions.vtl import VTL
    from activeft.sift import Dataset

    variance_based = VTL(
        target=torch.Tensor(), num_workers=1, subsample=False, noise_std=noise**0.5
    )

    def choose(candidates: np.ndarray, query: np.ndarray) -> object:
        variance_based.set_target(torch.tensor(query[None], dtype=torch.float32))
        return ActiveDataLoader(
            dataset=Dataset(torch.tensor(candidates, dtype=torch.float32)),
            batch_size=picks,
            acquisition_function=variance_based,
            device=torch.device("cpu"),
        ).next()

    return choose


def around(query: np.ndarray, rows: int, generator: np.random.Generator) -> np.ndarray:
    """Unit vectors whose cosine with `query` falls evenly from 0.95 to 0.75."""
    noise = generator.standard_normal((rows, len(query)))
    noise -= np.outer(noise @ query, query)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    cosine = np.linspace(0.95, 0.75, rows)[:, None]
    return cosine * query + np.sqrt(1 - cosine**2) * noise


def interval(values: np.ndarray, generator: np.random.Generator) -> tuple[float, float, float]:
    """Median with a 95 % bootstrap interval."""
    drawn = generator.choice(values, (2000, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return float(np.median(values)), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=200, help="K")
    parser.add_argument("--picks", type=int, default=50, help="N")
    parser.add_argument("--dimension", type=int, default=1024)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--iterations", type=int, default=200, help="of hull")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # so that processor time is work, not waiting
    picks, noise = options.picks, options.noise
    ways: dict[str, Choose] = {
        "nearest": lambda x, q: np.argsort(-(x @ q), kind="stable")[:picks],
        "sift": lambda x, q: sift(x, q, picks, noise),
        "hull": lambda x, q: hull(x, q, picks, options.iterations),
    }
    if importlib.util.find_spec("activeft"):
        ways["activeft (VTL)"] = activeft_sift(picks, noise)
    generator = np.random.default_rng(options.seed)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.queries + 1):
        query = generator.standard_normal(options.dimension)
        query /= np.linalg.norm(query)
        candidates = around(query, options.candidates, generator)
        for name, choose in ways.items():  # in turns, so that a busy moment meets all of them
            started = time.process_time()
            choose(candidates, query)
            if number:  # the first query warms up
                seconds[name].append(time.process_time() - started)
    print(
        f"K = {options.candidates}, N = {picks}, d = {options.dimension}, noise = {noise}, "
        f"{options.queries} queries; processor time a query, one thread\n"
    )
    print("| | ms a query | 95 % interval of the median |")
    print("|---|---|---|")
    for name, values in seconds.items():
        median, low, high = interval(np.array(values) * 1000, generator)
        print(f"| {name} | {median:.2f} | {low:.2f} to {high:.2f} |")
    print(
        "\nPublished for N = 50 on another machine (arXiv 2605.30337): HullFT 59 ms, SIFT 524 ms, "
        "which there includes building an index and searching it twice."
    )


if __name__ == "__main__":
    main()
