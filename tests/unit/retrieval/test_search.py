"""Candidates are what brute force finds, in its order; the control is random; recall counts."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest

from shards import (
    brute_force,
    build_index,
    index_spec,
    write_frame,
    write_queries,
    write_query_vectors,
    write_shards,
)
from tttnn.retrieval.control import RandomSpec, draw_random
from tttnn.retrieval.index import MergedIndex
from tttnn.retrieval.recall import RecallSpec, measure_recall
from tttnn.retrieval.search import SearchSpec, search_index
from tttnn.retrieval.vectors import in_share, squared_distances

COUNTS = [[50, 50], [0, 80], [120]]
D = 24
QUERY_IDS = [[11, 3, 7], [], [5, 90, 2, 1]]


class Corpus:
    """Shards, queries and the stages run on them."""

    def __init__(self, folder: Path, vectors, queries, counts=COUNTS, query_ids=QUERY_IDS):
        self.folder = folder
        self.shards = write_shards(folder, counts, np.asarray(vectors, np.float32))
        self.queries = np.asarray(queries, np.float32)
        self.query_ids = [name for ids in query_ids for name in ids]
        self.vectors = write_query_vectors(
            folder / "queries.safetensors", self.query_ids, self.queries
        )
        self.files = [
            write_queries(folder / f"queries/{number}.parquet", ids)
            for number, ids in enumerate(query_ids)
        ]
        self.common = {
            "queries": self.files,
            "vectors": self.vectors,
            **self.shards.files,
        }

    def index(self, factory: str = "Flat") -> Path:
        folder = self.folder / factory.replace(",", "-")
        if not folder.exists():
            build_index(folder, index_spec(factory), self.shards)
        return folder / "merged"

    def outputs(self, name: str) -> list[Path]:
        return [self.folder / name / file.name for file in self.files]

    def search(self, k: int, factory: str = "Flat", nprobe: int = 1, **changed) -> list[Path]:
        outputs = self.outputs(f"found {factory} {k} {nprobe}")
        spec = SearchSpec(candidates=k, asked={"nprobe": nprobe})
        arguments = {"index": self.index(factory), **self.common, **changed}
        search_index(spec, outputs=outputs, **arguments)
        return outputs

    def draw(self, k: int, seed: int = 0, **changed) -> list[Path]:
        outputs = self.outputs(f"drawn {k} {seed}")
        arguments = self.common | changed
        draw_random(RandomSpec(candidates=k, seed=seed), outputs=outputs, **arguments)
        return outputs

    def recall(
        self, candidates: list[Path], at: list[int], queries: int = 1000, index: Path | None = None
    ) -> pd.DataFrame:
        output = self.folder / "recall.csv"
        spec = RecallSpec(queries=queries, at=at, asked={"kind": "flat"})
        index = index or self.index()
        measure_recall(
            spec, index, name="some", candidates=candidates, output=output, **self.common
        )
        return pd.read_csv(output)


def table(paths: list[Path]) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)


def grid(paths: list[Path], column: str, queries: int) -> np.ndarray:
    return table(paths)[column].to_numpy().reshape(queries, -1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    generator = np.random.default_rng(0)
    vectors, queries = generator.normal(size=(300, D)), generator.normal(size=(7, D))
    return Corpus(tmp_path_factory.mktemp("corpus"), vectors, queries)


@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat"])
@pytest.mark.parametrize("k", [1, 20, 300])
def test_candidates_are_brute_forces_in_its_order(k, factory, corpus):
    paths = corpus.search(k, factory, nprobe=8)
    distances, ids = brute_force(corpus.queries, corpus.shards.vectors, corpus.shards.ids, k)
    found = table(paths)
    assert found["query_id"].tolist() == [name for name in corpus.query_ids for _ in range(k)]
    assert found["rank"].tolist() == list(range(k)) * 7
    assert (grid(paths, "passage_id", 7) == ids).all()
    np.testing.assert_allclose(grid(paths, "distance", 7), distances, rtol=1e-12)
    assert [len(pd.read_parquet(path)) for path in paths] == [3 * k, 0, 4 * k]


def test_threads_change_nothing(corpus):
    before = table(corpus.search(50, "IVF8,Flat", nprobe=8))
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        after = table(corpus.search(50, "IVF8,Flat", nprobe=8))
    finally:
        faiss.omp_set_num_threads(threads)
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_codes_give_exact_distances_in_order(corpus):
    """Whatever an index approximates, the distances are of the passages it found."""
    paths = corpus.search(20, "IVF4,PQ8x4", nprobe=4)
    ids, distances = grid(paths, "passage_id", 7), grid(paths, "distance", 7)
    vectors = dict(zip(corpus.shards.ids, corpus.shards.vectors.astype(float), strict=True))
    for query, row, found in zip(corpus.queries.astype(float), ids, distances, strict=True):
        expected = [((query - vectors[name]) ** 2).sum() for name in row]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert (np.diff(found) >= 0).all()
        assert len(set(row)) == 20


def test_an_index_of_fewer_passages_than_k_gives_them_all(corpus):
    ids = grid(corpus.search(1000), "passage_id", 7)
    assert (np.sort(ids, axis=1) == corpus.shards.ids).all()


def test_equal_vectors_are_ordered_by_id_and_at_distance_zero(tmp_path):
    """40 copies of a query in all shards, so that they also stand at the K-th place."""
    generator = np.random.default_rng(0)
    vectors, queries = generator.normal(size=(300, D)), generator.normal(size=(7, D))
    copies = generator.permutation(300)[:40]
    vectors[copies] = queries[2]
    corpus = Corpus(tmp_path, vectors, queries)
    expected = np.sort(corpus.shards.ids[copies])
    for k in (10, 40, 60):
        ids, distances = (grid(corpus.search(k), c, 7)[2] for c in ("passage_id", "distance"))
        assert ids[:40].tolist() == expected[:k].tolist()
        assert distances[:40].tolist() == [0.0] * min(k, 40)
    others = np.delete(corpus.shards.vectors, copies, axis=0).astype(float)
    nearest = np.sort(np.square(others - corpus.queries[2].astype(float)).sum(axis=1))[:20]
    np.testing.assert_allclose(distances[40:], nearest, rtol=1e-12)  # of the last k, which is 60


def test_who_comes_kth_is_not_decided_in_float32(tmp_path):
    """Passage i is at 1 + e², e falling with i: in float32 all are at 1, and the first ids win."""
    vectors = [[1, e * 5e-6] for e in range(30, 0, -1)]
    corpus = Corpus(tmp_path, vectors, [[0, 0]], counts=[[15], [15]], query_ids=[[1]])
    assert np.square(corpus.shards.vectors).sum(1).max() == 1
    for factory in ("Flat", "IVF1,Flat"):
        ids = grid(corpus.search(5, factory), "passage_id", 1)[0]
        assert ids.tolist() == [2**40 + 14 - place for place in range(5)]


def test_distances_do_not_depend_on_company():
    generator = np.random.default_rng(0)
    queries = generator.normal(size=(9, 100)).astype(np.float32)
    vectors = generator.normal(size=(9, 40, 100))
    together = squared_distances(queries, vectors)
    for row in range(9):
        alone = squared_distances(queries[row : row + 1], vectors[row : row + 1])
        assert (alone[0] == together[row]).all()
        one = squared_distances(queries[row : row + 1], vectors[row : row + 1, 7:8])
        assert one[0, 0] == together[row, 7]


def test_queries_in_groups_give_the_same(corpus, monkeypatch):
    before = table(corpus.search(20))
    monkeypatch.setattr("tttnn.retrieval.candidates.QUERIES_AT_ONCE", 2)
    pd.testing.assert_frame_equal(before, table(corpus.search(20)), check_exact=True)


def test_a_probe_that_finds_k_but_little_more_is_enough(corpus):
    """One of 60 lists holds about 5 vectors: enough for a K of 1, but with nothing to spare."""
    paths = corpus.search(1, "IVF60,Flat", nprobe=1)
    distances = grid(paths, "distance", 7)
    expected, _ = brute_force(corpus.queries, corpus.shards.vectors, corpus.shards.ids, 1)
    assert np.isfinite(distances).all()
    assert (distances >= expected - 1e-9).all()
    assert set(table(paths)["passage_id"]) <= set(corpus.shards.ids)


# --- what must be refused --------------------------------------------------------------------


def test_too_few_lists_read_is_an_error(corpus):
    with pytest.raises(ValueError, match=r"query \d+ found \d+ of 250 candidates .*raise nprobe"):
        corpus.search(250, "IVF8,Flat", nprobe=1)
    assert len(table(corpus.search(250, "IVF8,Flat", nprobe=8))) == 7 * 250


@pytest.mark.parametrize("counts", [[[50, 50], [0, 80], [119]], [[100], [100], [50], [50]]])
def test_an_index_of_other_passages_is_an_error(counts, corpus, tmp_path):
    """Of another number, or of as many under other ids."""
    total = sum(map(sum, counts))
    other = Corpus(tmp_path, corpus.shards.vectors[:total], corpus.queries, counts)
    with pytest.raises(ValueError, match=r"is not their index|is in no chunk: rebuild the index"):
        other.search(300, index=corpus.index())


def test_an_index_of_another_dimension_is_an_error(corpus, tmp_path):
    other = Corpus(tmp_path, corpus.shards.vectors[:, :8], corpus.queries[:, :8])
    with pytest.raises(ValueError, match=r"300 vectors of 24 dimensions, .* 300 of 8"):
        other.search(10, index=corpus.index())


def test_a_passage_found_twice_is_an_error(corpus, monkeypatch):
    search = MergedIndex.search

    def twice(self, queries, k, asked):
        distances, ids = search(self, queries, k, asked)
        ids[3, 5] = ids[3, 1]
        return distances, ids

    monkeypatch.setattr(MergedIndex, "search", twice)
    with pytest.raises(ValueError, match=r"query 5 found passage \d+ twice: remove the index"):
        corpus.search(21)


def test_vectors_of_other_queries_are_an_error(corpus, tmp_path):
    for ids, message in (
        ([11, 3, 7, 5, 90], "has 5 vectors for 7 queries, and query 2 only the queries' files has"),
        ([11, 3, 7, 5, 90, 2, 1, 8], "has 8 vectors for 7 queries, and query 8 only it has"),
        ([11, 3, 7, 90, 5, 2, 1], "vector 3 is of query 90, where the queries' files have query 5"),
        ([11, 3, 7, 5, 90, 2, 6], "vector 6 is of query 6, where the queries' files have query 1"),
    ):
        vectors = np.zeros((len(ids), D), np.float32)
        path = write_query_vectors(tmp_path / "queries.safetensors", ids, vectors)
        for stage in (corpus.search, corpus.draw):
            with pytest.raises(ValueError, match=rf"queries\.safetensors.* {message}.* run again"):
                stage(10, vectors=path)


# --- the control -----------------------------------------------------------------------------


def test_random_passages_are_distinct_reproducible_and_true(corpus):
    paths = corpus.draw(30)
    drawn = table(paths)
    ids = grid(paths, "passage_id", 7)
    assert all(len(set(row)) == 30 for row in ids)
    assert len({tuple(row) for row in ids}) == 7
    assert set(drawn["passage_id"]) <= set(corpus.shards.ids)
    pd.testing.assert_frame_equal(drawn, table(corpus.draw(30)), check_exact=True)
    assert (grid(corpus.draw(30, seed=1), "passage_id", 7) != ids).any(axis=1).all()
    vectors = dict(zip(corpus.shards.ids, corpus.shards.vectors.astype(float), strict=True))
    expected = [
        ((query - vectors[name]) ** 2).sum()
        for query, row in zip(corpus.queries.astype(float), ids, strict=True)
        for name in row
    ]
    np.testing.assert_allclose(drawn["distance"], expected, rtol=1e-12)


def test_random_passages_are_drawn_from_all_alike(tmp_path):
    vectors = np.zeros((20, 2))
    corpus = Corpus(tmp_path, vectors, np.zeros((400, 2)), [[5, 5], [10]], [list(range(1, 401))])
    ids = grid(corpus.draw(5), "passage_id", 400)
    counts = np.array([(ids == name).sum() for name in corpus.shards.ids])
    assert counts.min() > 60 and counts.max() < 140  # 100 expected, standard deviation 8.7
    first = np.array([(ids[:, 0] == name).sum() for name in corpus.shards.ids])
    assert first.max() < 45  # 20 expected: the order is random too


def test_a_querys_draw_depends_on_no_other_query(corpus, tmp_path):
    drawn = table(corpus.draw(30)).set_index("query_id")["passage_id"]
    fewer = Corpus(
        tmp_path, corpus.shards.vectors, corpus.queries[[6, 3]], query_ids=[[], [1], [5]]
    )
    for name, rows in table(fewer.draw(30)).groupby("query_id"):
        assert rows["passage_id"].tolist() == drawn.loc[name].tolist()


@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat"])
def test_an_index_of_a_share_finds_the_nearest_of_that_share(factory, corpus):
    share = corpus.shards.ids[in_share(corpus.shards.ids, 0.25)]
    assert 50 < len(share) < 100
    spec = index_spec(factory, share=0.25)
    index = build_index(corpus.folder / f"share-{factory}", spec, corpus.shards)
    paths = corpus.search(20, factory, nprobe=4, index=index)
    place = np.searchsorted(corpus.shards.ids, share)
    _, ids = brute_force(corpus.queries, corpus.shards.vectors[place], share, 20)
    assert (grid(paths, "passage_id", 7) == ids).all()
    recall = corpus.recall(paths, at=[20], index=index)
    assert (recall["recall"].iloc[0], recall["ntotal"].iloc[0]) == (1.0, len(share))


def test_the_control_gives_all_of_a_small_corpus(corpus):
    ids = grid(corpus.draw(1000), "passage_id", 7)
    assert (np.sort(ids, axis=1) == corpus.shards.ids).all()


# --- recall ----------------------------------------------------------------------------------


def test_recall_of_exact_search_is_one(corpus):
    for factory in ("Flat", "IVF8,Flat"):
        recall = corpus.recall(corpus.search(50, factory, nprobe=8), at=[1, 10, 50])
        assert recall["k"].tolist() == [1, 10, 50]
        assert recall["recall"].tolist() == [1.0, 1.0, 1.0]
        assert set(recall["queries"]) == {7}
        assert set(recall["ntotal"]) == {300}


def shift(path: Path, k: int, by: int) -> Path:
    """The candidates of every query without the nearest `by`: ranks `by` to `by + k`."""
    found = pd.read_parquet(path)
    found = found[(found["rank"] >= by) & (found["rank"] < by + k)]
    path = path.with_name(f"{by}.{path.name}")
    return write_frame(path, found.assign(rank=found["rank"] - by))


def test_recall_says_how_uneven_the_lists_are(corpus):
    exact = corpus.recall(corpus.search(20), at=[1, 10])
    assert exact[["imbalance", "empty_lists"]].isna().all().all()
    for factory in ("IVF8,Flat", "IVF64,Flat"):
        index = corpus.index(factory)
        recall = corpus.recall(corpus.search(20, factory, nprobe=8), at=[1, 10], index=index)
        opened = faiss.read_index(str(index / "index.faiss"), faiss.IO_FLAG_ONDISK_SAME_DIR)
        centroids = opened.quantizer.reconstruct_n(0, opened.nlist)
        distances = ((corpus.shards.vectors[:, None].astype(float) - centroids) ** 2).sum(2)
        sizes = np.bincount(distances.argmin(1), minlength=len(centroids))
        expected = len(sizes) * (sizes**2).sum() / 300**2
        assert recall["imbalance"].tolist() == [pytest.approx(expected)] * 2
        assert recall["empty_lists"].tolist() == [(sizes == 0).sum()] * 2


def test_recall_of_a_crippled_table_by_hand(corpus):
    """The three queries of the first task lack their nearest two, the other four lack none."""
    found = corpus.search(60)
    crippled = [shift(found[0], 50, 2), *(shift(path, 50, 0) for path in found[1:])]
    recall = corpus.recall(crippled, at=[1, 2, 10, 50]).set_index("k")["recall"]
    assert recall[1] == pytest.approx(4 / 7)
    assert recall[2] == pytest.approx(4 / 7)
    assert recall[10] == pytest.approx((3 * 0.8 + 4) / 7)
    assert recall[50] == pytest.approx((3 * 0.96 + 4) / 7)


def test_recall_is_measured_on_as_many_queries_as_asked(corpus):
    found = corpus.search(60)
    crippled = [shift(found[0], 50, 2), *(shift(path, 50, 0) for path in found[1:])]
    recall = corpus.recall(crippled, at=[1], queries=4)
    assert recall["queries"].tolist() == [4]
    assert recall["recall"][0] in (0.25, 0.5, 0.75, 1.0)


def test_an_equal_passage_counts_as_found(tmp_path):
    """Passages 1 and 2 are the same, and the table has the one that exact search puts second."""
    corpus = Corpus(tmp_path, [[5], [1], [1], [3]], [[0]], counts=[[4]], query_ids=[[9]])
    (found,) = corpus.search(4)
    candidates = pd.read_parquet(found)
    assert candidates["passage_id"].tolist() == [1, 2, 3, 0]
    swapped = candidates.iloc[[1, 2]].assign(rank=[0, 1])
    write_frame(found, swapped)
    recall = corpus.recall([found], at=[1, 2]).set_index("k")["recall"]
    assert recall[1] == 1.0  # passage 2 is as near as passage 1
    assert recall[2] == 0.5


def test_recall_reaches_no_further_than_the_candidates(corpus):
    recall = corpus.recall(corpus.search(20), at=[1, 100])
    assert recall["k"].tolist() == [1, 20]
    recall = corpus.recall(corpus.search(1000), at=[10, 1000])
    assert recall["k"].tolist() == [10, 300]
    assert recall["recall"].tolist() == [1.0, 1.0]
