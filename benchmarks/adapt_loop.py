"""Test-time training beside a plain loop, on one document: seconds, and that the numbers agree.

The plain loop evaluates after every neighbour, copies each window's log-probabilities for the
whole vocabulary, and rebuilds the weights with `load_state_dict`. Ours evaluates only where asked.

    python benchmarks/adapt_loop.py MODEL [--neighbors 20] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from shapes import plain_loop

from tttnn.methods.ttt.engine import Query, adapt
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import choose_window, load_causal

WORDS = [
    "the",
    "court",
    "held",
    "that",
    "a",
    "statute",
    "of",
    "limitations",
    "runs",
    "from",
    "discovery",
    "of",
    "the",
    "injury",
]
RATE = 1e-4


def text(seed: int, words: int) -> str:
    """Words in an order that depends on `seed`."""
    order = torch.randint(len(WORDS), (words,), generator=torch.Generator().manual_seed(seed))
    return " ".join(WORDS[i] for i in order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--neighbors", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # so that processor time is work, not waiting
    model, tokenizer = load_causal(options.model)
    window = choose_window(model, None, "the window")
    points = [point for point in (0, 1, 2, 5, 10, 20, 50) if point <= options.neighbors]
    recipe = Recipe(
        num_neighbors=options.neighbors,
        evaluate_at=points,
        learning_rate=RATE,
        dropout="as_model",
    )
    neighbors = [text(seed, 300) for seed in range(1, options.neighbors + 1)]
    query = Query(0, text(0, 300), neighbors)
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(options.repeats):
        started = time.process_time()
        reference = plain_loop(model, tokenizer, query, window, RATE)
        seconds["plain"].append(time.process_time() - started)
        started = time.process_time()
        (ours,) = adapt(model, tokenizer, [query], recipe, window)
        seconds["ours"].append(time.process_time() - started)
    difference = max(
        abs(measurement.loglikelihood / reference[measurement.num_neighbors] - 1)
        for measurement in ours.measurements
    )
    for name, values in seconds.items():
        print(f"{name:6} {statistics.median(values):8.3f} CPU s, median of {len(values)}")
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["ours"], strict=True)]
    print(f"plain / ours {statistics.median(ratios):.2f}; largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
