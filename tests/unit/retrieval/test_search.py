"""Candidates are what brute force finds, in its order; the control is random; recall counts."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest

from shards import (
    MEMORY_MB,
    brute_force,
    build_index,
    index_spec,
    search,
    searched,
    write_frame,
    write_queries,
    write_query_vectors,
    write_shards,
)
from tttnn.retrieval.control import RandomSpec, draw_random
from tttnn.retrieval.indexes.ivf import engine as ivf
from tttnn.retrieval.recall import RecallSpec, measure_recall
from tttnn.retrieval.search import MergeSpec, merge_candidates, merged
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
        self.common = {"queries": self.files, "vectors": self.vectors}

    def index(self, factory: str = "Flat", **values) -> Path | None:
        name = "-".join(map(str, [factory.replace(",", "-"), *values.values()]))
        folder = self.folder / name
        if not folder.exists():
            return build_index(folder, index_spec(factory, **values), self.shards)
        return folder / "merged"

    def outputs(self, name: str) -> list[Path]:
        return [self.folder / name / file.name for file in self.files]

    def search(
        self, k: int, factory: str = "Flat", nprobe: int = 1, share: float = 1.0, **changed
    ) -> list[Path]:
        name = f"{factory} {k} {nprobe} {share}"
        arguments = {
            "lists": self.shards.lists,
            "merged": self.index(factory, share=share),
            **self.common,
            **changed,
        }
        return search(
            self.folder / f"found {name}",
            index_spec(factory, share=share),
            outputs=self.outputs(f"candidates {name}"),
            k=k,
            nprobe=nprobe,
            **arguments,
        )

    def draw(self, k: int, seed: int = 0, **changed) -> list[Path]:
        outputs = self.outputs(f"drawn {k} {seed}")
        arguments = {**self.common, "embeddings": self.shards.lists, "memory_mb": MEMORY_MB}
        arguments |= changed
        draw_random(RandomSpec(candidates=k, seed=seed), outputs=outputs, **arguments)
        return outputs

    def recall(
        self,
        candidates: list[Path],
        at: list[int],
        queries: int = 1000,
        factory: str = "Flat",
        share: float = 1.0,
    ) -> pd.DataFrame:
        output = self.folder / "recall.csv"
        asked = {} if factory == "Flat" else {"nprobe": 8}
        built = searched(index_spec(factory, share=share), **asked)
        index = self.index(factory, share=share)
        measure_recall(
            RecallSpec(queries=queries, at=at, **built),
            [] if index is None else [index],
            name="some",
            candidates=candidates,
            embeddings=self.shards.lists,
            output=output,
            made=self.folder / "made.json",
            rates=self.folder / "rates.csv",
            memory_mb=MEMORY_MB,
            **self.common,
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


@pytest.mark.parametrize("factory", ["Flat", "IVF8,SQ8"])
def test_little_memory_gives_the_same(factory, corpus, monkeypatch):
    """With room for some bytes only, queries are searched, ranked, merged and drawn one by one.

    (What faiss's own buffers take is no matter of queries.)
    """
    monkeypatch.setattr("tttnn.retrieval.exact_memory.FIXED", 0)
    monkeypatch.setattr("tttnn.retrieval.exact_memory.LEAST_ROWS", 1)
    before = [table(paths) for paths in (corpus.search(20, factory, nprobe=8), corpus.draw(20))]
    for module in ("search", "control"):
        monkeypatch.setattr(f"tttnn.retrieval.{module}.room", lambda _: 40_000)
    after = [table(paths) for paths in (corpus.search(20, factory, nprobe=8), corpus.draw(20))]
    for one, other in zip(before, after, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_what_was_found_is_merged_by_distance_and_id():
    one = np.array([[1.0, 4.0, 9.0]]), np.array([[7, 9, 3]])
    other = np.array([[1.0, 2.0, np.inf]]), np.array([[5, 8, -1]])
    distances, ids = merged([one, other], 4)
    assert (ids.tolist(), distances.tolist()) == ([[5, 7, 8, 9]], [[1.0, 1.0, 2.0, 4.0]])
    assert merged([other, one], 4)[1].tolist() == ids.tolist()
    assert merged([one, other], 9)[1].tolist() == [[5, 7, 8, 9, 3, -1]]


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


def test_an_index_of_other_vectors_is_an_error(corpus, tmp_path):
    """As many, under the same ids, and yet not these; and of another dimension."""
    other = Corpus(tmp_path / "a", corpus.shards.vectors[::-1], corpus.queries)
    index = corpus.index("IVF8,Flat", share=1.0)
    with pytest.raises(ValueError, match=r"00\.faiss is an index of another vectors: .* remove it"):
        other.search(10, "IVF8,Flat", merged=index)
    other = Corpus(tmp_path / "b", corpus.shards.vectors[:, :8], corpus.queries[:, :8])
    with pytest.raises(ValueError, match="of another dimension: it has 24, 8 is needed here"):
        other.search(10, "IVF8,Flat", merged=index)


def test_queries_of_another_dimension_are_an_error(corpus, tmp_path):
    path = write_query_vectors(tmp_path / "q", corpus.query_ids, corpus.queries[:, :8])
    with pytest.raises(ValueError, match=r"has 8 dimensions, the passages of .*00\.json 24"):
        corpus.search(10, vectors=path)


def test_shards_that_were_asked_otherwise_are_not_merged(corpus):
    paths = [corpus.folder / f"found IVF8,Flat 5 {n} 1.0" for n in (7, 8)]
    for nprobe in (7, 8):
        corpus.search(5, "IVF8,Flat", nprobe=nprobe)
    mixed = [paths[0] / "00.parquet", *(paths[1] / f"0{n}.parquet" for n in (1, 2))]
    arguments = {"queries": corpus.files, "outputs": corpus.outputs("x"), "memory_mb": MEMORY_MB}
    index = [corpus.index("IVF8,Flat", share=1.0)]
    with pytest.raises(ValueError, match=r"01\.parquet was found with another asked than .*00"):
        merge_candidates(MergeSpec(candidates=5), mixed, index, **arguments)
    index = [corpus.index("IVF4,PQ8x4", share=1.0)]
    whole = [paths[1] / f"0{n}.parquet" for n in range(3)]
    with pytest.raises(ValueError, match=r"00\.parquet was found in an index of SHA-256"):
        merge_candidates(MergeSpec(candidates=5), whole, index, **arguments)


def test_a_passage_found_twice_is_an_error(corpus, monkeypatch):
    find = ivf.find

    def twice(*arguments, **named):
        distances, ids = find(*arguments, **named)
        ids[3, 5] = ids[3, 1]
        return distances, ids

    monkeypatch.setattr(ivf, "find", twice)
    with pytest.raises(ValueError, match=r"query 5 found passage \d+ twice: remove what was found"):
        corpus.search(100, "IVF8,Flat", nprobe=8)


def test_vectors_of_other_queries_are_an_error(corpus, tmp_path):
    for ids, message in (
        ([11, 3, 7, 5, 90], "has 5 vectors for 7 queries, and query 2 only the queries' files has"),
        ([11, 3, 7, 5, 90, 2, 1, 8], "has 8 vectors for 7 queries, and query 8 only it has"),
        ([11, 3, 7, 90, 5, 2, 1], "vector 3 is of query 90, where the queries' files have query 5"),
        ([11, 3, 7, 5, 90, 2, 6], "vector 6 is of query 6, where the queries' files have query 1"),
    ):
        vectors = np.zeros((len(ids), D), np.float32)
        path = write_query_vectors(tmp_path / "queries.safetensors", ids, vectors)
        with pytest.raises(ValueError, match=rf"queries\.safetensors.* {message}.* run again"):
            corpus.draw(10, vectors=path)
        # what was found says of which queries it is, and is merged with these and no others
        with pytest.raises(ValueError, match=r"00\.parquet is not .* for each query of the task"):
            corpus.search(10, vectors=path)


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
    paths = corpus.search(20, factory, nprobe=4, share=0.25)
    place = np.searchsorted(corpus.shards.ids, share)
    _, ids = brute_force(corpus.queries, corpus.shards.vectors[place], share, 20)
    assert (grid(paths, "passage_id", 7) == ids).all()
    recall = corpus.recall(paths, at=[20], factory=factory, share=0.25)
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
        found = corpus.search(20, factory, nprobe=8)
        recall = corpus.recall(found, at=[1, 10], factory=factory)
        opened = faiss.read_index(str(corpus.index(factory, share=1.0) / "trained.faiss"))
        centroids = opened.quantizer.reconstruct_n(0, opened.nlist)
        distances = ((corpus.shards.vectors[:, None].astype(float) - centroids) ** 2).sum(2)
        sizes = np.bincount(distances.argmin(1), minlength=len(centroids))
        expected = len(sizes) * (sizes**2).sum() / 300**2
        assert recall["imbalance"].tolist() == [pytest.approx(expected)] * 2
        assert recall["empty_lists"].tolist() == [(sizes == 0).sum()] * 2


def rates(corpus) -> dict[str, object]:
    """What the last measuring of recall wrote."""
    (row,) = pd.read_csv(corpus.folder / "rates.csv").to_dict("records")
    return row


def test_an_exact_index_takes_no_disk_and_no_time_to_build(corpus):
    corpus.recall(corpus.search(20), at=[1, 10])
    found = rates(corpus)
    files = sum(path.stat().st_size for path in corpus.shards.files["embeddings"])
    assert (found["index"], found["index_bytes"], found["build_seconds"]) == ("some", 0, 0)
    assert found["embedding_bytes"] == pytest.approx(files / 300)
    assert min(found["batched_per_second"], found["single_per_second"]) > 0


def test_of_an_index_that_learns_all_files_are_counted(corpus):
    paths = corpus.search(20, "IVF8,Flat", nprobe=8, share=0.25)
    recall = corpus.recall(paths, at=[1, 10], factory="IVF8,Flat", share=0.25)
    found, folder = rates(corpus), corpus.index("IVF8,Flat", share=0.25)
    files = sum(path.stat().st_size for path in folder.glob("*.faiss"))
    assert found["index_bytes"] == pytest.approx(files / recall["ntotal"][0])
    assert found["build_seconds"] > 0


def test_rates_are_over_all_shards(corpus, monkeypatch):
    """By a clock that every look puts a second on: two looks a call, a call or more a shard."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    paths = corpus.search(20, "IVF8,Flat", nprobe=8)
    corpus.recall(paths, at=[1], factory="IVF8,Flat")
    found = rates(corpus)
    shards = len(corpus.shards.lists)
    assert shards > 1
    assert found["single_per_second"] == pytest.approx(1 / shards)
    assert found["batched_per_second"] == pytest.approx(7 / shards)
    assert found["build_seconds"] == pytest.approx(
        300 / len(np.load(corpus.shards.embeddings[0][0]))
    )


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
