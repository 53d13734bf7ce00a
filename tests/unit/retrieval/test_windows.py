"""All of a document as its query: its windows' vectors, what they find, what serves them all."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest
from activeft.sift import Retriever
from safetensors.numpy import load_file

from shards import (
    MADE_WITH,
    MEMORY_MB,
    brute_force,
    write_frame,
    write_queries,
    write_query_vectors,
    write_shards,
)
from tiny import save_encoder
from tttnn.models.folder import load_encoder
from tttnn.retrieval import search_windows as searching
from tttnn.retrieval.choose_windows import ChooseWindowsSpec, choose_windows
from tttnn.retrieval.embed import embed_queries, embed_texts
from tttnn.retrieval.scored_candidates import MergeScoredSpec, merge_scored
from tttnn.retrieval.search_windows import SearchWindowsSpec, search_windows
from tttnn.retrieval.selections import sift_windows, turns
from tttnn.retrieval.selections.sift import sift
from tttnn.retrieval.selections.sift_windows import SiftWindows
from tttnn.retrieval.selections.turns import Turns
from tttnn.retrieval.stopping import kept
from tttnn.retrieval.tensors import save_tensors
from tttnn.retrieval.window_targets import WindowTargets
from tttnn.retrieval.windows import EmbedWindowsSpec, embed_windows
from tttnn.sections.embed import Embed
from tttnn.tables import read_table


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def near(targets: np.ndarray, seed: int, rows: int, spread: float) -> np.ndarray:
    """Unit vectors around the targets."""
    generator = np.random.default_rng(seed)
    around = targets[generator.integers(len(targets), size=rows)]
    return unit(around + spread * generator.normal(size=around.shape))


def some_targets(seed: int, m: int, d: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(m, d)))


def picked(candidates, targets, picks: int, noise: float, replacement: bool = True) -> list[int]:
    values = {"index": "flat", "picks": picks, "noise": noise, "replacement": replacement}
    spec = SiftWindows(kind="sift_windows", **values)
    chosen = sift_windows.choose(spec, np.arange(len(candidates)), candidates, targets)
    return chosen.tolist()


def trace(picked: np.ndarray, targets: np.ndarray, noise: float) -> float:
    """Sum of the targets' posterior variances: tr(Q Qᵀ - Q Xᵀ (X Xᵀ + noise I)⁻¹ X Qᵀ)."""
    cross = targets @ picked.T
    inner = np.linalg.inv(picked @ picked.T + noise * np.eye(len(picked)))
    return float(np.trace(targets @ targets.T - cross @ inner @ cross.T))


# --- selections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize(("m", "noise"), [(1, 0.1), (2, 1e-3), (4, 0.1), (7, 1.0)])
def test_every_pick_leaves_the_least_variance_of_all_windows(m, noise, replacement):
    """Greedy by brute force: try every candidate, invert the whole matrix."""
    targets = some_targets(m, m, 9)
    candidates = near(targets, 3, 14, 0.4)
    chosen = picked(candidates, targets, 10, noise, replacement)
    for n, pick in enumerate(chosen):
        allowed = [i for i in range(14) if replacement or i not in chosen[:n]]
        left = {i: trace(candidates[[*chosen[:n], i]], targets, noise) for i in allowed}
        assert left[pick] == pytest.approx(min(left.values()), abs=1e-10)
        assert pick == min(left, key=lambda i: (round(left[i], 10), i))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:activeft")
@pytest.mark.parametrize(
    ("m", "rows", "dimension", "noise"), [(3, 200, 64, 0.1), (5, 60, 16, 0.01), (2, 100, 128, 1.0)]
)
def test_sift_of_several_targets_picks_as_its_authors_library(m, rows, dimension, noise):
    targets = some_targets(1, m, dimension)
    candidates = near(targets, 5, rows, 0.15)
    index = faiss.IndexFlatIP(dimension)
    index.add(candidates.astype(np.float32))
    retriever = Retriever(index, llambda=noise, also_query_opposite=False)
    values, expected, _, _ = retriever.search(targets, N=20, K=rows, threads=1)
    chosen = picked(candidates, targets, 20, noise)
    assert chosen == expected.tolist()
    ours = [trace(candidates[chosen[:n]], targets, noise) for n in range(1, 21)]
    np.testing.assert_allclose(ours, -values, atol=1e-3)


@pytest.mark.parametrize("replacement", [True, False])
def test_of_one_target_it_picks_what_sift_picks(replacement):
    targets = some_targets(2, 1, 24)
    candidates = near(targets, 6, 80, 0.3)
    expected = sift(candidates, targets[0], 30, 0.05, replacement)
    assert picked(candidates, targets, 30, 0.05, replacement) == expected.tolist()


def test_of_equal_candidates_the_first_is_picked():
    targets = some_targets(3, 3, 16)
    candidates = np.repeat(near(targets, 7, 12, 0.3), 2, axis=0)
    lengths = np.random.default_rng(0).uniform(0.5, 2, size=(24, 1))
    candidates = unit(candidates * lengths)  # last digits differ
    assert all(place % 2 == 0 for place in picked(candidates, targets, 20, 0.1))


def test_turns_are_each_windows_nearest_by_hand():
    """Windows along x and y; of three texts near x and one near y, y's comes second."""
    angles = np.radians([0, 5, 10, 80])
    candidates = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    spec = Turns(kind="turns", index="flat", picks=4)
    chosen = turns.choose(spec, np.arange(4), candidates, np.eye(2))
    assert chosen.tolist() == [0, 3, 1, 2]


# --- vectors of windows --------------------------------------------------------------------------


TEXTS = [
    ["abcdefghij" * 9 + "xyz", "short"],
    [],
    ["0123456789" * 3, "x" * 70],
]
IDS = [[5, 3], [], [40, 7]]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


def queries_of(folder: Path) -> list[Path]:
    return [
        write_queries(folder / f"queries/{task}.parquet", ids, texts)
        for task, (ids, texts) in enumerate(zip(IDS, TEXTS, strict=True))
    ]


@pytest.mark.parametrize(
    ("most", "counts"), [(1, [1, 1, 1, 1]), (3, [3, 1, 1, 3]), (9, [4, 1, 1, 3])]
)
def test_windows_follow_one_another_up_to_the_most(most, counts, encoder, tmp_path):
    """The tokenizer's tokens are bytes: windows are of 30 letters."""
    embed = Embed(max_tokens=32)
    output = tmp_path / "windows.safetensors"
    embed_windows(EmbedWindowsSpec(embed=embed, most=most), queries_of(tmp_path), encoder, output)
    found = load_file(output)
    assert found["query_id"].tolist() == np.repeat([5, 3, 40, 7], counts).tolist()
    texts = [
        text[30 * number : 30 * (number + 1)]
        for text, count in zip(chain(*TEXTS), counts, strict=True)
        for number in range(count)
    ]
    expected = embed_texts(*load_encoder(encoder), texts, embed)
    np.testing.assert_allclose(found["vectors"], expected, atol=1e-5)


def test_the_windows_of_a_short_text_are_the_text(encoder, tmp_path):
    files, embed = queries_of(tmp_path), Embed(max_tokens=32)
    embed_windows(EmbedWindowsSpec(embed=embed, most=2), files, encoder, tmp_path / "w.safetensors")
    embed_queries(embed, files, encoder, tmp_path / "q.safetensors")
    windows, whole = load_file(tmp_path / "w.safetensors"), load_file(tmp_path / "q.safetensors")
    for query in (3, 40):
        rows = [found["vectors"][found["query_id"] == query] for found in (windows, whole)]
        np.testing.assert_allclose(*rows, atol=1e-5)


# --- searches and the stage that chooses ---------------------------------------------------------

QUERY_IDS = [[11, 3], [], [5, 90, 2]]
ALL = list(chain.from_iterable(QUERY_IDS))
WINDOWS = {11: 3, 3: 1, 5: 2, 90: 1, 2: 4}
D, K = 8, 20


class Searched:
    """Shards, and queries with vectors of their windows."""

    def __init__(self, folder: Path, counts: list[list[int]]) -> None:
        generator = np.random.default_rng(2)
        self.folder = folder
        vectors = generator.normal(size=(90, D)) + 0.7
        self.shards = write_shards(folder, counts, vectors.astype(np.float32))
        self.files = [
            write_queries(folder / f"queries/{task}.parquet", ids)
            for task, ids in enumerate(QUERY_IDS)
        ]
        self.windows = {q: generator.normal(size=(m, D)).astype("f4") for q, m in WINDOWS.items()}
        self.file = folder / "windows.safetensors"
        tensors = {
            "query_id": np.repeat(ALL, [WINDOWS[query] for query in ALL]),
            "vectors": np.concatenate([self.windows[query] for query in ALL]),
        }
        save_tensors(self.file, tensors, {"embedder": "some", "environments": [MADE_WITH]})
        first = np.stack([self.windows[query][0] for query in ALL])
        self.first = write_query_vectors(folder / "first.safetensors", ALL, first)

    def search(self, by: str, k: int = K) -> dict[int, list[int]]:
        """Of every query the candidates, by rank."""
        spec, found = SearchWindowsSpec(candidates=k, by=by), []
        for shard, path in enumerate(self.shards.lists):
            found.append(self.folder / f"found/{shard:02d}.parquet")
            search_windows(spec, path, self.file, found[-1], MEMORY_MB)
        outputs = [self.folder / f"candidates/{path.name}" for path in self.files]
        common = (self.files, self.first, self.shards.lists, outputs, MEMORY_MB)
        merge_scored(MergeScoredSpec(candidates=k), found, *common)
        tables = pd.concat([read_table(path).to_pandas() for path in outputs])
        return {q: rows["passage_id"].tolist() for q, rows in tables.groupby("query_id")}


COUNTS = [[[90]], [[40, 20], [30]], [[1], [0, 50], [39]]]


@pytest.mark.parametrize("counts", COUNTS)
def test_by_mean_and_by_any_are_brute_forces(tmp_path, counts, monkeypatch):
    monkeypatch.setattr(searching, "MOST_ROWS", 7)
    searched = Searched(tmp_path, counts)
    vectors, ids = searched.shards.vectors.astype(float), searched.shards.ids
    means, nearest = searched.search("mean"), searched.search("any")
    for query in ALL:
        own = searched.windows[query].astype(float)
        mean = own.mean(axis=0, keepdims=True)
        assert means[query] == brute_force(mean, vectors, ids, K)[1][0].tolist()
        apart = [min(((vector - window) ** 2).sum() for window in own) for vector in vectors]
        order = sorted(range(len(ids)), key=lambda place: (apart[place], ids[place]))
        assert nearest[query] == [ids[place] for place in order[:K]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:activeft")
def test_the_opposite_too_is_what_the_authors_library_searches(tmp_path):
    """It looks for the mean and for its opposite, by inner product, and keeps the K best."""
    searched = Searched(tmp_path, COUNTS[1])
    found = searched.search("absolute")
    vectors = unit(searched.shards.vectors.astype(float))
    index = faiss.IndexFlatIP(D)
    index.add(vectors.astype(np.float32))
    places = {int(passage): place for place, passage in enumerate(searched.shards.ids)}
    opposite = 0
    for query in ALL:
        targets = unit(searched.windows[query].astype(float))
        retriever = Retriever(index, llambda=0.1, also_query_opposite=True, only_faiss=True)
        _, expected, _, _ = retriever.search(targets, N=K, K=K)
        ours = [places[passage] for passage in found[query]]
        assert ours == expected.tolist()
        opposite += int((vectors[ours] @ targets.mean(axis=0) < 0).sum())
    assert opposite > 0


@pytest.mark.parametrize("stop", [None, 0.3])
def test_the_stage_chooses_among_what_it_is_given(tmp_path, stop):
    searched = Searched(tmp_path, COUNTS[1])
    searched.search("any")
    tables = [tmp_path / f"candidates/{path.name}" for path in searched.files]
    outputs = [tmp_path / f"chosen/{path.name}" for path in searched.files]
    selection = {"kind": "sift_windows", "index": "some", "picks": 8, "stop": stop}
    spec = ChooseWindowsSpec(selection=selection)
    common = (searched.files, searched.file, searched.shards.lists, outputs, MEMORY_MB)
    choose_windows(spec, tables, *common)
    vectors = dict(zip(searched.shards.ids.tolist(), searched.shards.vectors, strict=True))
    chosen = pd.concat([read_table(path).to_pandas() for path in outputs])
    given = pd.concat([read_table(path).to_pandas() for path in tables])
    for query in ALL:
        rows = given[given["query_id"] == query]
        ids = sorted(rows["passage_id"])
        candidates = unit(np.stack([vectors[passage] for passage in ids]).astype(float))
        targets = unit(searched.windows[query].astype(float))
        places = np.array(picked(candidates, targets, 8, 0.1))
        if stop is not None:
            left = [trace(candidates[places[:n]], targets, 0.1) for n in range(1, 9)]
            places = places[kept(np.array(left) / len(targets), stop, "prefix")]
        own = chosen[chosen["query_id"] == query]
        assert own["passage_id"].tolist() == [ids[place] for place in places]
        assert own["rank"].tolist() == list(range(len(places)))
        far = dict(zip(rows["passage_id"], rows["distance"], strict=True))
        assert own["distance"].tolist() == [far[passage] for passage in own["passage_id"]]


def test_windows_of_other_queries_are_refused(tmp_path):
    searched = Searched(tmp_path, COUNTS[0])
    assert [len(WindowTargets(searched.file)[place]) for place in range(5)] == [3, 1, 2, 1, 4]
    with pytest.raises(ValueError, match=r"windows.safetensors has windows of 5 documents, which"):
        WindowTargets(searched.file, [np.array(ALL[::-1])])


def test_too_few_candidates_are_said(tmp_path):
    searched = Searched(tmp_path, COUNTS[0])
    searched.search("mean", k=5)
    tables = [tmp_path / f"candidates/{path.name}" for path in searched.files]
    spec = ChooseWindowsSpec(selection={"kind": "turns", "index": "some", "picks": 6})
    common = (searched.files, searched.file, searched.shards.lists, tables, MEMORY_MB)
    with pytest.raises(ValueError, match=r"0.parquet has 5 candidates a query, 6 are to be picked"):
        choose_windows(spec, tables, *common)


def test_a_vector_without_direction_is_said(tmp_path):
    searched = Searched(tmp_path, COUNTS[0])
    searched.search("mean")
    rows = np.repeat(ALL, [WINDOWS[query] for query in ALL])
    vectors = np.concatenate([searched.windows[query] for query in ALL])
    vectors[rows == 90] = 0
    said = {"embedder": "some", "environments": [MADE_WITH]}
    save_tensors(searched.file, {"query_id": rows, "vectors": vectors}, said)
    tables = [tmp_path / f"candidates/{path.name}" for path in searched.files]
    spec = ChooseWindowsSpec(selection={"kind": "turns", "index": "some", "picks": 6})
    outputs = [write_frame(tmp_path / f"o/{path.name}", pd.DataFrame()) for path in tables]
    common = (searched.files, searched.file, searched.shards.lists, outputs, MEMORY_MB)
    with pytest.raises(ValueError, match="the vector of query 90 has no direction"):
        choose_windows(spec, tables, *common)
