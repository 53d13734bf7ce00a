"""Many documents in flight beside one by one: document steps a second, and that numbers agree.

Random weights of a 36 M shape (parameter-golf's: width 512, 11 layers, 8 heads, 4 of keys, a
vocabulary of 8,192) and random pieces of 32 tokens: a document step is one AdamW step of one
document on one piece. On a CPU, documents in flight and one by one (the engine with one in flight,
and the reference loop) take turns in one process, and seconds are the processor's, on one thread.

    python benchmarks/in_flight.py [--device cpu] [--documents 16] [--rank 16] [--weights]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from tttnn.methods.measure import Adapted, Query
from tttnn.methods.ttt import engine as reference
from tttnn.methods.ttt.engines import adapters, flight, weights
from tttnn.methods.ttt.settings import Lora, Recipe

PIECE = 32  # tokens
RATE = 1e-3
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
SHAPES = {
    "36M": {
        "hidden_size": 512,
        "intermediate_size": 1368,
        "num_hidden_layers": 11,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 8192,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
    },
    "7M": {
        "hidden_size": 256,
        "intermediate_size": 684,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 4096,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
    },
}


class Numbers:
    """A tokenizer of texts that are numbers in a row: each is a token's id."""

    bos_token_id = 0
    eos_token_id = 0

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [int(word) for word in text.split()]}


def model_of(shape: str, device: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", bos_token_id=0, eos_token_id=0, **SHAPES[shape])
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).to(device).eval()


def queries(documents: int, steps: int, tokens: int, vocabulary: int, seed: int) -> list[Query]:
    """Documents of `tokens` tokens whose `steps` neighbours are a piece each."""
    draw = torch.Generator().manual_seed(seed)

    def text(length: int) -> str:
        ids = torch.randint(1, vocabulary, (length,), generator=draw)
        return " ".join(map(str, ids.tolist()))

    return [
        Query(f"{seed}-{i}", text(tokens), [text(PIECE) for _ in range(steps)])
        for i in range(documents)
    ]


def recipe_of(steps: int, rank: int | None, precision: str) -> Recipe:
    lora = None if rank is None else Lora(rank=rank, targets=TARGETS)
    return Recipe.model_validate(
        {
            "num_neighbors": steps,
            "evaluate_at": [0, steps],
            "learning_rate": RATE,
            "dropout": "none",
            "lora": lora,
            "precision": precision,
        }
    )


def difference(one: list[Adapted], other: list[Adapted]) -> float:
    """The largest relative difference of log-likelihoods."""
    return max(
        abs(a.loglikelihood / b.loglikelihood - 1)
        for left, right in zip(one, other, strict=True)
        for a, b in zip(left.measurements, right.measurements, strict=True)
    )


def trained_seconds(results: list[Adapted]) -> float:
    return sum(result.measurements[-1].train_seconds for result in results)


def _row(
    engine, device: str, shape: str, documents: int, tokens: int, rank: int | None,
    seconds: float, precision: str = "float32",
) -> dict[str, object]:  # fmt: skip
    """Document steps a second of `documents` in flight; on a CPU, beside one by one."""
    model, tokenizer = model_of(shape, device), Numbers()
    size = SHAPES[shape]["vocab_size"]
    window = 1024

    def timed(adapt, many: list[Query], recipe: Recipe, *options) -> tuple[float, list[Adapted]]:
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        results = list(adapt(model, tokenizer, many, recipe, window, *options))
        return time.perf_counter() - started, results

    row: dict[str, object] = {
        "shape": shape, "documents": documents, "tokens": tokens, "rank": rank,
        "piece": PIECE, "precision": precision, "device": device,
    }  # fmt: skip
    if device == "cuda":
        recipe = recipe_of(40, rank, precision)
        torch.cuda.reset_peak_memory_stats()
        # three groups of a call: the first warms up and captures
        rates, whole = [], []
        ended = time.perf_counter() + seconds
        seed = 0
        many = queries(3 * documents, 40, tokens, size, 0)
        first_seconds, results = timed(engine.adapt, many, recipe, documents)
        while time.perf_counter() < ended and len(rates) < 20:
            seed += 1
            many = queries(3 * documents, 40, tokens, size, seed)
            total, results = timed(engine.adapt, many, recipe, documents)
            last = results[-documents:]
            rates.append(40 * documents / trained_seconds(last))
            whole.append(40 * 3 * documents / total)
        row |= {
            "first_call_seconds": round(first_seconds, 2),
            "steps_per_second": round(statistics.median(rates), 1),
            "spread": [round(min(rates), 1), round(max(rates), 1)],
            "steps_per_second_of_whole_calls": round(statistics.median(whole), 1),
            "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
            "repeats": len(rates),
        }
        few = queries(4, 8, tokens, size, 99)
        recipe = recipe_of(8, rank, precision)
        _, ours = timed(engine.adapt, few, recipe, documents)
        _, alone = timed(engine.adapt, few, recipe, 1)
        row["difference_from_one_in_flight"] = difference(ours, alone)
        _, loop = timed(reference.adapt, few, recipe_of(8, rank, "float32"))
        row["difference_from_reference"] = difference(ours, loop)
        row["reference_steps_per_second"] = round(8 * 3 / trained_seconds(loop[1:]), 1)
        return row
    torch.set_num_threads(1)  # so that the processor's time is work, not waiting
    for module in (reference, flight):  # nor is it other processes' work
        module.clock = lambda _: time.process_time()
    steps = 4
    recipe = recipe_of(steps, rank, precision)
    taken: dict[str, list[float]] = {"in flight": [], "one in flight": [], "reference": []}
    ended = time.perf_counter() + seconds
    seed = 0
    while time.perf_counter() < ended or seed < 3:
        many = queries(documents, steps, tokens, size, seed)
        few = many[: max(1, documents // 4)]  # seconds are of a document
        _, ours = timed(engine.adapt, many, recipe, documents)
        _, alone = timed(engine.adapt, few, recipe, 1)
        _, loop = timed(reference.adapt, few, recipe)
        taken["in flight"].append(trained_seconds(ours) / len(many))
        taken["one in flight"].append(trained_seconds(alone) / len(few))
        taken["reference"].append(trained_seconds(loop) / len(few))
        row["difference_from_reference"] = difference(ours[: len(few)], loop)
        row["difference_from_one_in_flight"] = difference(ours[: len(few)], alone)
        seed += 1
    for name in ("one in flight", "reference"):
        ratios = [b / a for a, b in zip(taken["in flight"], taken[name], strict=True)]
        row[f"{name} / in flight"] = round(statistics.median(ratios), 2)
        row[f"{name} / in flight, spread"] = [round(min(ratios), 2), round(max(ratios), 2)]
    for name, values in taken.items():
        row[f"{name}, steps_per_second"] = round(steps / statistics.median(values), 2)
    row["repeats"] = seed
    return row


def adapters_row(
    device: str, documents: int, tokens: int, rank: int, seconds: float, **more: str
) -> dict[str, object]:
    """Adapters of the 36 M shape."""
    row = _row(adapters, device, "36M", documents, tokens, rank, seconds, **more)
    return {"row": "adapters in flight"} | row


def weights_row(
    device: str, documents: int, tokens: int, seconds: float, shape: str = "36M", **more: str
) -> dict[str, object]:
    """All weights."""
    row = _row(weights, device, shape, documents, tokens, None, seconds, **more)
    return {"row": "weights in flight"} | row


def rows(device: str) -> list[dict[str, object]]:
    """What a GPU is measured by, about a minute; a row that fails says why."""
    wanted = [
        (adapters_row, (device, 64, 512, 96, 8.0), {}),
        (adapters_row, (device, 64, 512, 96, 8.0), {"precision": "bfloat16"}),
        (weights_row, (device, 32, 512, 6.0), {"precision": "bfloat16"}),
    ]
    found = []
    for function, arguments, more in wanted:
        try:
            found.append(function(*arguments, **more))
        except Exception as error:
            name = function.__name__
            found.append({"row": name, "failed": f"{type(error).__name__}: {error}"[:500]})
        if device == "cuda":
            torch.cuda.empty_cache()
        print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--documents", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--weights", metavar="SHAPE", choices=SHAPES)
    options = parser.parse_args()
    if options.device == "cuda":
        rows("cuda")
        return
    sizes = (options.device, options.documents, options.tokens)
    if options.weights:
        row = weights_row(*sizes, options.seconds, shape=options.weights)
    else:
        row = adapters_row(*sizes, options.rank, options.seconds)
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
