"""Documents are dealt to parts of equal expected cost, and every part makes the same deal."""

from __future__ import annotations

from itertools import product

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tttnn.methods.deal import deal, read_lengths
from tttnn.methods.in_context.settings import InContext
from tttnn.methods.interpolate.settings import Interpolate
from tttnn.methods.knn_lm.settings import KnnLm
from tttnn.methods.ttt.settings import Recipe
from tttnn.retrieval.gather import NEIGHBORS
from tttnn.sections.lengths import Lengths
from tttnn.tables import write_table

COSTS = st.lists(st.integers(1, 1000), max_size=7)


def longest(costs: list[int], dealt: list[list[int]]) -> int:
    return max(sum(costs[place] for place in places) for places in dealt)


def shortest_possible(costs: list[int], parts: int) -> int:
    """The longest part of the best of all deals, by trying each."""
    best = sum(costs)
    for owners in product(range(parts), repeat=len(costs)):
        loads = [0] * parts
        for owner, cost in zip(owners, costs, strict=True):
            loads[owner] += cost
        best = min(best, max(loads))
    return best


@given(COSTS, st.integers(1, 9))
def test_every_document_is_in_one_part_and_a_part_keeps_their_order(costs, parts):
    dealt = deal(costs, parts)
    assert len(dealt) == parts
    assert sorted(place for places in dealt for place in places) == list(range(len(costs)))
    assert all(places == sorted(places) for places in dealt)


@given(COSTS, st.integers(1, 3))
def test_no_part_is_longer_than_graham_proved(costs, parts):
    bound = (4 * parts - 1) * shortest_possible(costs, parts)
    assert 3 * parts * longest(costs, deal(costs, parts)) <= bound


def test_the_bound_is_reached_where_it_is_known_to_be():
    """Graham's example for two parts: 7 by the longest first, 6 at best."""
    assert longest([3, 3, 2, 2, 2], deal([3, 3, 2, 2, 2], 2)) == 7
    assert shortest_possible([3, 3, 2, 2, 2], 2) == 6


def test_one_book_has_a_part_of_its_own():
    costs = [5, 7, 3, 1000, 6, 4, 5]
    dealt = deal(costs, 3)
    assert [3] in dealt
    assert sorted(sum(costs[place] for place in places) for places in dealt) == [15, 15, 1000]


def test_documents_of_one_cost_are_dealt_in_turn():
    assert deal([4] * 7, 3) == [[0, 3, 6], [1, 4], [2, 5]]


@pytest.fixture
def files(tmp_path):
    """Two split documents; neighbours out of order, of which one overlaps its query."""
    halves = {"query_id": [9, 4], "text": ["before", "é"], "continuation": ["after it", "ôù"]}
    write_table(tmp_path / "queries.parquet", pa.table(halves))
    texts = {(9, 2): "ccc", (9, 0): "a", (9, 1): "bb", (4, 0): "é" * 500, (9, 3): "dddd"}
    rows = [
        {"query_id": name, "rank": rank, "overlap": 0.5 if rank == 1 else 0.0, "text": text}
        for (name, rank), text in texts.items()
    ]
    write_table(tmp_path / "neighbors.parquet", pa.Table.from_pylist(rows, schema=NEIGHBORS))
    return tmp_path / "queries.parquet", [tmp_path / "neighbors.parquet"]


@pytest.mark.parametrize(("below", "used"), [(None, [1, 2, 3]), (0.5, [1, 3, 4]), (0.6, [1, 2, 3])])
def test_lengths_are_bytes_of_the_neighbours_that_are_used(below, used, files, monkeypatch):
    monkeypatch.setattr("tttnn.methods.deal.ROWS_AT_ONCE", 2)
    assert read_lengths(*files, 3, below) == [
        Lengths(text=8, context=6, neighbors=used),
        Lengths(text=4, context=2, neighbors=[1000]),
    ]


def test_a_whole_document_without_neighbours_has_its_own_length_alone(tmp_path):
    write_table(tmp_path / "queries.parquet", pa.table({"query_id": [1], "text": ["five!"]}))
    assert read_lengths(tmp_path / "queries.parquet", [], 3, None) == [Lengths(5, 0, [])]
    assert "text" in pq.read_schema(tmp_path / "queries.parquet").names


DOCUMENT = Lengths(text=1000, context=300, neighbors=[400, 500])
TTT = Recipe(num_neighbors=4, evaluate_at=[0, 1, 4], learning_rate=1e-3, window=100)
"""A window is 400 bytes: the document fills three, a neighbour of 500 takes two steps."""


@pytest.mark.parametrize(
    ("recipe", "passes"),
    [
        (TTT, (3 * 1200 + 3 * 900, 3)),
        (TTT.model_copy(update={"step": "batch"}), (3 * 1200 + 3 * 2 * 900, 6)),
        (TTT.model_copy(update={"train_on": "query"}), (3 * 1200 + 3 * 4 * 300, 4)),
        (
            TTT.model_copy(update={"train_on": "query_then_neighbors"}),
            (3 * 1200 + 3 * 1200, 4),
        ),
        (InContext(kind="in_context", evaluate_at=[0, 5], window=1000), (2 * 1000, 0)),
        (Interpolate(kind="interpolate", alphas=[0.5], window=100), (1200, 0)),
        (KnnLm(kind="knn_lm", alphas=[0.5], window=100), (2 * 1200 + 900, 0)),
    ],
)
def test_work_is_what_the_kind_reads_and_its_steps(recipe, passes):
    assert recipe.work(*DOCUMENT) == passes


def test_a_step_costs_as_much_as_reading_768_bytes():
    assert DOCUMENT.cost(TTT) == 3 * 1200 + 3 * 900 + 3 * 768


def test_an_empty_document_is_some_work():
    assert Lengths(0, 0, []).cost(TTT) == 1
