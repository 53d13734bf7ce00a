"""Test-time training: each property the design asks of it."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from tiny import CAUSAL, Clock, save_causal
from tttnn.methods.measure import Query
from tttnn.methods.ttt.engine import adapt
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import load_causal

RECIPE = Recipe(num_neighbors=3, evaluate_at=[0, 1, 3], learning_rate=1e-3)
QUERIES = [
    Query("a", "the cat sat on the mat " * 6, ["the cat sat " * 8, "on the mat " * 12, "a dog"]),
    Query("b", "eins zwei drei " * 4, ["eins zwei " * 3, "drei vier " * 20, "eins"]),
    Query("c", "x", ["x" * 65, "yy", "z"]),
]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load_causal(save_causal(tmp_path_factory.mktemp("gpt2")))


def likelihoods(network, queries, recipe=RECIPE, window=64):
    return {
        result.query.id: [m.loglikelihood for m in result.measurements]
        for result in adapt(*network, queries, recipe, window)
    }


@pytest.mark.parametrize("kind", CAUSAL)
def test_weights_come_back_bit_for_bit_on_any_architecture(kind, tmp_path):
    model, tokenizer = load_causal(save_causal(tmp_path, kind))
    before = copy.deepcopy(model.state_dict())
    results = list(adapt(model, tokenizer, QUERIES, RECIPE, 64))
    assert [len(result.measurements) for result in results] == [3, 3, 3]
    assert results[0].measurements[-1].loglikelihood != results[0].measurements[0].loglikelihood
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_weights_come_back_when_the_caller_stops_or_a_step_fails(gpt2):
    model, tokenizer = gpt2
    before = copy.deepcopy(model.state_dict())
    running = adapt(model, tokenizer, QUERIES, RECIPE, 64)
    next(running)
    running.close()
    broken = Query("d", "text", ["fine", None, "fine"])
    with pytest.raises(Exception, match=r".+"):
        list(adapt(model, tokenizer, [broken], RECIPE, 64))
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_neither_order_nor_company_changes_a_result(gpt2):
    together = likelihoods(gpt2, QUERIES)
    assert likelihoods(gpt2, QUERIES[::-1]) == together
    for query in QUERIES:
        assert likelihoods(gpt2, [query])[query.id] == together[query.id]


def test_as_released_lets_the_optimizer_leak(gpt2):
    recipe = RECIPE.model_copy(update={"as_released": True})
    together = likelihoods(gpt2, QUERIES[:2], recipe)
    alone = likelihoods(gpt2, QUERIES[1:2], recipe)
    assert together["b"][0] == alone["b"][0]
    assert together["b"][1:] != alone["b"][1:]


def test_one_step_by_hand(gpt2):
    """Against AdamW's first step written out: lr * (sign-like ratio + weight decay), after
    clipping the gradient's norm to 1."""
    model, tokenizer = gpt2
    model = copy.deepcopy(model)
    text, neighbor = "hello there", "hello you"
    recipe = Recipe(num_neighbors=1, evaluate_at=[0, 1], learning_rate=1e-2, dropout="none")
    (result,) = adapt(model, tokenizer, [Query(0, text, [neighbor])], recipe, 64)

    ids = torch.tensor([tokenizer(neighbor)["input_ids"]])
    log_p = torch.log_softmax(model(ids).logits[0, :-1], -1)
    loss = -log_p.gather(1, ids[0, 1:, None]).mean()
    assert result.measurements[1].train_loss == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    norm = math.sqrt(sum(p.grad.double().square().sum().item() for p in model.parameters()))
    scale = min(1.0, 1.0 / (norm + 1e-6))
    with torch.no_grad():
        for p in model.parameters():
            gradient = p.grad * scale
            p.mul_(1 - 1e-2 * 0.01).sub_(1e-2 * gradient / (gradient.abs() + 1e-8))
        tokens = tokenizer(text)["input_ids"]
        logits = model(torch.tensor([[0, *tokens[:-1]]])).logits[0]
        expected = torch.log_softmax(logits, -1).gather(1, torch.tensor(tokens)[:, None]).sum()
    assert result.measurements[1].loglikelihood == pytest.approx(expected.item(), rel=1e-5)


def test_a_step_for_each_window_and_evaluation_only_where_asked(gpt2):
    results = {r.query.id: r for r in adapt(*gpt2, QUERIES, RECIPE, 64)}
    assert [m.num_neighbors for m in results["a"].measurements] == [0, 1, 3]
    # 96, 132 and 5 bytes, a token each, in windows of 64
    assert [m.steps for m in results["a"].measurements] == [0, 2, 6]
    assert [m.train_tokens for m in results["a"].measurements] == [0, 96, 233]
    assert results["a"].size == (138, 37, 138)


def test_seconds_are_of_training_and_of_one_evaluation(gpt2, monkeypatch):
    monkeypatch.setattr("tttnn.methods.ttt.engine.clock", Clock())
    (result,) = adapt(*gpt2, QUERIES[:1], RECIPE, 64)
    # evaluated for 1 second, trained for 3, evaluated for 5, trained for 7 and 9, evaluated for 11
    assert [m.train_seconds for m in result.measurements] == [0, 3, 3 + 7 + 9]
    assert [m.evaluate_seconds for m in result.measurements] == [1, 5, 11]


def test_a_window_of_one_token_trains_nothing_unless_as_released(gpt2):
    """65 tokens are a window and one token over; `z` is a single token."""
    (ours,) = adapt(*gpt2, QUERIES[2:], RECIPE, 64)
    assert [m.steps for m in ours.measurements] == [0, 1, 2]
    assert math.isnan(ours.measurements[-1].train_loss)
    released = RECIPE.model_copy(update={"as_released": True})
    (leaking,) = adapt(*gpt2, QUERIES[2:], released, 64)
    assert [m.steps for m in leaking.measurements] == [0, 2, 4]
    assert all(math.isfinite(m.loglikelihood) for m in leaking.measurements)
    assert leaking.measurements[1].train_loss == pytest.approx(ours.measurements[1].train_loss)


def test_dropout_is_the_models_and_seeded_by_the_recipe(gpt2):
    twice = [likelihoods(gpt2, QUERIES) for _ in range(2)]
    assert twice[0] == twice[1]
    reseeded = likelihoods(gpt2, QUERIES, RECIPE.model_copy(update={"seed": 1}))
    without = likelihoods(gpt2, QUERIES, RECIPE.model_copy(update={"dropout": "none"}))
    assert twice[0]["a"][1] != reseeded["a"][1] != without["a"][1] != twice[0]["a"][1]


def test_too_few_neighbours_is_an_error_not_a_shorter_run(gpt2):
    with pytest.raises(ValueError, match="query a has 2 neighbours"):
        list(adapt(*gpt2, [Query("a", "text", ["one", "two"])], RECIPE, 64))


def test_training_on_the_text_itself_helps(gpt2):
    text = "to be or not to be, that is the question. " * 3
    recipe = Recipe(num_neighbors=10, evaluate_at=[0, 10], learning_rate=1e-2)
    (result,) = adapt(*gpt2, [Query(0, text, [text] * 10)], recipe, 64)
    assert result.measurements[-1].loglikelihood > 0.7 * result.measurements[0].loglikelihood
