"""Similarity of pairs that are given: 5-grams counted beside MinHash's estimate.

python benchmarks/overlap.py [--queries 30] [--neighbors 20] [--characters 0 6000]

Each query is compared with as many neighbours. All are documents of the demo, joined until they
have so many characters; 0 leaves them as they are. A table of processor time a pair: the median
over the queries, and the 5th and 95th percentile.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from itertools import islice

from datasketch import MinHash

from tttnn.demo.corpus import generate
from tttnn.demo.settings import DemoSource
from tttnn.retrieval.overlap import jaccard, ngrams, words

SHINGLE = 5


def demo_texts(shard: str, characters: int) -> Iterator[str]:
    source = DemoSource(
        kind="demo",
        train_documents=50_000,
        val_documents=1,
        test_documents=50_000,
        copies=0,
        seed=0,
    )
    joined = ""
    for record in generate(source, shard, 1):
        joined += record["text"]
        if len(joined) > characters:
            yield joined
            joined = ""


def signature(text: str, permutations: int) -> MinHash:
    sketch = MinHash(num_perm=permutations)
    sketch.update_batch([" ".join(gram).encode() for gram in ngrams(words(text), SHINGLE)])
    return sketch


def cell(values: list[float], digits: int = 3) -> str:
    low, *_, high = statistics.quantiles(values, n=20)
    median = statistics.median(values)
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--neighbors", type=int, default=20)
    parser.add_argument("--characters", type=int, nargs="+", default=[0, 6000])
    parser.add_argument("--permutations", type=int, default=128)
    options = parser.parse_args()
    print(
        "| characters | counted, ms | estimated, ms | ratio | of signatures at hand, ms "
        "| largest error |\n|---|---|---|---|---|---|"
    )
    for characters in options.characters:
        pool = demo_texts("00", characters)
        counted, estimated, at_hand, errors, lengths = [], [], [], [], []
        for query in islice(demo_texts("test", characters), options.queries):
            texts = list(islice(pool, options.neighbors))
            lengths += map(len, texts)
            started = time.process_time()
            shingles = ngrams(words(query), SHINGLE)
            truth = [jaccard(shingles, ngrams(words(text), SHINGLE)) for text in texts]
            between = time.process_time()
            sketch = signature(query, options.permutations)
            others = [signature(text, options.permutations) for text in texts]
            signed = time.process_time()
            guesses = [sketch.jaccard(other) for other in others]
            ended = time.process_time()
            for times, spent in (
                (counted, between - started),
                (estimated, ended - between),
                (at_hand, ended - signed),
            ):
                times.append(1000 * spent / len(texts))
            errors += [abs(a - b) for a, b in zip(truth, guesses, strict=True)]
        ratios = [b / a for a, b in zip(counted, estimated, strict=True)]
        print(
            f"| {statistics.mean(lengths):.0f} | {cell(counted)} | {cell(estimated)} "
            f"| {cell(ratios, 1)} | {cell(at_hand)} | {max(errors):.3f} |"
        )


if __name__ == "__main__":
    main()
