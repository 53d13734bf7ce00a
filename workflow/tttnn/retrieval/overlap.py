"""How much of one text is in another: equality, containment and Jaccard similarity of n-grams.

Words are runs of word characters in lower case, so that neither punctuation nor the layout of a
page hides a copy. The pairs are given here, so the similarity is counted: MinHash, which estimates
it from signatures, serves to find pairs, and to make a text's signature costs more than to count
(benchmarks/overlap.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text in lower case."""
    return WORD.findall(text.lower())


def _windows(words: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(n)), strict=False)  # ends with the last start


def ngrams(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    """The n-grams of a text's words; of fewer than n words, all of them as one gram."""
    return set(_windows(words, min(n, len(words))))


def containment(query: set[tuple[str, ...]], words: Sequence[str]) -> float:
    """The share of a query's n-grams that a text of these words contains; 0 for no query."""
    if not query:
        return 0.0
    n = len(next(iter(query)))
    return len(query.intersection(_windows(words, n))) / len(query)


def jaccard(first: set[tuple[str, ...]], second: set[tuple[str, ...]]) -> float:
    """Shared n-grams over all n-grams of two texts; 0 where neither has any."""
    shared = len(first & second)
    return shared / max(1, len(first) + len(second) - shared)


def exact(first: str, second: str) -> bool:
    """Whether two texts are equal but for case and the amount of white space.

    Punctuation counts: `a + b` and `a - b` have the same words.
    """
    return first.lower().split() == second.lower().split()
