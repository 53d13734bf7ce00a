"""Similarity of pairs that are given: counted together, pair by pair, and by MinHash's estimate.

python benchmarks/overlap.py [--queries 30] [--neighbors 20] [--characters 0 6000] [--text FILE …]

Each query is compared with as many neighbours. Texts are documents of the demo, or of the corpus
files that are given, joined until they have so many characters and then cut there; 0 leaves them as
they are. A table of processor time a pair: the median over the queries, and the 5th and 95th
percentile. `plain` is the definition, sets of tuples of words, which must give the same numbers.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path

from datasketch import MinHash

from tttnn.corpus.documents import read_documents
from tttnn.demo.corpus import generate
from tttnn.demo.settings import DemoSource
from tttnn.retrieval.overlap import overlaps
from tttnn.sections.gather import Gather

SPEC = Gather()
WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def windows(found: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(found[start:] for start in range(n)), strict=False)  # ends with the last start


def ngrams(found: Sequence[str], n: int) -> set[tuple[str, ...]]:
    return set(windows(found, min(n, len(found))))


def plain(query: str, texts: Iterable[str]) -> Iterator[tuple[bool, float, float]]:
    """`overlaps`, a pair at a time."""
    own, split = words(query), query.lower().split()
    grams, shingles = ngrams(own, SPEC.ngram), ngrams(own, SPEC.shingle)
    n = min(SPEC.ngram, len(own))
    for text in texts:
        found = words(text)
        others = ngrams(found, SPEC.shingle)
        shared = len(shingles & others)
        yield (
            found == own and split == text.lower().split(),
            len(grams.intersection(windows(found, n))) / max(1, len(grams)),
            shared / max(1, len(shingles) + len(others) - shared),
        )


def demo_texts(shard: str) -> Iterator[str]:
    source = DemoSource(
        kind="demo",
        train_documents=50_000,
        val_documents=1,
        test_documents=50_000,
        copies=0,
        seed=0,
    )
    return (record["text"] for record in generate(source, shard, 1))


def of_length(texts: Iterable[str], characters: int) -> Iterator[str]:
    joined = ""
    for text in texts:
        joined += text
        while joined and len(joined) >= characters:
            size = characters or len(joined)
            yield joined[:size]
            joined = joined[size:]


def signature(text: str, permutations: int) -> MinHash:
    sketch = MinHash(num_perm=permutations)
    sketch.update_batch([" ".join(gram).encode() for gram in ngrams(words(text), SPEC.shingle)])
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
    parser.add_argument("--text", type=Path, nargs="+", default=[], help="corpus files")
    options = parser.parse_args()
    print(
        "| characters | together, ms | plain, ms | ratio | estimated, ms | estimated / plain "
        "| of signatures at hand, ms | largest error |\n|---|---|---|---|---|---|---|---|"
    )
    for characters in options.characters:
        if options.text:
            read = (read_documents(path, needs_subset=False) for path in options.text)
            pool = of_length((document.text for document in chain(*read)), characters)
            queries = islice(pool, options.queries)
        else:
            pool = of_length(demo_texts("00"), characters)
            queries = of_length(demo_texts("test"), characters)
        times: list[list[float]] = [[], [], [], []]
        errors, lengths = [], []
        for query in islice(queries, options.queries):
            texts = list(islice(pool, options.neighbors))
            lengths += map(len, texts)
            clock = [time.process_time()]
            counted = list(overlaps(SPEC, query, texts))
            clock.append(time.process_time())
            truth = list(plain(query, texts))
            clock.append(time.process_time())
            sketch = signature(query, options.permutations)
            others = [signature(text, options.permutations) for text in texts]
            signed = time.process_time()
            guesses = [sketch.jaccard(other) for other in others]
            clock.append(time.process_time())
            spent = [end - start for start, end in pairwise(clock)]
            for column, seconds in zip(times, [*spent, clock[-1] - signed], strict=True):
                column.append(1000 * seconds / len(texts))
            if counted != truth:
                raise SystemExit(f"not as defined: {counted}, {truth}")
            errors += [abs(a - b) for (_, _, a), b in zip(truth, guesses, strict=True)]
        together, alone, estimated, at_hand = times
        ratios = [b / a for a, b in zip(together, alone, strict=True)]
        more = [b / a for a, b in zip(alone, estimated, strict=True)]
        print(
            f"| {statistics.mean(lengths):.0f} | {cell(together)} | {cell(alone)} "
            f"| {cell(ratios, 1)} | {cell(estimated)} | {cell(more, 1)} | {cell(at_hand)} "
            f"| {max(errors):.3f} |"
        )


if __name__ == "__main__":
    main()
