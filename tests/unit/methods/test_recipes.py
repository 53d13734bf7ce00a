"""What a recipe can ask of test-time training beyond the paper's: each switch, by another way."""

from __future__ import annotations

import copy

import pytest
import torch

from tiny import CAUSAL, save_causal
from tttnn.methods.measure import Query
from tttnn.methods.ttt.engine import adapt
from tttnn.methods.ttt.settings import Lora, Recipe
from tttnn.models.folder import load_causal

PLAIN = Recipe(num_neighbors=2, evaluate_at=[0, 1, 2], learning_rate=1e-2, dropout="none")
# neighbours of 3 windows and of 1
QUERY = Query("a", "the cat sat on the mat " * 2, ["the cat sat " * 11, "on the mat " * 4])
OTHER = Query("b", "eins zwei drei " * 4, ["eins zwei " * 3, "drei vier " * 2])


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load_causal(save_causal(tmp_path_factory.mktemp("gpt2")))


def recipe(**changes) -> Recipe:
    return Recipe.model_validate(PLAIN.model_dump() | changes)


def measure(network, query: Query, asked: Recipe = PLAIN) -> list:
    (result,) = adapt(*network, [query], asked, 64)
    return result.measurements


def likelihoods(network, query: Query, asked: Recipe = PLAIN) -> list[float]:
    return [measured.loglikelihood for measured in measure(network, query, asked)]


def by_hand(network, steps: list[list[str]], asked: Recipe = PLAIN, prefix: bool = False):
    """A copy of the model after AdamW steps, each on the mean loss over windows of its texts."""
    model, tokenizer = copy.deepcopy(network[0]), network[1]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=asked.learning_rate, weight_decay=asked.weight_decay
    )
    for texts in steps:
        losses = []
        for text in texts:
            ids = [*([0] if prefix else []), *tokenizer(text)["input_ids"]]
            for start in range(0, len(ids), 64):
                window = torch.tensor([ids[start : start + 64]])
                losses.append(model(input_ids=window, labels=window).loss)
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        if asked.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), asked.clip_norm)
        optimizer.step()
    return model, tokenizer


def evaluated(network, query: Query) -> float:
    return likelihoods(network, query, recipe(num_neighbors=0, evaluate_at=[0]))[0]


@pytest.mark.parametrize(
    ("step", "texts", "steps"),
    [
        ("neighbor", [[QUERY.neighbors[0]], [QUERY.neighbors[1]]], [0, 1, 2]),
        ("batch", [QUERY.neighbors, QUERY.neighbors], [0, 1, 2]),
    ],
)
def test_a_step_may_be_of_several_windows(step, texts, steps, gpt2):
    measured = measure(gpt2, QUERY, recipe(step=step))
    assert [m.steps for m in measured] == steps
    for count in (1, 2):
        expected = evaluated(by_hand(gpt2, texts[:count]), QUERY)
        assert measured[count].loglikelihood == pytest.approx(expected, rel=1e-5)
    assert measured[2].loglikelihood != pytest.approx(likelihoods(gpt2, QUERY)[2], rel=1e-5)


def test_windows_that_follow_an_end_of_text_token(gpt2):
    query = Query("a", QUERY.text, ["the cat sat"])
    asked = recipe(prefix=True, num_neighbors=1, evaluate_at=[0, 1])
    measured = measure(gpt2, query, asked)
    assert measured[1].train_tokens == 1 + len("the cat sat")
    expected = evaluated(by_hand(gpt2, [["the cat sat"]], prefix=True), query)
    assert measured[1].loglikelihood == pytest.approx(expected, rel=1e-5)


def test_without_clipping_a_large_gradient_counts_for_more(gpt2):
    """AdamW forgets a gradient's size, but for what it remembers of steps before."""
    query = Query("a", QUERY.text, ["on the mat", "the cat sat"])
    found = likelihoods(gpt2, query, recipe(clip_norm=None))
    unclipped = by_hand(gpt2, [[text] for text in query.neighbors], recipe(clip_norm=None))
    assert found[2] == pytest.approx(evaluated(unclipped, query), rel=1e-5)
    assert found[2] != pytest.approx(likelihoods(gpt2, query)[2], rel=1e-6)


def test_accumulated_weights_are_put_back_at_the_end(gpt2):
    model, tokenizer = gpt2
    before = copy.deepcopy(model.state_dict())
    query = Query("b", QUERY.text, QUERY.neighbors)
    first, second = adapt(model, tokenizer, [QUERY, query], recipe(accumulate=True), 64)
    assert second.measurements[0].loglikelihood == first.measurements[2].loglikelihood
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_dynamic_evaluation_trains_on_the_first_half_again_and_again(gpt2):
    query = Query("a", QUERY.text, [], context="eins zwei")
    found = likelihoods(gpt2, query, recipe(text="split", train_on="query"))
    again = Query("a", QUERY.text, ["eins zwei", "eins zwei"])
    assert found == likelihoods(gpt2, again)


def test_the_first_half_may_come_before_the_neighbours(gpt2):
    query = Query("a", QUERY.text, QUERY.neighbors, context="eins zwei")
    found = likelihoods(gpt2, query, recipe(text="split", train_on="query_then_neighbors"))
    longer = Query("a", QUERY.text, ["eins zwei", *QUERY.neighbors])
    expected = likelihoods(gpt2, longer, recipe(num_neighbors=3, evaluate_at=[0, 2, 3]))
    assert found == expected


@pytest.mark.parametrize("step", ["window", "batch"])
def test_after_the_last_neighbour_of_a_stopped_query_nothing_changes(step, gpt2):
    stopped = Query("a", QUERY.text, QUERY.neighbors[1:], stopped=True)
    asked = recipe(step=step, num_neighbors=4, evaluate_at=[0, 1, 2, 4])
    measured = measure(gpt2, stopped, asked)
    one = recipe(step=step, num_neighbors=1, evaluate_at=[0, 1])
    expected = likelihoods(gpt2, Query("a", QUERY.text, QUERY.neighbors[1:]), one)
    assert [m.loglikelihood for m in measured] == [*expected, expected[1], expected[1]]
    assert [m.steps for m in measured] == [0, 1, 1, 1]
    assert [m.num_neighbors for m in measured] == [0, 1, 2, 4]
    assert len({m.evaluate_seconds for m in measured[1:]}) == 1


@pytest.mark.parametrize("kind", CAUSAL)
def test_adapters_train_and_leave_no_trace(kind, tmp_path):
    model, tokenizer = load_causal(save_causal(tmp_path, kind))
    before = copy.deepcopy(model.state_dict())
    asked = recipe(lora=Lora(rank=4, alpha=8.0), learning_rate=1e-2)
    query = Query("a", QUERY.text, [QUERY.text] * 2)
    adapted = adapt(model, tokenizer, [query, OTHER, query], asked, 64)
    first, _, third = ([m.loglikelihood for m in result.measurements] for result in adapted)
    assert first == third
    assert first[0] == evaluated((model, tokenizer), query)
    assert first[2] > first[1] > first[0]
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_adapters_train_only_what_is_theirs(gpt2):
    """A rank as high as the weights' own, and the first step still moves one factor alone."""
    model, tokenizer = copy.deepcopy(gpt2[0]), gpt2[1]
    running = adapt(model, tokenizer, [QUERY], recipe(lora=Lora(rank=2, targets=["c_attn"])), 64)
    next(running)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * CAUSAL["gpt2"]["n_layer"]
    assert all("c_attn.lora_" in name for name in trained)
    running.close()
    assert not any("lora" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": None}, "the recipe has no learning_rate"),
        ({"train_on": "query", "text": "split"}, "document a is not split"),
        ({"train_on": "query_then_neighbors", "text": "split"}, "document a is not split"),
    ],
)
def test_what_a_recipe_lacks_is_named_and_leaves_no_trace(gpt2, changes, message):
    """Without a step size, or without the text to train on; adapters come off again."""
    model, tokenizer = copy.deepcopy(gpt2[0]), gpt2[1]
    asked = recipe(lora=Lora(rank=2), **changes)
    with pytest.raises(ValueError, match=message):
        list(adapt(model, tokenizer, [QUERY], asked, 64))
    assert not any("lora" in name for name, _ in model.named_parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
