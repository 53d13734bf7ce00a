"""The stage chooses among the candidates it is given, query by query, and writes their form."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from shards import (
    MEMORY_MB,
    brute_force,
    write_frame,
    write_queries,
    write_query_vectors,
    write_shards,
)
from tttnn.retrieval.candidates import CANDIDATES, GROUP_BYTES, VECTOR_BYTES
from tttnn.retrieval.choose import ChooseSpec, choose_neighbors
from tttnn.retrieval.selections.hull import hull
from tttnn.retrieval.selections.sift import sift
from tttnn.retrieval.stopping import kept, posterior_variance

COUNTS = [[30, 30], [0, 40], [20]]
QUERY_IDS = [[11, 3, 7], [], [5, 90, 2, 1]]
D = 16
K = 40


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Candidates:
    """Shards, queries and the K nearest passages of each query, on disk."""

    def __init__(self, folder: Path, vectors: np.ndarray, queries: np.ndarray, k: int = K):
        self.folder = folder
        self.shards = write_shards(folder, COUNTS, np.asarray(vectors, np.float32))
        self.queries = np.asarray(queries, np.float32)
        ids = list(chain.from_iterable(QUERY_IDS))
        self.targets = write_query_vectors(folder / "queries.safetensors", ids, self.queries)
        self.distances, self.ids = brute_force(
            self.queries, self.shards.vectors, self.shards.ids, k
        )
        self.files, self.tables, row = [], [], 0
        for number, members in enumerate(QUERY_IDS):
            self.files.append(write_queries(folder / f"queries/{number}.parquet", members))
            rows = slice(row, row + len(members))
            row += len(members)
            table = pd.DataFrame(
                {
                    "query_id": np.repeat(np.array(members, np.int64), k),
                    "rank": np.tile(np.arange(k, dtype=np.int32), len(members)),
                    "passage_id": self.ids[rows].ravel(),
                    "distance": self.distances[rows].ravel(),
                }
            )
            self.tables.append(folder / f"candidates/{number}.parquet")
            write_frame(self.tables[-1], table)

    def choose(self, **spec) -> list[Path]:
        spec = ChooseSpec(selection={"index": "some", "picks": 10, **spec})
        outputs = [self.folder / "chosen" / path.name for path in self.tables]
        choose_neighbors(
            spec,
            candidates=self.tables,
            queries=self.files,
            vectors=self.targets,
            embeddings=self.shards.lists,
            outputs=outputs,
            memory_mb=MEMORY_MB,
        )
        return outputs

    def chosen(self, **spec) -> list[list[int]]:
        """Passage ids of each query, in the order of the file."""
        groups = read(self.choose(**spec)).groupby("query_id", sort=False)["passage_id"]
        assert [name for name, _ in groups] == list(chain.from_iterable(QUERY_IDS))
        return [ids.tolist() for _, ids in groups]

    def vectors(self, query: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids ascending, their unit vectors and the unit query."""
        ids = np.sort(self.ids[query])
        rows = np.searchsorted(self.shards.ids, ids)
        return (
            ids,
            unit(self.shards.vectors[rows].astype(float)),
            unit(self.queries[query].astype(float)),
        )


def read(paths: list[Path]) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    """Vectors of different lengths, about a common direction, as texts have."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(120, D)) + 1
    queries = generator.normal(size=(7, D)) + 1
    lengths = generator.uniform(0.5, 2, size=(120, 1))
    return Candidates(tmp_path_factory.mktemp("candidates"), vectors * lengths, queries)


def test_nearest_and_farthest_are_the_first_candidates_and_their_reverse(candidates):
    expected = candidates.ids[:, :10].tolist()
    assert candidates.chosen(kind="nearest") == expected
    assert candidates.chosen(kind="farthest") == [row[::-1] for row in expected]


@pytest.mark.parametrize("replacement", [True, False])
def test_sift_sees_unit_vectors_in_order_of_id(candidates, replacement):
    found = candidates.chosen(kind="sift", noise=0.02, replacement=replacement)
    for query in range(7):
        ids, vectors, target = candidates.vectors(query)
        assert found[query] == ids[sift(vectors, target, 10, 0.02, replacement)].tolist()


def test_hull_sees_unit_vectors_in_order_of_id(candidates):
    found = candidates.chosen(kind="hull", iterations=50)
    for query in range(7):
        ids, vectors, target = candidates.vectors(query)
        assert found[query] == ids[hull(vectors, target, 10, 50)].tolist()


@pytest.mark.parametrize("kind", ["nearest", "farthest", "sift", "hull"])
def test_the_table_has_the_candidates_form_and_distances(candidates, kind):
    paths = candidates.choose(kind=kind)
    assert all(pq.read_schema(path).equals(CANDIDATES) for path in paths)
    assert [len(pd.read_parquet(path)) for path in paths] == [30, 0, 40]
    table = read(paths)
    assert table["rank"].tolist() == list(range(10)) * 7
    given = read(candidates.tables).set_index(["query_id", "passage_id"])["distance"]
    keys = list(zip(table["query_id"], table["passage_id"], strict=True))
    assert table["distance"].tolist() == given.loc[keys].tolist()


@pytest.mark.parametrize("form", ["prefix", "filter"])
@pytest.mark.parametrize("kind", ["nearest", "farthest", "sift", "hull"])
def test_stop_shortens_any_order(candidates, kind, form):
    everything = candidates.chosen(kind=kind)
    stopped = candidates.chosen(kind=kind, stop=0.35, stop_form=form)
    for query in range(7):
        ids, vectors, target = candidates.vectors(query)
        order = vectors[np.searchsorted(ids, everything[query])]
        keep = kept(posterior_variance(order, target, 0.1), 0.35, form)
        assert stopped[query] == [everything[query][place] for place in keep]
    assert {len(ids) for ids in stopped} - {10}, "the bound never mattered"
    assert min(len(ids) for ids in stopped) >= 1
    assert read(candidates.choose(kind=kind, stop=0.35))["rank"].max() < 10


def test_a_center_is_what_all_passages_share(tmp_path):
    """Far from the origin all directions are one, until the passages' mean is taken off."""
    generator = np.random.default_rng(6)
    vectors, queries = generator.normal(size=(120, D)), generator.normal(size=(7, D))
    candidates = Candidates(tmp_path, vectors + 100, queries + 100)
    middle = candidates.shards.vectors.astype(float).mean(axis=0)
    centered = candidates.chosen(kind="sift", center=True)
    for query in range(7):
        ids = np.sort(candidates.ids[query])
        rows = np.searchsorted(candidates.shards.ids, ids)
        apart = unit(candidates.shards.vectors[rows].astype(float) - middle)
        places = sift(apart, unit(candidates.queries[query].astype(float) - middle), 10, 0.1)
        assert centered[query] == ids[places].tolist()
    lengths = {
        center: {len(ids) for ids in candidates.chosen(kind="sift", center=center, stop=0.5)}
        for center in (True, False)
    }
    assert lengths[False] == {10} and max(lengths[True]) < 10


def test_a_filter_takes_what_comes_after_a_failure(tmp_path):
    """Farthest first, the query itself last: nothing is known until then, and then everything."""
    vectors = np.random.default_rng(4).normal(size=(120, D))
    candidates = Candidates(tmp_path, vectors, vectors[:7])
    spec = {"kind": "farthest", "noise": 0.01, "stop": 0.35}
    itself = candidates.shards.ids[:7].tolist()
    assert [ids[-1] for ids in candidates.chosen(**spec, stop_form="filter")] == itself
    for ids, query in zip(candidates.chosen(**spec), itself, strict=True):
        assert query not in ids


@pytest.mark.parametrize("kind", ["sift", "hull"])
@pytest.mark.parametrize("stop", [None, 0.35])
def test_batches_change_nothing(candidates, kind, stop, monkeypatch):
    before = read(candidates.choose(kind=kind, stop=stop))
    for size in (1, 2, 3):
        memory = size * K * (2 * VECTOR_BYTES * D + GROUP_BYTES)
        monkeypatch.setattr("tttnn.retrieval.chosen.room", lambda _, memory=memory: memory)
        after = read(candidates.choose(kind=kind, stop=stop))
        pd.testing.assert_frame_equal(before, after, check_exact=True)


@pytest.mark.parametrize("kind", ["sift", "hull"])
def test_of_equal_passages_the_lowest_id_is_chosen(kind, tmp_path):
    """Each vector stands in the corpus thrice, in shuffled places, with lengths 1, 2 and 4."""
    generator = np.random.default_rng(1)
    original = generator.permutation(np.repeat(np.arange(40), 3))
    vectors = (generator.normal(size=(40, D)) + 1)[original] * 2.0 ** (np.arange(120) % 3)[:, None]
    candidates = Candidates(tmp_path, vectors, generator.normal(size=(7, D)) + 1, k=120)
    lowest = {int(candidates.shards.ids[np.flatnonzero(original == name)[0]]) for name in range(40)}
    for ids in candidates.chosen(kind=kind):
        assert set(ids) <= lowest


def test_a_repeated_passage_is_written_as_often_as_picked(tmp_path):
    """The query is a passage: with much noise, nothing else is worth a pick."""
    generator = np.random.default_rng(2)
    vectors = generator.normal(size=(120, D))
    candidates = Candidates(tmp_path, vectors, vectors[:7])
    for query, ids in enumerate(candidates.chosen(kind="sift", noise=100.0, picks=5)):
        assert ids == [candidates.shards.ids[query]] * 5


def test_without_stop_the_order_by_distance_needs_no_direction(tmp_path):
    vectors = np.zeros((120, D))
    candidates = Candidates(tmp_path, vectors, np.zeros((7, D)))
    assert candidates.chosen(kind="nearest") == candidates.ids[:, :10].tolist()


# --- what must be refused --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nearest", "farthest", "sift", "hull"])
def test_fewer_candidates_than_picks_is_an_error(candidates, kind):
    assert len(candidates.chosen(kind=kind, picks=K)[0]) == K
    with pytest.raises(ValueError, match=r"0\.parquet has 40 candidates .* raise search.candidate"):
        candidates.choose(kind=kind, picks=K + 1)


@pytest.mark.parametrize("zero", ["query", "passage"])
def test_a_vector_without_direction_is_an_error(zero, tmp_path):
    vectors, queries = np.ones((120, D)), np.ones((7, D))
    (queries if zero == "query" else vectors)[3] = 0
    name = 5 if zero == "query" else 3
    candidates = Candidates(tmp_path, vectors, queries, k=120)
    for spec in ({"kind": "sift"}, {"kind": "nearest", "stop": 0.5}):
        with pytest.raises(ValueError, match=f"the vector of {zero} {name} has no direction"):
            candidates.choose(**spec)


@pytest.mark.parametrize("fault", ["shorter", "others", "swapped"])
def test_a_table_of_other_queries_is_an_error(fault, tmp_path):
    generator = np.random.default_rng(3)
    candidates = Candidates(tmp_path, generator.normal(size=(120, D)), np.ones((7, D)))
    table = pd.read_parquet(candidates.tables[0])
    changed = {
        "shorter": table.iloc[:-1],
        "others": table.assign(query_id=table["query_id"] + 1),
        "swapped": table.sort_values("query_id", kind="stable"),
    }
    write_frame(candidates.tables[0], changed[fault])
    with pytest.raises(ValueError, match=r"0\.parquet is not a table of K candidates"):
        candidates.choose(kind="nearest")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "hull", "replacement": False}, "unknown key 'replacement'"),
        ({"kind": "nearest", "iterations": 5}, "unknown key 'iterations'"),
        ({"kind": "sfit"}, "'sfit' is not known. Did you mean 'sift'"),
        ({}, "a mapping with the key kind"),
        ({"kind": "sift", "stop_form": "filter"}, "stop_form: filter without stop"),
        ({"kind": "sift", "noise": 0}, "greater than 0"),
        ({"kind": "sift", "stop": 1.5}, "less than or equal to 1"),
        ({"kind": "sift", "picks": 0}, "greater than 0"),
        ({"kind": "sift", "nois": 0.1}, "Did you mean 'noise'"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(spec, message):
    with pytest.raises(ValidationError, match=message):
        ChooseSpec(selection={"index": "flat", "picks": 10, **spec})


def test_a_selection_survives_json():
    """A spec is passed to the stage with every key named, defaults too."""
    for kind in ("nearest", "farthest", "sift", "hull"):
        spec = ChooseSpec(selection={"kind": kind, "index": "flat", "picks": 10})
        assert ChooseSpec.model_validate_json(spec.model_dump_json()) == spec
        assert f'"kind":"{kind}"' in spec.model_dump_json()
