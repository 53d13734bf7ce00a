"""Reused gradients of repeated texts: training time with `reuse: 2` against `reuse: 1`.

    python benchmarks/reuse.py CORPUS [--shape gpt2] [--documents 3] [--model FOLDER]

CORPUS is a folder with test.jsonl.zst and train/*.jsonl.zst. Texts' vectors are of their words, by
inverse frequency and in the 128 directions that hold most of them; HullFT picks 20 of each test
document's 50 or 200 nearest. First what its picks allow: how many texts are distinct, and how many
gradients are computed. Then seconds of training (of the processor, on one thread), each r first in
turn, with a model of the shape and texts of 256 random tokens that repeat as the picks do. With a
model's folder, its log-likelihoods on the texts themselves too, of each the first 600 characters.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import re
import statistics
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import zstandard
from shapes import SHAPES, Numbers, random_model, random_text

from tttnn.methods.measure import Query
from tttnn.methods.ttt.engines import documents, lean
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import load_causal
from tttnn.retrieval.selections.hull import hull

PICKS, ITERATIONS = 20, 200
WORDS, DIRECTIONS = 4096, 128
CHARACTERS = 600


def read(path: Path, count: int) -> list[str]:
    with path.open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8")
        return [json.loads(line)["text"] for line, _ in zip(lines, range(count), strict=False)]


def counted(texts: Sequence[str]) -> np.ndarray:
    """(texts, WORDS): logarithms of counts, of hashed words."""
    found = np.zeros((len(texts), WORDS))
    for row, text in zip(found, texts, strict=True):
        for word, count in Counter(re.findall(r"\w+", text[:2048].lower())).items():
            row[zlib.crc32(word.encode()) % WORDS] += 1 + math.log(count)
    return found


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def vectors(train: Sequence[str], test: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    passages, queries = counted(train), counted(test)
    weight = np.maximum(np.log(len(train) / (1 + (passages > 0).sum(0))), 0)
    passages, queries = unit(passages * weight), unit(queries * weight)
    directions = np.linalg.svd(passages[::3], full_matrices=False)[2][:DIRECTIONS].T
    return unit(passages @ directions), unit(queries @ directions)


def computed(picks: np.ndarray, every: int) -> int:
    """Gradients that are computed of all picks."""
    return sum(-(-count // every) for count in Counter(picks.tolist()).values())


def recipe_of(every: int, rate: float) -> Recipe:
    return Recipe(num_neighbors=PICKS, evaluate_at=[0, PICKS], learning_rate=rate, reuse=every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--passages", type=int, default=1500, help="of each train file")
    parser.add_argument("--queries", type=int, default=40, help="whose picks are counted")
    parser.add_argument("--shape", choices=SHAPES, default="gpt2")
    parser.add_argument("--tokens", type=int, default=256, help="of a text")
    parser.add_argument("--documents", type=int, default=3, help="that are timed")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--model", type=Path, help="whose log-likelihoods are compared")
    parser.add_argument("--rate", type=float, default=1e-4, help="the model's learning rate")
    options = parser.parse_args()
    torch.set_num_threads(1)  # so that processor time is work, not waiting
    files = sorted((options.corpus / "train").glob("*.jsonl.zst"))
    train = [text for file in files for text in read(file, options.passages)]
    test = read(options.corpus / "test.jsonl.zst", options.queries)
    passages, queries = vectors(train, test)
    for candidates in (50, 200):
        near = [np.sort(np.argsort(-(passages @ query))[:candidates]) for query in queries]
        picks = [
            places[hull(passages[places], query, PICKS, ITERATIONS)]
            for places, query in zip(near, queries, strict=True)
        ]
        distinct = statistics.mean(len(set(chosen.tolist())) for chosen in picks)
        each = {r: statistics.mean(computed(chosen, r) for chosen in picks) for r in (2, 3, PICKS)}
        print(
            f"{PICKS} of {candidates} candidates: {distinct:.1f} distinct; computed, "
            + ", ".join(f"r = {r}: {n:.1f} ({PICKS / n:.2f} x fewer)" for r, n in each.items()),
            flush=True,
        )
        if candidates == 50:
            timed = picks[: options.documents]
            compared = picks
    # of the processor, as it is one thread that works
    documents.time = type("Clock", (), {"perf_counter": time.process_time})  # type: ignore[attr-defined]
    model = random_model(options.shape)
    vocabulary, window = model.config.vocab_size, model.config.max_position_embeddings
    warm_up = Recipe(num_neighbors=1, evaluate_at=[0, 1], learning_rate=2e-5)
    ratios = []
    for number, chosen in enumerate(timed):
        text = random_text(number, options.tokens, vocabulary)
        neighbors = [random_text(int(place), options.tokens, vocabulary) for place in chosen]
        if number == 0:  # what is made at first is no part of it
            list(lean.adapt(model, Numbers(), [Query("a", text, neighbors)], warm_up, window))
        seconds = {}
        for every in (1, 2) if number % 2 else (2, 1):
            asked = recipe_of(every, 2e-5).model_copy(update={"precision": options.precision})
            (found,) = lean.adapt(model, Numbers(), [Query(number, text, neighbors)], asked, window)
            seconds[every] = found.measurements[-1].train_seconds
        ratios.append(seconds[1] / seconds[2])
        print(
            f"{options.shape}, {options.precision}: r = 1 {seconds[1]:.2f} s, r = 2 "
            f"{seconds[2]:.2f} s, {computed(chosen, 2)} of {PICKS} computed: {ratios[-1]:.2f} x",
            flush=True,
        )
    print(f"median {statistics.median(ratios):.2f} x, {min(ratios):.2f} to {max(ratios):.2f}")
    if options.model is None:
        return
    network, tokenizer = load_causal(options.model)
    window = network.config.max_position_embeddings
    gains = {}
    for every in (1, 2):
        cases = [
            Query(i, test[i][:CHARACTERS], [train[place][:CHARACTERS] for place in chosen])
            for i, chosen in enumerate(compared)
        ]
        adapted = lean.adapt(network, tokenizer, cases, recipe_of(every, options.rate), window)
        found = [(a.size, [m.loglikelihood for m in a.measurements]) for a in adapted]
        gains[every] = [(size.bytes, *values) for size, values in found]
    total = sum(size for size, *_ in gains[1]) * math.log(2)
    before = -sum(first for _, first, _ in gains[1]) / total
    after = {r: -sum(last for *_, last in rows) / total for r, rows in gains.items()}
    print(
        f"{options.model.name}, bits per byte of {len(test)} documents: before {before:.4f}, r = 1 "
        f"{after[1]:.4f}, r = 2 {after[2]:.4f} ({(after[2] / after[1] - 1):+.2%})"
    )


if __name__ == "__main__":
    main()
