"""A document uses the neighbours that fit into its seconds, by rates and never by a clock."""

from __future__ import annotations

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shards import write_queries
from tiny import CAUSAL, save_causal
from tttnn.methods.evaluate import EvaluateSpec, evaluate_part
from tttnn.methods.flop import of_folder
from tttnn.methods.needs import with_rates
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import ModelError
from tttnn.needs.rates import CPU
from tttnn.needs.shapes import of_architecture
from tttnn.retrieval.gather import NEIGHBORS
from tttnn.sections.budget import Budget
from tttnn.sections.fitting import Rates, fitted, fitting, rates, seconds, within
from tttnn.sections.lengths import Lengths
from tttnn.tables import write_table

RECIPE = Recipe(num_neighbors=5, evaluate_at=[0, 1, 2, 4], learning_rate=1e-3, window=1000)
LENGTHS = Lengths(100, 0, [40, 80, 4004, 16, 16])
RATES = Rates(byte=0.5, step=3.0, selection=7.0)
SPENT = [
    # selection, measurements of 100 bytes, training at three passes, steps
    7 + 1 * 50,
    7 + 2 * 50 + 3 * 20 + 3,
    7 + 3 * 50 + 3 * 60 + 2 * 3,
    7 + 4 * 50 + 3 * 2062 + 4 * 3,  # 4,004 bytes are two windows; measured as after 4, of 3
    7 + 4 * 50 + 3 * 2070 + 5 * 3,
    7 + 4 * 50 + 3 * 2078 + 6 * 3,
]


@pytest.mark.parametrize("count", range(6))
def test_seconds_are_selection_measurements_and_steps(count):
    assert seconds(RECIPE, LENGTHS, count, RATES) == SPENT[count]


@pytest.mark.parametrize("count", range(6))
def test_the_last_neighbour_that_fits_is_used(count):
    assert fitting(RECIPE, LENGTHS, SPENT[count], RATES) == count
    assert fitting(RECIPE, LENGTHS, SPENT[count] - 0.001, RATES) == max(0, count - 1)


def test_there_are_no_more_than_there_are():
    assert fitting(RECIPE, LENGTHS, math.inf, RATES) == 5
    assert fitting(RECIPE, Lengths(100, 0, []), math.inf, RATES) == 0


@given(
    st.lists(st.integers(0, 9000), max_size=12),
    st.integers(0, 5000),
    st.floats(0, 2e4),
    st.sampled_from(["window", "neighbor", "batch"]),
)
def test_searching_finds_what_trying_each_finds(neighbors, text, allowed, step):
    recipe = RECIPE.model_copy(
        update={"step": step, "num_neighbors": 12, "evaluate_at": [0, 1, 2, 5, 12]}
    )
    lengths = Lengths(text, 0, neighbors)
    tried = [n for n in range(len(neighbors) + 1) if seconds(recipe, lengths, n, RATES) <= allowed]
    assert tried == list(range(len(tried))), "one more neighbour takes less"
    assert fitting(recipe, lengths, allowed, RATES) == max(0, len(tried) - 1)


@pytest.mark.parametrize(
    ("count", "points"),
    [
        (0, [0]),
        (1, [0, 1]),
        (2, [0, 1, 2]),
        (3, [0, 1, 2, 3]),
        (4, [0, 1, 2, 4]),
        (5, [0, 1, 2, 4]),
    ],
)
def test_a_document_is_measured_once_behind_its_last_neighbour(count, points):
    assert within(RECIPE, count).evaluate_at == points


DOCUMENTS = [Lengths(4000, 0, [10_000]), Lengths(8, 0, [4, 4])]
PLAIN = Budget(seconds=1, flops=8.0, step_seconds=0, selection_seconds=0)
"""With a model of 1 FLOP a token, which is of 4 bytes, a byte takes 1/32 s.

The second document takes 8/32 s as it is, 28/32 with a neighbour, 48/32 with two.
"""


def test_a_document_without_room_for_any_is_left_as_it_is():
    cut = fitted(RECIPE, PLAIN, DOCUMENTS, flop=1.0)
    assert cut == [Lengths(4000, 0, []), Lengths(8, 0, [4])]


def test_a_budget_in_which_nothing_fits_says_what_would():
    little = PLAIN.model_copy(update={"seconds": 0.8})
    with pytest.raises(ValueError, match=r"any of 2 documents fits .*\(0\.8\): .* takes 0\.875 s"):
        fitted(RECIPE, little, DOCUMENTS, flop=1.0)
    assert fitted(RECIPE, little, [Lengths(8, 0, [])], flop=1.0) == [Lengths(8, 0, [])]
    assert fitted(RECIPE, little, [], flop=1.0) == []


def test_a_rate_that_nobody_gave_is_an_error():
    with pytest.raises(ValueError, match="budget has no flops"):
        rates(Budget(seconds=2), 1.0)


def test_what_is_null_is_the_plan_s_and_what_is_given_stays():
    recipe = RECIPE.model_copy(update={"budget": Budget(seconds=2, step_seconds=0.5)})
    assert with_rates(recipe, False, CPU).budget == Budget(
        seconds=2, flops=CPU.train, step_seconds=0.5, selection_seconds=0
    )
    assert with_rates(recipe, True, CPU).budget.selection_seconds > 0
    assert with_rates(RECIPE, True, CPU) == RECIPE


def test_dynamic_evaluation_has_no_neighbours_to_leave_out():
    with pytest.raises(ValidationError, match="train_on: query has none"):
        Recipe(text="split", train_on="query", budget=Budget(seconds=2))


# --- the model's share ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_model_takes_what_the_plan_expects_of_its_shape(kind, tmp_path):
    """But for biases, norms and, in Llama, a third matrix of each block."""
    folder = save_causal(tmp_path / "model", kind)
    shape = of_architecture(CAUSAL[kind], 257, "")
    found = of_folder(folder, None)
    assert found.window == 64
    # a head of its own, or the embeddings once more; positions are looked up
    assert found.flop == pytest.approx(shape.forward(64), rel=0.05 if kind != "llama" else 0.2)
    assert of_folder(folder, 32).flop == found.flop - 4 * 2 * 32 * 32


def test_a_window_that_the_model_does_not_have_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="has positions for 64"):
        of_folder(save_causal(tmp_path / "model"), 65)


# --- a part --------------------------------------------------------------------------------------

POINTS = [0, 1, 2, 4]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Four documents, each twice as long as the one before, with as long neighbours."""
    folder = tmp_path_factory.mktemp("task")
    texts = ["x" * 20 * 2**i for i in range(4)]
    rows = [
        {"query_id": name, "rank": rank, "distance": 1.0, "text": f"{rank} " * len(texts[name])}
        | {"exact": False, "overlap": 0.0, "jaccard": 0.0}
        for name in range(4)
        for rank in range(4)
    ]
    write_table(folder / "neighbors.parquet", pa.Table.from_pylist(rows, schema=NEIGHBORS))
    queries = write_queries(folder / "queries.parquet", list(range(4)), texts)
    return save_causal(folder / "gpt2"), queries, folder / "neighbors.parquet"


def evaluate(task, output, budget, parts=1, part=0) -> list[dict]:
    model, queries, neighbors = task
    recipe = Recipe(num_neighbors=4, evaluate_at=POINTS, learning_rate=1e-3, budget=budget)
    evaluate_part(
        EvaluateSpec(recipe=recipe, parts=parts),
        model=model,
        queries=queries,
        neighbors=[neighbors],
        method="ttt",
        task="pile_github",
        part=part,
        output=output,
    )
    table = pq.read_table(output).drop_columns(["train_seconds", "evaluate_seconds"])
    return table.to_pylist()


def expected(seconds: float) -> dict[int, int]:
    """How many neighbours fit where a byte takes a second: they are twice as long as the text."""
    fits = {}
    for name, length in enumerate([20, 40, 80, 160]):
        for count in range(5):
            measured = len([p for p in POINTS if p <= count]) + (count == 3)
            read = measured * length + 3 * count * 2 * length
            if read <= seconds:
                fits[name] = count
    return {name: fits.get(name, 0) for name in range(4)}


def test_a_document_is_trained_on_what_fits_and_its_rows_say_so(task, tmp_path):
    byte = of_folder(task[0], None).flop / 4
    budget = Budget(seconds=650, flops=byte, step_seconds=0, selection_seconds=0)
    fits = expected(650)
    assert fits == {0: 4, 1: 2, 2: 1, 3: 0}, "the example shows all cases"
    whole = evaluate(task, tmp_path / "whole/0.parquet", None)
    rows = evaluate(task, tmp_path / "0.parquet", budget)
    assert {row["over_budget"] for row in whole} == {None}
    assert [row["used_neighbors"] for row in whole] == POINTS * 4
    for row, other in zip(rows, whole, strict=True):
        fit = fits[row["document_id"]]
        assert row["over_budget"] == 4 - fit
        assert row["used_neighbors"] == min(row["num_neighbors"], fit)
        at_fit = whole[4 * row["document_id"] + POINTS.index(min(row["num_neighbors"], fit))]
        for name in ("loglikelihood", "steps", "train_tokens"):
            assert row[name] == at_fit[name]
        assert row["num_neighbors"] == other["num_neighbors"]


def test_parts_agree_on_what_fits(task, tmp_path):
    byte = of_folder(task[0], None).flop / 4
    budget = Budget(seconds=650, flops=byte, step_seconds=0, selection_seconds=0)
    rows = evaluate(task, tmp_path / "0.parquet", budget)
    parts = [evaluate(task, tmp_path / f"{p}/0.parquet", budget, 3, p) for p in range(3)]
    found = [row for part in parts for row in part]
    key = "document_id"
    assert sorted(found, key=lambda row: (row[key], row["num_neighbors"])) == rows
