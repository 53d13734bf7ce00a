"""Distances by rank and of pairs, against sums by hand and the search that wrote them."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shards import (
    MEMORY_MB,
    index_spec,
    search,
    write_queries,
    write_query_vectors,
    write_shards,
)
from tttnn.retrieval.candidates import CANDIDATES
from tttnn.retrieval.control import RandomSpec, draw_random
from tttnn.retrieval.distances import PAIRS, DistancesSpec, measure_distances
from tttnn.sections.base import Section
from tttnn.tables import read_table, write_table

SPEC = DistancesSpec(
    indexes={
        "flat": {"share": 1, "embedder": "roberta"},
        "half": {"share": 0.5, "embedder": "roberta"},
    }
)


def write(folder, name, task, queries):
    """`queries` holds the squared distances of each one's candidates, nearest first."""
    path = folder / name / f"{task}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        (query, rank, 100 * rank, distance)
        for query, distances in queries.items()
        for rank, distance in enumerate(distances)
    ]
    columns = list(zip(*rows, strict=True)) or [[], [], [], []]
    write_table(path, pa.table([list(column) for column in columns], schema=CANDIDATES))
    return path


def measure(folder, candidates, spec=SPEC):
    files = folder / "distances.csv", folder / "pairs.parquet"
    measure_distances(spec, candidates, *files, MEMORY_MB)
    return pd.read_csv(folder / "distances.csv"), pd.read_parquet(folder / "pairs.parquet")


def test_by_hand(tmp_path):
    files = [
        write(tmp_path, "flat", "pile_arxiv", {7: [1.0, 9.0], 5: [4.0, 16.0]}),
        write(tmp_path, "flat", "pile_enron", {}),
        write(tmp_path, "flat", "pile_github", {6: [0.0, 25.0]}),
        write(tmp_path, "half", "pile_arxiv", {7: [9.0], 5: [9.0]}),
        write(tmp_path, "random", "pile_arxiv", {7: [100.0, 36.0]}),
    ]
    distances, pairs = measure(tmp_path, files)
    assert list(distances.columns) == [
        "candidates",
        "share",
        "embedder",
        "rank",
        "mean",
        "std",
        "p05",
        "p50",
        "p95",
        "queries",
    ]
    first, second, half = distances.itertuples()
    # roots first: of 1, 4 and 0, then of 9, 16 and 25
    assert (first.candidates, first.share, first.embedder, first.rank) == ("flat", 1, "roberta", 1)
    assert (first.mean, first.p50, first.queries) == (1, 1, 3)
    assert first.std == pytest.approx(math.sqrt(2 / 3))
    assert (first.p05, first.p95) == pytest.approx((0.1, 1.9))
    assert (second.rank, second.mean, second.p50) == (2, 4, 4)
    assert (half.candidates, half.share, half.mean, half.std) == ("half", 0.5, 3, 0)
    assert [tuple(row) for row in pairs.itertuples(index=False)] == [
        ("flat", "pile_arxiv", 5, 1, 2.0),
        ("flat", "pile_arxiv", 7, 1, 1.0),
        ("flat", "pile_github", 6, 1, 0.0),
        ("half", "pile_arxiv", 5, 1, 3.0),
        ("half", "pile_arxiv", 7, 1, 3.0),
        ("random", "pile_arxiv", 7, 1, 10.0),
        ("random", "pile_arxiv", 7, 2, 6.0),
    ]


def test_what_search_wrote_is_what_numpy_finds(tmp_path):
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(60, 8)).astype(np.float32)
    queries = generator.normal(size=(4, 8)).astype(np.float32)
    shards = write_shards(tmp_path, [[40], [20]], vectors)
    vectors_file = write_query_vectors(tmp_path / "queries.safetensors", [0, 1, 2, 3], queries)
    ids = [write_queries(tmp_path / f"{k}.parquet", [2 * k, 2 * k + 1]) for k in range(2)]
    found, drawn = (
        [tmp_path / name / f"pile_{k}.parquet" for k in range(2)] for name in ("flat", "random")
    )
    common = {"queries": ids, "vectors": vectors_file}
    search(tmp_path / "found", index_spec(), shards.lists, **common, outputs=found, k=10)
    listed = {"embeddings": shards.lists, "memory_mb": MEMORY_MB}
    draw_random(RandomSpec(candidates=10, seed=1), **common, **listed, outputs=drawn)
    distances, pairs = measure(tmp_path, [*found, *drawn])
    exact = np.sort(np.linalg.norm(queries[:, None] - vectors[None], axis=2), axis=1)[:, :10]
    np.testing.assert_allclose(distances["mean"], exact.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(distances["std"], exact.std(axis=0), rtol=1e-5)
    near = pairs[pairs["candidates"] == "flat"]
    np.testing.assert_allclose(near["distance"], exact[:, 0], rtol=1e-6)
    assert len(pairs) == 4 + 4 * 10


def test_little_memory_gives_the_same(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    queries = {k: np.sort(generator.random(7)).tolist() for k in generator.permutation(50)}
    files = [write(tmp_path, "flat", "pile_arxiv", queries)]
    before = [frame.to_csv() for frame in measure(tmp_path, files)]
    monkeypatch.setattr("tttnn.retrieval.distances.room", lambda _: 1)
    monkeypatch.setattr("tttnn.retrieval.distances.ROWS_AT_ONCE", 5)
    assert [frame.to_csv() for frame in measure(tmp_path, files)] == before


def test_random_pairs_are_no_more_than_it_takes(tmp_path):
    queries = PAIRS // 3 + 1  # two of each are too few, three enough
    files = [
        write(tmp_path, "flat", "pile_arxiv", {1: [1.0]}),
        write(tmp_path, "random", "pile_arxiv", {k: [1.0] * 5 for k in range(queries)}),
    ]
    _, pairs = measure(tmp_path, files)
    counts = pairs[pairs["candidates"] == "random"].groupby("rank").size()
    assert dict(counts) == {1: queries, 2: queries, 3: queries}


@pytest.mark.parametrize(
    ("name", "queries", "message"),
    [
        ("flat", {1: [1.0, 2.0], 2: [1.0]}, r"flat: queries of flat have different numbers"),
        ("flat", {1: [1.0, math.nan]}, r"query 1 is at squared distance nan"),
        ("flat", {1: [-1.0]}, r"query 1 is at squared distance -1\.0"),
        ("flat", {1: [math.inf]}, r"query 1 is at squared distance inf"),
        ("flat", {}, r"flat holds no query"),
        ("falt", {1: [1.0]}, r"'falt' are of no index\. Did you mean 'flat'"),
        ("random", {1: [1.0]}, r"no candidates of an index"),
    ],
)
def test_faults_are_named(name, queries, message, tmp_path):
    path = write(tmp_path, name, "pile_arxiv", queries)
    with pytest.raises(ValueError, match=message):
        measure(tmp_path, [path])
    assert not (tmp_path / "distances.csv").exists()


def test_broken_files_are_named(tmp_path):
    path = write(tmp_path, "flat", "pile_arxiv", {1: [1.0]})
    table = read_table(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(
        ValueError,
        match=r"pile_arxiv\.parquet is not a whole parquet file: remove",
    ):
        measure(tmp_path, [path])
    write_table(path, table.drop_columns("distance"))
    with pytest.raises(ValueError, match=r"pile_arxiv\.parquet lacks distance"):
        measure(tmp_path, [path])


def test_spec_is_strict():
    assert issubclass(DistancesSpec, Section)
    with pytest.raises(ValueError, match="unknown key 'shared'"):
        DistancesSpec(indexes={"flat": {"shared": 1, "embedder": "x"}})
