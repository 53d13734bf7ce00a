"""The engines of test-time training beside the plain loop: seconds, and that the numbers agree.

    python benchmarks/engines.py [--shape gpt2] [--tokens 256] [--neighbors 8] [--repeats 3]

Every way adapts to the same document in turn, in one process. With one thread, seconds are of the
processor, so that what else a machine does counts for less; with more they are of the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from shapes import SHAPES, Numbers, plain_loop, random_model, random_query

from tttnn.methods.measure import Query
from tttnn.methods.ttt import engine
from tttnn.methods.ttt.engines import lean
from tttnn.methods.ttt.settings import Recipe

RATE = 2e-5
BOUNDS = {"float32": 1e-5, "bfloat16": 2e-3}
"""How far a log-likelihood may be from the plain loop's, relatively."""


def measured(adapt: Callable, model, query: Query, recipe: Recipe, window: int) -> dict[int, float]:
    """The log-likelihood by number of neighbours."""
    (found,) = adapt(model, Numbers(), [query], recipe, window)
    return {m.num_neighbors: m.loglikelihood for m in found.measurements}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="gpt2")
    parser.add_argument("--tokens", type=int, default=256, help="of a text")
    parser.add_argument("--neighbors", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ways", nargs="*", default=["loop", "lean", "loop bf16", "lean bf16"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    model = random_model(options.shape)
    window = model.config.max_position_embeddings
    vocabulary = model.config.vocab_size
    query = random_query(1, [options.tokens] * (options.neighbors + 1), vocabulary)
    recipe = Recipe(
        num_neighbors=options.neighbors,
        evaluate_at=[0, options.neighbors],
        learning_rate=RATE,
    )
    seconds: dict[str, list[float]] = {way: [] for way in ("plain", *options.ways)}
    apart: dict[str, float] = dict.fromkeys(options.ways, 0.0)
    for repeat in range(options.repeats):
        torch.manual_seed(engine.seed_of(recipe, query))  # the plain loop draws what the others do
        started = clock()
        plain = plain_loop(model, Numbers(), query, window, RATE)
        seconds["plain"].append(clock() - started)
        for way in options.ways:
            precision = "bfloat16" if way.endswith("bf16") else "float32"
            adapt = engine.adapt if way.startswith("loop") else lean.adapt
            asked = recipe.model_copy(update={"precision": precision})
            started = clock()
            found = measured(adapt, model, query, asked, window)
            seconds[way].append(clock() - started)
            apart[way] = max(apart[way], *(abs(v / plain[k] - 1) for k, v in found.items()))
        ratios = [seconds["plain"][repeat] / seconds[way][repeat] for way in options.ways]
        print(
            repeat, *(f"{w} {r:.2f}" for w, r in zip(options.ways, ratios, strict=True)), flush=True
        )
    print(f"{options.shape}, {options.tokens} tokens, {options.neighbors} neighbours")
    print(f"{'':10}{'seconds':>9}{'plain / it':>12}{'spread':>16}{'apart':>10}")
    for way, values in seconds.items():
        ratios = [a / b for a, b in zip(seconds["plain"], values, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        middle = statistics.median(ratios)
        print(
            f"{way:10}{statistics.median(values):9.2f}{middle:12.2f}{spread:>16}"
            f"{apart.get(way, 0.0):10.1e}"
        )
    wrong = [w for w in options.ways if apart[w] > BOUNDS["bfloat16" if "bf16" in w else "float32"]]
    if wrong:
        raise SystemExit(f"numbers do not agree: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
