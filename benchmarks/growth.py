"""How cost grows with a document's length, its neighbours, the model and the corpus: one figure.

OMP_NUM_THREADS=1 python benchmarks/growth.py [--repeats 5] [--figure docs/img/growth.svg]

Small points on a CPU, processor seconds, each beside its floor by arithmetic: the operations of the
products that it asks for, divided by the rate of a product of two large float32 matrices, measured
in turns with the points. A document is adapted to and evaluated before and after, by the engine
`lean`; a corpus is searched exactly, with the proof. Times are medians; their quotient by the floor
is what a machine changes little.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from exact_search import write_store
from matplotlib import rc_context
from matplotlib.ticker import LogLocator
from shapes import SHAPES, Numbers, flops, random_model, random_query

from tttnn.figures import style
from tttnn.files import replacing
from tttnn.methods.likelihood import rolling_windows
from tttnn.methods.ttt.engines import lean
from tttnn.methods.ttt.settings import Recipe
from tttnn.retrieval.exact import search
from tttnn.retrieval.vectors import VectorStore

VOCABULARY, LAYERS, WINDOW, NEIGHBOR = 4096, 4, 256, 256
WIDTH, TOKENS, NEIGHBORS = 256, 256, 4
"""Where another quantity grows: the model's width, a document's tokens, its neighbours."""
QUERIES, DIMENSION, NEAREST = 64, 128, 50
MATRIX = 1024  # rows and columns of the matrices whose product gives the rate


class Point(NamedTuple):
    """One piece of work: how large, what it multiplies and adds, and how it is done."""

    size: float
    operations: float
    work: Callable[[], object]


def model_of(width: int) -> torch.nn.Module:
    name = f"gpt2 of width {width}"
    sizes = {"n_embd": width, "n_layer": LAYERS, "n_head": width // 32, "vocab_size": VOCABULARY}
    SHAPES[name] = ("gpt2", sizes)
    return random_model(name)


def adapted(size: float, model: torch.nn.Module, tokens: int, neighbors: int) -> Point:
    """Adaptation to a document, evaluated before and after."""
    query = random_query(1, [tokens] + [NEIGHBOR] * neighbors, VOCABULARY)
    recipe = Recipe(num_neighbors=neighbors, evaluate_at=[0, neighbors], learning_rate=2e-5)
    ids = Numbers()(query.text)["input_ids"]
    forward = sum(flops(model, len(inputs)) / 3 for inputs, _ in rolling_windows(ids, 0, WINDOW))
    operations = 2 * forward + neighbors * flops(model, NEIGHBOR)
    return Point(
        size, operations, lambda: list(lean.adapt(model, Numbers(), [query], recipe, WINDOW))
    )


def searched(folder: Path, passages: int) -> Point:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((passages, DIMENSION), np.float32)
    queries = generator.standard_normal((QUERIES, DIMENSION), np.float32)
    folder.mkdir()
    files = write_store(folder, vectors, 2)
    operations = 2.0 * passages * DIMENSION * QUERIES
    return Point(
        passages, operations, lambda: search(VectorStore(*files), queries, NEAREST, device="cpu")
    )


def panels(folder: Path) -> dict[str, list[Point]]:
    """Points by what grows in them."""
    middle = model_of(WIDTH)
    models = [(model, model.num_parameters() / 1e6) for model in map(model_of, (64, 128, 256, 512))]
    return {
        "tokens of a document": [
            adapted(tokens, middle, tokens, NEIGHBORS) for tokens in (64, 256, 1024, 4096)
        ],
        "neighbours": [adapted(count, middle, TOKENS, count) for count in (1, 4, 16, 32)],
        "million parameters": [adapted(size, model, TOKENS, NEIGHBORS) for model, size in models],
        "passages in the corpus": [
            searched(folder / str(passages), passages)
            for passages in (4_000, 16_000, 64_000, 128_000)
        ],
    }


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(found: dict[str, list[Point]], repeats: int) -> tuple[dict[str, list[float]], float]:
    """Median seconds of every point, and operations a second of a large product."""
    left, right = torch.randn(2, MATRIX, MATRIX)
    spent: dict[str, list[list[float]]] = {grows: [[] for _ in found[grows]] for grows in found}
    product = []
    for grows, points in found.items():
        for point in points:
            point.work()  # the first run also prepares
        for _ in range(repeats):
            product.append(seconds(lambda: [left @ right for _ in range(5)]) / 5)
            for point, values in zip(points, spent[grows], strict=True):
                values.append(seconds(point.work))
    medians = {grows: [statistics.median(v) for v in each] for grows, each in spent.items()}
    return medians, 2.0 * MATRIX**3 / statistics.median(product)


def draw(
    found: dict[str, list[Point]], medians: dict[str, list[float]], rate: float, file: Path
) -> None:
    with rc_context(style.RC):
        figure = style.new_figure(style.PAGE, 2.1)
        for axes, (grows, points) in zip(
            figure.subplots(1, len(found), sharey=True), found.items(), strict=True
        ):
            sizes = [point.size for point in points]
            floor = [point.operations / rate for point in points]
            axes.loglog(sizes, floor, "--", color=style.GREY, label="floor by arithmetic")
            axes.loglog(sizes, medians[grows], "o-", color=style.COLOURS[0], label="measured")
            axes.set_xlabel(grows)
            axes.minorticks_off()
            labels = [f"{size / 1000:g}k" if size % 1000 == 0 else f"{size:.4g}" for size in sizes]
            if any(size % 1 for size in sizes):
                labels = [f"{size:.2g}" for size in sizes]
            axes.set_xticks(sizes, labels, fontsize=style.SMALL - 0.5)
            axes.yaxis.set_major_locator(LogLocator())
            axes.yaxis.set_major_formatter("{x:g}")
            axes.grid(visible=True)
        figure.axes[0].set_ylabel("processor seconds")
        style.legend_above(figure, figure.axes[0].get_legend_handles_labels()[0])
        style.write_note(
            figure,
            f"GPT-2 of {LAYERS} layers and width {WIDTH}, {TOKENS} tokens, {NEIGHBORS} neighbours "
            f"of {NEIGHBOR} tokens, where another of these grows; the last is exact search for "
            f"{QUERIES} queries in {DIMENSION} dimensions. One thread.",
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as beside:
            figure.savefig(beside, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = panels(Path(folder))
        medians, rate = measure(found, options.repeats)
    print(f"a product of {MATRIX} x {MATRIX} matrices: {rate / 1e9:.0f} GFLOP/s, one thread")
    print(f"{'grows':36} {'size':>8} {'seconds':>8} {'floor':>8} {'times':>6}")
    for grows, points in found.items():
        for point, took in zip(points, medians[grows], strict=True):
            floor = point.operations / rate
            print(f"{grows:36} {point.size:8.4g} {took:8.4f} {floor:8.4f} {took / floor:6.1f}")
    if options.figure:
        draw(found, medians, rate, options.figure)


if __name__ == "__main__":
    main()
