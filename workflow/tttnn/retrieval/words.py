"""Search by words: BM25, two passes over each shard's passages, a job a shard.

A word's worth depends on how many passages of the whole corpus have it, and a passage's length
counts against the corpus's mean. So a first pass counts, and a second one scores with the counts of
all shards, which makes scores of different shards comparable. Only words that some query has are
told apart: what is in memory depends on the queries and on a block of passages.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import bm25s
import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from tttnn.digests import DamagedError
from tttnn.retrieval.scored import Best
from tttnn.retrieval.tensors import load_tensors, save_tensors
from tttnn.sections.base import Section
from tttnn.sections.memory import room
from tttnn.tables import check_table, open_table, read_table

WORD = re.compile(r"\w+")  # as overlaps have it, in lower case
WORD_BYTES = 256  # of a passage's word while a block is scored: as read, counted, in the matrix
MOST_ROWS = 4096  # of a block


class CountSpec(Section):
    """How much of a text counts."""

    max_words: int


class WordsSpec(Section):
    """K, and BM25's constants (see `tttnn.sections.lexical.Lexical`)."""

    candidates: int
    max_words: int
    k1: float
    b: float


def words(text: str, most: int) -> list[str]:
    """The first words of a text."""
    return [match[0] for match in islice(WORD.finditer(text.lower()), most)]


class _Queries:
    """All tasks' queries: their ids, their words as numbers, and the number of each word."""

    def __init__(self, paths: list[Path], most: int) -> None:
        tables = [read_table(path, ["query_id", "text"]) for path in paths]
        texts = [words(text, most) for table in tables for text in table["text"].to_pylist()]
        ids = [table["query_id"].to_numpy() for table in tables]
        self.ids = np.concatenate([np.empty(0, np.int64), *ids])
        known = sorted({word for text in texts for word in text})
        self.numbers = {word: number for number, word in enumerate(known)}
        self.words = [np.array([self.numbers[w] for w in text], np.int32) for text in texts]
        self.digest = hashlib.sha256("\n".join(known).encode()).hexdigest()


class _Block(NamedTuple):
    """Some passages: their ids, and of each its words as numbers; all unknown ones have one."""

    ids: np.ndarray
    words: list[list[int]]


def _blocks(
    passages: list[Path], numbers: dict[str, int], most: int, rows: int = MOST_ROWS
) -> Iterator[_Block]:
    other = len(numbers)
    total = sum(open_table(path).metadata.num_rows for path in passages)
    progress = tqdm(total=total, unit=" passages", unit_scale=True, mininterval=5, delay=5)
    for path in passages:
        check_table(path)
        batches = pq.ParquetFile(path).iter_batches(rows, columns=["passage_id", "text"])
        for batch in batches:
            texts = (words(text, most) for text in batch["text"].to_pylist())
            ids = batch["passage_id"].to_numpy()
            yield _Block(ids, [[numbers.get(word, other) for word in text] for text in texts])
            progress.update(len(ids))
    progress.close()


def count_words(spec: CountSpec, queries: list[Path], passages: list[Path], output: Path) -> None:
    """Count in how many of a shard's passages each of the queries' words is.

    `queries` are all tasks' files, `passages` the shard's. `output` is safetensors: `frequencies`,
    int64, by the words in alphabetical order; it also says how many passages and words there are.
    In memory are the queries' words, and a block of passages.
    """
    asked = _Queries(queries, spec.max_words)
    frequencies = np.zeros(len(asked.numbers) + 1, np.int64)
    rows = total = 0
    for block in _blocks(passages, asked.numbers, spec.max_words):
        rows += len(block.ids)
        for found in block.words:
            total += len(found)
            frequencies[list(set(found))] += 1
    said = {"passages": rows, "words": total, "vocabulary": asked.digest}
    save_tensors(output, {"frequencies": frequencies[:-1]}, said)


class _Counts:
    """What was counted, of all shards; raises `DamagedError` where that is of other queries."""

    def __init__(self, paths: list[Path], asked: _Queries) -> None:
        loaded = [load_tensors(path) for path in paths]
        for path, (_, said) in zip(paths, loaded, strict=True):
            if said["vocabulary"] != asked.digest:
                raise DamagedError(f"{path} counts other queries' words: remove it and run again")
        self.frequencies = np.sum([tensors["frequencies"] for tensors, _ in loaded], axis=0)
        self.passages = sum(said["passages"] for _, said in loaded)
        self.words = sum(said["words"] for _, said in loaded)

    def worth(self) -> np.ndarray:
        """Of each word, log((N - n + ½) / (n + ½)), N passages of which n have it.

        At least 0, which it is of words that half of all passages have.
        """
        with_it = self.frequencies
        return np.log(np.maximum((self.passages - with_it + 0.5) / (with_it + 0.5), 1))


class _Scores:
    """BM25 of a block of passages, by the counts of the corpus they are from.

    The library takes how rare words are, and texts' mean length, from what it is given. Here that
    is a block. So it gets the k1 and b with which the block's mean length gives what the corpus's
    gives with the ones asked for, and the words' worth is exchanged.
    """

    def __init__(
        self,
        spec: WordsSpec,
        block: _Block,
        counts: _Counts,
        worth: np.ndarray,
        vocabulary: dict[str, int],
    ) -> None:
        self._count = len(block.ids)
        mean = sum(map(len, block.words)) / self._count
        self._matrix: bm25s.BM25 | None = None
        if mean == 0:  # not a word
            return
        rest, by_length = spec.k1 * (1 - spec.b), spec.k1 * spec.b * mean * counts.passages
        k1 = rest + by_length / counts.words
        self._matrix = bm25s.BM25(
            k1, 1 - rest / k1, method="robertson", idf_method="lucene", dtype="float64"
        )
        self._matrix.index((block.words, vocabulary), create_empty_token=False, show_progress=False)
        entries = np.diff(self._matrix.scores["indptr"])  # how many passages have the word
        own = np.log(1 + (self._count - entries + 0.5) / (entries + 0.5))
        self._matrix.scores["data"] *= np.repeat(np.append(worth, 0) / own, entries)

    def of(self, query: list[int]) -> np.ndarray:
        """Each passage's score, (passages,); a word counts as often as the query has it."""
        if self._matrix is None or not query:
            return np.zeros(self._count)
        return self._matrix.get_scores_from_ids(query)


def search_words(
    spec: WordsSpec,
    queries: list[Path],
    passages: list[Path],
    counts: list[Path],
    output: Path,
    memory_mb: int,
) -> None:
    """Write the K passages of a shard with the highest score for every query.

    `passages` are the shard's files, `counts` all shards'. Rows are in the order of the queries,
    and by (score, passage id); a query that shares no word with K passages gets some of score 0. A
    score is the sum, over the query's words, of worth · f / (f + k1 (1 - b + b l / mean l)), with f
    how often the passage has the word and l the passage's words.

    In memory are the queries' words, K passages of each, and a block of passages that takes half of
    what `memory_mb` has room for, at most.

    Source: Robertson and Zaragoza 2009, doi 10.1561/1500000019; by bm25s (Lù 2024, 2407.03618).
    """
    asked = _Queries(queries, spec.max_words)
    counted = _Counts(counts, asked)
    worth = counted.worth()
    told = [query[worth[query] > 0].tolist() for query in asked.words]
    best = Best(asked.ids, spec.candidates)
    rows = max(1, min(MOST_ROWS, room(memory_mb) // 2 // (WORD_BYTES * spec.max_words)))
    vocabulary = {str(number): number for number in range(len(worth) + 1)}
    for block in _blocks(passages, asked.numbers, spec.max_words, rows):
        scores = _Scores(spec, block, counted, worth, vocabulary)
        best.add(block.ids, (scores.of(query) for query in told))
    said = {"passages": counted.passages, "words": counted.words, "vocabulary": asked.digest}
    best.write(output, said)
