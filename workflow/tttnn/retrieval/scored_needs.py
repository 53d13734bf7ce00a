"""What it takes to find candidates by words, by windows, and in pools of several searches."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.needs.need import Need
from tttnn.needs.rates import DISK, DISTANCES, FLOAT, PYTHON, START
from tttnn.needs.scale import Formula, Scale
from tttnn.retrieval.needs import DOUBLE, PAIR_DISK, in_parts, of_queries, ranked_bytes

# What stages have in memory at once, by their own names; a test holds them equal.
WINDOW_ROWS, WINDOW_BYTES = 16384, 32  # passages, and bytes of a number: ...search_windows
WORDS_AT_ONCE, WORD_BYTES = 4096, 256  # passages, and bytes of a word of theirs: ...words

QUERY_WORD = 64  # bytes of a query's word: as text, in the list of all, as a number: assumed
WINDOWS_RANKED = 1e8  # passages a second that are compared with the best of a query: assumed
WORDS_BYTES = 5e6  # of text a second, in words that are looked up: assumed
WORDS_SCORED = 2e9  # words of queries times passages a second: assumed


def _words(scale: Scale, wildcards: Mapping[str, str]) -> tuple[float, float]:
    """Bytes of the queries' words, and of the words of a block of passages while it is counted."""
    most = scale.lexical[wildcards["lexical"]].max_words
    return QUERY_WORD * scale.queries * most, WORD_BYTES * most


def count_words(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    asked, word = _words(scale, wildcards)
    memory = PYTHON + asked + word * min(WORDS_AT_ONCE, scale.passages)
    seconds = START + scale.passages * scale.passage_bytes / WORDS_BYTES
    return Need(memory, seconds, DOUBLE * asked / QUERY_WORD, "5 MB of text a second")


def search_words(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Every query is scored against every passage, word for word."""
    asked, word = _words(scale, wildcards)
    held = 2 * DOUBLE * scale.queries * scale.search.candidates
    pairs = scale.queries * scale.passages
    return in_parts(
        scale,
        "a word of a query in a tenth of the passages",
        memory=asked + held + 2 * word * min(WORDS_AT_ONCE, scale.passages),
        least=asked + held + 2 * word,
        seconds=scale.passages * scale.passage_bytes / WORDS_BYTES
        + pairs * scale.lexical[wildcards["lexical"]].max_words / WORDS_SCORED,
        disk=PAIR_DISK * scale.queries * scale.search.candidates,
    )


def merge_scored(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Some queries of a task at a time, of all shards."""
    d, candidates = scale.dimension(wildcards["scored"]), scale.search.candidates
    found = of_queries(candidates * len(scale.shards), d)
    ranked, one = ranked_bytes(scale, candidates, d)
    return in_parts(
        scale,
        "vectors fetched by id",
        memory=2 * (scale.task_queries * found + ranked),
        least=2 * (found + one),
        seconds=scale.queries * candidates * d * DOUBLE / DISK,
        disk=PAIR_DISK * scale.queries * candidates,
    )


def search_windows(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Every window's product with every passage, in float64, one document after the other."""
    d, candidates = scale.dimension(wildcards["windowed"]), scale.search.candidates
    held = 2 * DOUBLE * scale.queries * candidates
    rows = min(WINDOW_ROWS, scale.passages)
    products = scale.query_windows * scale.passages * d
    return in_parts(
        scale,
        "a shard's vectors read once",
        memory=held + 2 * WINDOW_BYTES * d * rows,
        least=held + 2 * WINDOW_BYTES * d,
        seconds=FLOAT * d * scale.passages / DISK
        + 2 * products / DISTANCES
        + scale.queries * scale.passages / WINDOWS_RANKED,
        disk=PAIR_DISK * scale.queries * candidates,
    )


def pool_candidates(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As drawn ones, and a task's candidates of every source as ids."""
    pool = scale.pools[wildcards["pool"]]
    d, candidates = scale.dimension(wildcards["pool"]), scale.search.candidates
    ranked, one = ranked_bytes(scale, candidates, d)
    ids = 2 * DOUBLE * (len(pool.sources) + 1) * scale.task_queries * candidates
    return in_parts(
        scale,
        "vectors fetched by id",
        memory=ids + 2 * (scale.task_queries * of_queries(candidates, d) + ranked),
        least=ids + 2 * (of_queries(candidates, d) + one),
        seconds=scale.queries * candidates * d * DOUBLE / DISK,
        disk=PAIR_DISK * scale.queries * candidates,
    )


FORMULAS: dict[str, Formula] = {
    "count_words": count_words,
    "search_words": search_words,
    "merge_scored": merge_scored,
    "search_windows": search_windows,
    "pool_candidates": pool_candidates,
}
"""By rule."""
