"""BM25 is its formula over the whole corpus, however that is cut into shards and blocks."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from shards import MEMORY_MB, brute_force, write_passages, write_queries, write_query_vectors
from shards import write_vectors as vectors_of
from tttnn.digests import DamagedError
from tttnn.retrieval import words as module
from tttnn.retrieval.candidates import CANDIDATES
from tttnn.retrieval.scored_candidates import MergeScoredSpec, merge_scored
from tttnn.retrieval.vectors import list_embeddings
from tttnn.retrieval.words import CountSpec, WordsSpec, count_words, search_words, words
from tttnn.tables import read_table

CORPUS = [
    "The heart pumps blood through the arteries.",
    "Arteries carry blood; veins carry blood back to the heart, the heart, the heart.",
    "A court of appeal hears the case.",
    "the the the",
    "...",
    "Blood pressure in the arteries of the elderly: a review of cases.",
    "An appeal to the court, the highest court of the land, was heard in this case.",
    "Veins.",
    "The heart pumps blood through the arteries.",
    "Nothing of all this.",
]
QUERIES = [["blood in the arteries", "Court court CASE"], [], ["zebra", "heart veins veins"]]


def scores(query: str, corpus: list[str], k1: float, b: float, most: int) -> list[float]:
    """Robertson's formula, written out; a word that half of the texts have is worth nothing."""

    def split(text: str) -> list[str]:
        letters = "".join(c if c.isalnum() else " " for c in text.lower())
        return letters.split()[:most]

    texts = [split(text) for text in corpus]
    mean = sum(map(len, texts)) / len(texts)
    result = []
    for text in texts:
        count, score = Counter(text), 0.0
        for word in split(query):
            having = sum(word in other for other in texts)
            worth = max(0.0, math.log((len(texts) - having + 0.5) / (having + 0.5)))
            if often := count[word]:
                score += worth * often / (often + k1 * (1 - b + b * len(text) / mean))
        result.append(score)
    return result


class Run:
    """A corpus of words on disk, cut into shards of chunks, and queries."""

    def __init__(
        self, folder: Path, corpus: list[str], queries: list[list[str]], counts: list[list[int]]
    ) -> None:
        self.folder, self.passages, self.lists, self.ids, used = folder, [], [], [], 0
        generator = np.random.default_rng(1)
        self.vectors = generator.normal(size=(len(corpus), 4)).astype(np.float32)
        for shard, chunks in enumerate(counts):
            files, embeddings, row = [], [], 0
            for chunk, count in enumerate(chunks):
                numbers = [shard * 2**40 + row + i for i in range(count)]
                texts = corpus[used : used + count]
                path = folder / f"passages/{shard:02d}/{chunk}.parquet"
                files.append(write_passages(path, numbers, texts))
                embedded = folder / f"embeddings/some/{shard:02d}/{chunk}.npy"
                vectors_of(embedded, files[-1], self.vectors[used : used + count])
                embeddings.append(embedded)
                self.ids += numbers
                used, row = used + count, row + count
            self.passages.append(files)
            self.lists.append(folder / f"embeddings/some/{shard:02d}.json")
            list_embeddings(files, embeddings, self.lists[-1])
        assert used == len(corpus)
        members = iter(range(100, 200))
        self.members = [[next(members) for _ in texts] for texts in queries]
        self.queries = [
            write_queries(folder / f"queries/{task}.parquet", ids, texts)
            for task, (ids, texts) in enumerate(zip(self.members, queries, strict=True))
        ]
        flat = [query for ids in self.members for query in ids]
        self.asked = generator.normal(size=(len(flat), 4)).astype(np.float32)
        self.targets = write_query_vectors(folder / "queries.safetensors", flat, self.asked)

    def count(self, most: int) -> list[Path]:
        outputs = [self.folder / f"words/{shard}.safetensors" for shard in range(len(self.lists))]
        for files, output in zip(self.passages, outputs, strict=True):
            count_words(CountSpec(max_words=most), self.queries, files, output)
        return outputs

    def search(
        self, k: int, k1: float = 1.5, b: float = 0.75, most: int = 512, memory_mb: int = MEMORY_MB
    ) -> list[Path]:
        counts = self.count(most)
        spec = WordsSpec(candidates=k, max_words=most, k1=k1, b=b)
        found = []
        for shard, files in enumerate(self.passages):
            found.append(self.folder / f"found/{shard:02d}.parquet")
            search_words(spec, self.queries, files, counts, found[-1], memory_mb)
        return found

    def candidates(self, k: int, **settings) -> list[list[int]]:
        """Of every query the candidates, by rank."""
        found, merged = self.search(k, **settings), []
        outputs = [self.folder / f"candidates/{path.name}" for path in self.queries]
        spec = MergeScoredSpec(candidates=k)
        merge_scored(spec, found, self.queries, self.targets, self.lists, outputs, MEMORY_MB)
        for ids, path in zip(self.members, outputs, strict=True):
            table = read_table(path)
            assert table.schema.equals(CANDIDATES)
            frame = table.to_pandas()
            merged += [frame[frame["query_id"] == query].sort_values("rank") for query in ids]
        self.distances = [frame["distance"].tolist() for frame in merged]
        return [frame["passage_id"].tolist() for frame in merged]


ASKED = [query for texts in QUERIES for query in texts]


@pytest.mark.parametrize("counts", [[[10]], [[3, 0, 2], [5]], [[1], [4], [5]]])
@pytest.mark.parametrize(
    "constants", [{}, {"k1": 0.9, "b": 0.4}, {"b": 0.0}, {"b": 1.0}, {"most": 4}]
)
def test_scores_are_robertsons_formula_over_the_whole_corpus(tmp_path, counts, constants):
    run = Run(tmp_path, CORPUS, QUERIES, counts)
    tables = [read_table(path).to_pandas() for path in run.search(10, **constants)]
    settings = {"k1": 1.5, "b": 0.75, "most": 512} | constants
    for query, text in zip([q for ids in run.members for q in ids], ASKED, strict=True):
        expected = dict(zip(run.ids, scores(text, CORPUS, **settings), strict=True))
        found = {
            passage: score
            for table in tables
            for _, passage, score in table[table["query_id"] == query].itertuples(index=False)
        }
        assert found.keys() == expected.keys()
        for passage, score in found.items():
            assert score == pytest.approx(expected[passage], abs=1e-9)
        assert (max(expected.values()) > 0) == (text != "zebra")


@pytest.mark.parametrize("counts", [[[10]], [[3, 2], [5]], [[1], [4], [5]]])
@pytest.mark.parametrize("k", [1, 4, 10])
def test_candidates_are_the_highest_and_of_equal_ones_the_first(tmp_path, counts, k):
    """Two texts of the corpus are the same, and most have none of a query's words."""
    run = Run(tmp_path, CORPUS, QUERIES, counts)
    for text, found in zip(ASKED, run.candidates(k), strict=True):
        expected = np.round(scores(text, CORPUS, 1.5, 0.75, 512), 9)
        best = sorted(range(len(CORPUS)), key=lambda place: (-expected[place], run.ids[place]))
        assert found == [run.ids[place] for place in best[:k]]


def test_a_word_counts_as_often_as_the_query_has_it(tmp_path):
    """By hand: `veins` twice and `heart` once; passage 7 is `Veins.` alone, passage 1 has both."""
    found = Run(tmp_path, CORPUS, [["heart veins veins"]], [[10]]).candidates(10)[0]
    assert found[:4] == [7, 1, 0, 8]


def test_distances_are_of_vectors_whatever_the_words(tmp_path):
    run = Run(tmp_path, CORPUS, QUERIES, [[5], [5]])
    candidates = run.candidates(6)
    distances, ids = brute_force(run.asked, run.vectors, np.array(run.ids), 10)
    for row, (found, told) in enumerate(zip(candidates, run.distances, strict=True)):
        far = dict(zip(ids[row].tolist(), distances[row].tolist(), strict=True))
        assert told == pytest.approx([far[passage] for passage in found], rel=1e-12)


def test_neither_blocks_nor_memory_decide(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    vocabulary = [f"w{number}" for number in range(30)]
    corpus = [" ".join(generator.choice(vocabulary, generator.integers(1, 9))) for _ in range(300)]
    queries = [[" ".join(generator.choice(vocabulary, 3)) for _ in range(20)]]
    before = Run(tmp_path / "a", corpus, queries, [[300]]).candidates(20)
    monkeypatch.setattr(module, "room", lambda memory_mb: 3 * 2 * 256 * 512)  # 3 passages a block
    assert Run(tmp_path / "b", corpus, queries, [[300]]).candidates(20) == before
    by_shard = Run(tmp_path / "c", corpus, queries, [[100, 7], [193]])
    places = {passage: place for place, passage in enumerate(by_shard.ids)}
    assert [[places[p] for p in found] for found in by_shard.candidates(20)] == before


def test_counts_of_other_queries_are_refused(tmp_path):
    run = Run(tmp_path, CORPUS, QUERIES, [[5], [5]])
    counts = run.count(512)
    write_queries(run.queries[0], [100, 101], ["other words", "still others"])
    spec = WordsSpec(candidates=3, max_words=512, k1=1.5, b=0.75)
    with pytest.raises(DamagedError, match=r"words/0.safetensors counts other queries' words"):
        search_words(spec, run.queries, run.passages[0], counts, tmp_path / "found.parquet", 4000)


def test_shards_scored_by_other_corpora_are_refused(tmp_path):
    run = Run(tmp_path, CORPUS, QUERIES, [[5], [5]])
    counts, found = run.count(512), run.search(3)
    spec = WordsSpec(candidates=3, max_words=512, k1=1.5, b=0.75)
    search_words(spec, run.queries, run.passages[1], counts[:1], found[1], 4000)
    outputs = [tmp_path / f"candidates/{path.name}" for path in run.queries]
    with pytest.raises(DamagedError, match=r"01.parquet was scored with passages 5, .* with 10"):
        merge_scored(
            MergeScoredSpec(candidates=3),
            *(found, run.queries, run.targets, run.lists, outputs, 4000),
        )


def test_words_are_runs_of_letters_and_digits_in_lower_case():
    assert words("Ärzte-Blatt, x_1; 3.5", 9) == ["ärzte", "blatt", "x_1", "3", "5"]
    assert words("one two three", 2) == ["one", "two"]
