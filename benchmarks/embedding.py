"""Embedding, beside plain transformers: texts in file order, batches of 16 padded to the longest.

python benchmarks/embedding.py [SHARD.jsonl.zst] [--tokenizer FOLDER] [--texts 64] [--repeats 5]

The encoder is a RoBERTa of 6 layers of 384 with random weights. Texts are the first of the shard,
and without one as many random words as documents of a small corpus in the Pile's layout are long.
The tokenizer is that of FOLDER, and otherwise a byte-level BPE learnt from the texts. Ours are the
stage's own functions
(`tttnn.retrieval.embed`), in float32 and in bfloat16; every vector is compared with the plain one.
Processor and wall time, in turns; the ratio's median and range.

The arithmetic that the plain way does for padding is the most that sorting can save of it: the
first lines have its share, of tokens and of the model's operations. Last comes a text of 3 MB, of
which only the first tokens are used.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from tttnn.corpus.documents import read_documents
from tttnn.retrieval.embed import embed_texts
from tttnn.sections.embed import Embed

LAYERS, WIDTH, HEADS = 6, 384, 12
BATCH = 16  # texts
LONG = 3_000_000  # characters
# Tokens of 1,820 documents of such a corpus (WordPiece, 30,522): the middles of 13 equal parts
LENGTHS = (185, 307, 403, 506, 579, 615, 644, 674, 709, 757, 836, 990, 1200)
CLOSE = {"float32": 2e-5, "bfloat16": 0.05}
"""By how much a number of a vector may differ from the plain one, of the largest number's size."""


def encoder(tokenizer: PreTrainedTokenizerBase, tokens: int) -> PreTrainedModel:
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=tokens + 1 + tokenizer.pad_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return RobertaModel(config, add_pooling_layer=False).eval()


def learnt_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    learnt = ByteLevelBPETokenizer()
    learnt.train_from_iterator((text[:100_000] for text in texts), 8192, show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=learnt._tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    return tokenizer


def random_texts() -> Iterator[str]:
    """Texts without end, of lengths in the order in which they would be drawn."""
    generator = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlu"))
    words = ["".join(generator.choice(letters, size)) for size in generator.integers(1, 9, 5000)]
    while True:
        size = int(generator.choice(LENGTHS))
        yield " ".join(words[int(5000**x) - 1] for x in generator.random(size))


def plain(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], tokens: int
) -> np.ndarray:
    vectors = []
    for first in range(0, len(texts), BATCH):
        batch = tokenizer(
            texts[first : first + BATCH],
            truncation=True,
            max_length=tokens,
            padding=True,
            return_tensors="pt",
        )
        ids, mask = batch["input_ids"], batch["attention_mask"]
        with torch.no_grad():
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        vectors.append(((hidden * weights).sum(1) / weights.sum(1)).numpy())
    return np.concatenate(vectors)


class Spent(NamedTuple):
    processor: float
    wall: float


def timed(work: Callable[[], np.ndarray]) -> tuple[Spent, np.ndarray]:
    processor, wall = time.process_time(), time.perf_counter()
    vectors = work()
    return Spent(time.process_time() - processor, time.perf_counter() - wall), vectors


def operations(lengths: np.ndarray) -> float:
    """Of texts of so many tokens each: products with weights, and those of attention."""
    n = lengths.astype(float)
    return float(LAYERS * (24 * WIDTH**2 * n + 4 * WIDTH * n**2).sum())


def tell_lengths(tokenizer: PreTrainedTokenizerBase, texts: list[str], tokens: int) -> None:
    encoded = tokenizer(texts, truncation=True, max_length=tokens, verbose=False)["input_ids"]
    lengths = np.array([len(ids) for ids in encoded])
    padded = np.concatenate(
        [
            np.full(len(part), part.max())
            for part in (lengths[i : i + BATCH] for i in range(0, len(lengths), BATCH))
        ]
    )
    print(
        f"{len(texts)} texts of {np.mean([len(text) for text in texts]):.0f} characters; "
        f"{(lengths == tokens).mean():.0%} have {tokens} tokens or more, the mean is "
        f"{lengths.mean():.0f}\nin file order {1 - lengths.sum() / padded.sum():.1%} of the tokens "
        f"are padding: without it {operations(padded) / operations(lengths):.2f} times fewer "
        "operations"
    )


def compare(
    name: str,
    ways: dict[str, Callable[[], np.ndarray]],
    repeats: int,
    tolerances: dict[str, float],
) -> bool:
    """Time `ways` in turns beside the first of them; whether all vectors are close to its."""
    spent: dict[str, list[Spent]] = {way: [] for way in ways}
    worst = dict.fromkeys(ways, 0.0)
    for _ in range(repeats):
        expected: np.ndarray | None = None
        for way, work in ways.items():
            took, vectors = timed(work)
            spent[way].append(took)
            expected = vectors if expected is None else expected
            difference = np.abs(vectors - expected).max() / np.abs(expected).max()
            worst[way] = max(worst[way], float(difference))
    print(f"{name:28} {'processor s':>11} {'wall s':>7}  {'ratio (processor)':22} difference")
    reference = next(iter(spent.values()))
    for way, took in spent.items():
        processor, wall = (statistics.median(values) for values in zip(*took, strict=True))
        ratios = [was.processor / now.processor for was, now in zip(reference, took, strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{way:28} {processor:11.2f} {wall:7.2f}  {ratio:22} {worst[way]:.0e}")
    return all(worst[way] <= tolerance for way, tolerance in tolerances.items())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shard", type=Path, nargs="?")
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.shard:
        found = (d.text for d in read_documents(options.shard, needs_subset=False))
    else:
        found = random_texts()
    texts = list(islice(found, options.texts))
    tokenizer = (
        AutoTokenizer.from_pretrained(options.tokenizer, local_files_only=True)
        if options.tokenizer
        else learnt_tokenizer(texts)
    )
    tokens = options.tokens
    model = encoder(tokenizer, tokens)
    tell_lengths(tokenizer, texts, tokens)

    def ways(texts: list[str]) -> dict[str, Callable[[], np.ndarray]]:
        def ours(precision: str) -> np.ndarray:
            return embed_texts(
                model, tokenizer, texts, Embed(max_tokens=tokens, precision=precision)
            )

        return {
            "plain, float32": lambda: plain(model, tokenizer, texts, tokens),
            "ours, float32": lambda: ours("float32"),
            "ours, bfloat16": lambda: ours("bfloat16"),
        }

    tolerances = {f"ours, {precision}": close for precision, close in CLOSE.items()}
    good = compare("", ways(texts), options.repeats, tolerances)
    body = " ".join(texts)
    long = (body * (1 + LONG // len(body)))[:LONG]
    good &= compare(f"a text of {LONG / 1e6:.0f} MB", ways([long]), options.repeats, tolerances)
    print("all vectors agree" if good else "vectors differ")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
