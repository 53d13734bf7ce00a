"""Training that stops early: by the first half alone, and by the rule, worked out again here."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch

from tiny import save_causal
from tttnn.methods.measure import Query
from tttnn.methods.ttt.engine import adapt as train_on_all
from tttnn.methods.ttt.settings import Recipe
from tttnn.methods.ttt_stopping.engine import adapt
from tttnn.methods.ttt_stopping.settings import Stopping
from tttnn.models.folder import load_causal
from tttnn.needs.kinds import load as needs_of
from tttnn.sections.kinds import METHODS

NEIGHBORS = [
    "the cat sat on the mat " * 4, "zqxj 9471 #!? " * 9, "the cat sat " * 8, "%%%% " * 30,
    "on the mat the cat " * 5, "7 7 7 7 " * 20, "the mat " * 9, "a cat sat on a mat " * 4,
]  # fmt: skip
QUERIES = [
    Query("a", "and the cat sat on the mat again " * 2, NEIGHBORS, context="the cat sat " * 6),
    Query("b", "zqxj 9471 and so on " * 3, NEIGHBORS, context="eins zwei drei vier " * 3),
    Query("c", "x y z", NEIGHBORS[::-1], context="7 7 7 #!? 7"),
]
POINTS = list(range(len(NEIGHBORS) + 1))


def recipe(**values: object) -> Stopping:
    given = {"num_neighbors": 8, "evaluate_at": POINTS, "learning_rate": 5e-3, "text": "split"}
    return Stopping.model_validate({"kind": "ttt_stopping", "patience": 2, **given, **values})


def plain(given: Stopping) -> Recipe:
    return Recipe.model_validate(given.model_dump(exclude={"kind", "patience"}))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load_causal(save_causal(tmp_path_factory.mktemp("gpt2")))


def numbers(network, query: Query, given: Recipe) -> list[float]:
    """The reference loop's log-likelihoods of a query's text after each of its neighbours."""
    (found,) = train_on_all(*network, [query], given, 64)
    return [m.loglikelihood for m in found.measurements]


@pytest.mark.parametrize("patience", [1, 2, 3, 8])
@pytest.mark.parametrize("rate", [1e-3, 5e-3, 5e-2])
def test_it_is_the_reference_loop_as_it_was_where_the_first_half_was_likeliest(
    patience, rate, gpt2
):
    given = recipe(patience=patience, learning_rate=rate)
    for query, result in zip(QUERIES, adapt(*gpt2, QUERIES, given, 64), strict=True):
        first = numbers(gpt2, replace(query, text=query.context), plain(given))
        second = numbers(gpt2, query, plain(given))
        best = trained = 0
        for count in POINTS:
            if trained == count - 1 and count - 1 - best < patience:
                trained = count
                best = count if first[count] > first[best] else best
            found = result.measurements[count]
            assert found.num_neighbors == count
            assert found.loglikelihood == second[best]
            steps = [-(-len(text) // 64) for text in query.neighbors[:trained]]
            assert found.steps == sum(steps)


def test_documents_stop_at_different_times_and_some_not_at_all(gpt2):
    """Or the test above would show less than it says."""
    whole = sum(-(-len(text) // 64) for text in NEIGHBORS)
    ends = [
        [result.measurements[-1].steps for result in adapt(*gpt2, QUERIES, given, 64)]
        for given in (recipe(patience=1, learning_rate=5e-2), recipe(patience=8))
    ]
    assert ends[1] == [whole] * 3
    assert min(ends[0]) < whole


def test_the_evaluated_half_decides_nothing(gpt2):
    given = recipe(learning_rate=5e-2, patience=1)
    others = [replace(query, text="something else " * 5) for query in QUERIES]
    for one, other in zip(
        adapt(*gpt2, QUERIES, given, 64), adapt(*gpt2, others, given, 64), strict=True
    ):
        assert [m.steps for m in one.measurements] == [m.steps for m in other.measurements]


def test_what_makes_the_first_half_worse_at_once_leaves_the_model_as_it_was(gpt2):
    query = Query("d", "the cat " * 4, ["zqxj " * 20] * 8, context="the cat " * 4)
    given = recipe(learning_rate=10.0, patience=1, weight_decay=0.0)
    (found,) = adapt(*gpt2, [query], given, 64)
    assert len({m.loglikelihood for m in found.measurements}) == 1
    assert all(math.isfinite(m.loglikelihood) for m in found.measurements)


def test_weights_come_back_bit_for_bit(gpt2):
    model, _ = gpt2
    before = copy.deepcopy(model.state_dict())
    list(adapt(*gpt2, QUERIES, recipe(learning_rate=5e-2), 64))
    running = adapt(*gpt2, QUERIES, recipe(), 64)
    next(running)
    running.close()
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_a_document_that_is_not_split_is_named(gpt2):
    with pytest.raises(ValueError, match="document e is not split"):
        list(adapt(*gpt2, [replace(QUERIES[0], id="e", context=None)], recipe(), 64))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": "document"}, "set text: split"),
        ({"train_on": "query_then_neighbors"}, "set train_on: neighbors"),
        ({"accumulate": True}, "accumulate carries weights"),
        ({"patience": 0}, "patience"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        recipe(**values)


def test_looking_at_the_first_half_is_counted():
    given = recipe()
    looks = 9 * 100  # before the first neighbour and after each
    assert given.work(400, 100, [50] * 8).read == plain(given).work(400, 100, [50] * 8).read + looks
    assert given.work(400, 100, [50] * 8).steps == plain(given).work(400, 100, [50] * 8).steps
    passes = needs_of(METHODS, "ttt_stopping").passes(given)
    assert passes.steps == 8 and passes.forward == 9 + 4.5
