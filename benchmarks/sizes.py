"""What an index of so many GB of text takes, of each type: by the formulas that a plan uses.

python benchmarks/sizes.py [1 30 300] [--environment cpu]

Documents are as long as the Pile's, vectors and queries are those of config/paper.yaml. Hours are
of all jobs of a kind, each with the threads or the GPU that it asks for; none is measured here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from math import ceil, log2, sqrt
from pathlib import Path

from tttnn.needs.rates import MB
from tttnn.needs.scale import Scale
from tttnn.operations.costs import FORMULAS
from tttnn.operations.jobs import ask
from tttnn.operations.sizes import PILE_BYTES, PILE_DOCUMENTS, scale

PAPER = Path(__file__).parents[1] / "config/paper.yaml"
TYPES = ("Flat", "IVF{},Flat", "IVF{},SQ8", "OPQ64,IVF{},PQ64", "IVF{},RaBitQ")
BUILDING = ("train_shard_index", "merge_training", "fill_shard_index", "merge_index")
ONCE = ("merge_training", "merge_index")  # a job for all shards


def expected(gigabytes: float, factory: str, environment: str) -> Scale:
    """The scale of so much text in shards of at most the Pile's size, for the formulas."""
    entry = f"embedder: roberta-pile, factory: '{factory}'"
    if factory != "Flat":
        entry += ", sample_per_shard: 500000, nprobe: 64"
    settings = [f"indexes={{chosen: {{{entry}}}}}", f"environment={environment}"]
    made = scale(ask([str(PAPER)], settings)[0])
    shards = ceil(gigabytes * 1e9 / PILE_BYTES)
    size = gigabytes * 1e9 / shards
    documents = size * PILE_DOCUMENTS / PILE_BYTES
    texts = made.texts._replace(documents=documents, bytes=size)
    return replace(made, texts=texts, shards=[f"{n:02d}" for n in range(shards)])


def lists(passages: float) -> int:
    """Inverted lists: a power of two, about four times the square root."""
    return 2 ** round(log2(4 * sqrt(passages)))


def rows(gigabytes: float, environment: str) -> Iterator[list[object]]:
    """Of each type: passages, bytes, hours, and the largest job's memory."""
    for form in TYPES:
        made = expected(gigabytes, "Flat", environment)
        passages = made.passages * len(made.shards)
        factory = form.format(lists(passages))
        made = expected(gigabytes, factory, environment)
        job = {"index": "chosen", "embedder": "roberta-pile", "shard": "00", "queries": "test"}
        stages = (*(BUILDING if factory != "Flat" else ()), "search_shard")
        needs = {stage: FORMULAS[stage](made, job) for stage in stages}
        times = {stage: 1 if stage in ONCE else len(made.shards) for stage in stages}
        hours = {stage: times[stage] * need.seconds / 3600 for stage, need in needs.items()}
        embedding = FORMULAS["embed_chunk"](made, job)
        files = made.chunk.chunks_per_shard * len(made.shards)
        yield [
            f"{gigabytes:g}",
            factory,
            f"{passages / 1e6:.2f}",
            f"{files * embedding.disk / 1e9:.1f}",
            f"{files * embedding.seconds / 3600:.1f}",
            f"{sum(times[s] * needs[s].disk for s in stages if s == 'fill_shard_index') / 1e9:.1f}",
            f"{sum(hours[stage] for stage in stages if stage in BUILDING):.2f}",
            f"{hours['search_shard']:.2f}",
            f"{max(need.memory for need in needs.values()) / MB:.0f}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gigabytes", nargs="*", type=float, default=[1, 30, 300])
    parser.add_argument("--environment", choices=["cpu", "gpu"], default="cpu")
    options = parser.parse_args()
    head = ["GB", "index", "million passages", "embeddings, GB", "to embed, hours"]
    head += ["index, GB", "to build, hours", "to search, hours", "largest job, MB"]
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for gigabytes in options.gigabytes:
        for row in rows(gigabytes, options.environment):
            print("| " + " | ".join(map(str, row)) + " |")


if __name__ == "__main__":
    main()
