"""Test-time training beside a plain loop, on one document: seconds, and that the numbers agree.

The plain loop evaluates after every neighbour, copies each window's log-probabilities for the
whole vocabulary, and rebuilds the weights with `load_state_dict`. Ours evaluates only where asked.

    python benchmarks/adapt_loop.py MODEL [--neighbors 20] [--repeats 5]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from tttnn.methods.likelihood import prefix_token, rolling_windows
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


def plain(model, tokenizer, query: Query, window: int) -> list[float]:
    """The log-likelihood before training and after every neighbour."""
    original = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    windows = rolling_windows(tokenizer(query.text)["input_ids"], prefix_token(tokenizer), window)

    def evaluate() -> float:
        model.eval()
        total = 0.0
        for inputs, targets in windows:
            with torch.no_grad():
                table = torch.log_softmax(model(torch.tensor([inputs])).logits, -1)[0].clone()
            chosen = table[-len(targets) :].gather(1, torch.tensor(targets)[:, None])
            total += chosen.sum().item()
        return total

    measured = [evaluate()]
    for neighbor in query.neighbors:
        ids = tokenizer(neighbor)["input_ids"]
        model.train()
        for start in range(0, len(ids), window):
            piece = torch.tensor([ids[start : start + window]])
            if piece.shape[1] > 1:
                optimizer.zero_grad()
                model(piece, labels=piece).loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
        measured.append(evaluate())
    model.load_state_dict(original)
    return measured


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
        reference = plain(model, tokenizer, query, window)
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
