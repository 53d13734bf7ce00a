"""Neighbours in the context window: prompts by hand, and the model asked directly."""

from __future__ import annotations

import math

import pytest
import torch

from tiny import Clock, save_causal
from tttnn.methods.in_context.engine import adapt, filled_window, released_window
from tttnn.methods.in_context.settings import InContext
from tttnn.methods.likelihood import log_likelihood, prefix_token, rolling_windows
from tttnn.methods.measure import Query
from tttnn.models.folder import load_causal

RECIPE = InContext(kind="in_context", num_neighbors=3, evaluate_at=[0, 1, 2, 3])
NEIGHBORS = [[11, 12, 13], [21, 22], [31, 32, 33, 34]]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load_causal(save_causal(tmp_path_factory.mktemp("gpt2")))


def likelihoods(network, query, recipe=RECIPE, window=16):
    (result,) = adapt(*network, [query], recipe, window)
    return [m.loglikelihood for m in result.measurements]


def asked(network, inputs, count):
    """Log-probability of the last `count` tokens of `inputs`, each given all before it."""
    log_p = network[0](torch.tensor([inputs])).logits[0].detach().double().log_softmax(-1)
    return sum(log_p[i - 1, inputs[i]].item() for i in range(len(inputs) - count, len(inputs)))


@pytest.mark.parametrize(
    ("length", "inputs"),
    [
        (16, [0, 11, 12, 13, 0, 21, 22, 0, 31, 32, 33, 34, 0, 1, 2]),  # one place to spare
        (15, [0, 11, 12, 13, 0, 21, 22, 0, 31, 32, 33, 34, 0, 1, 2]),
        (14, [0, 11, 12, 13, 0, 21, 22, 0, 31, 32, 33, 0, 1, 2]),  # the farthest is cut short
        (9, [0, 11, 12, 13, 0, 21, 0, 1, 2]),  # the farthest has no place
        (8, [0, 11, 12, 13, 0, 1, 2]),  # a prefix token alone would say nothing
        (5, [0, 11, 0, 1, 2]),
        (4, [0, 1, 2]),
        (3, [0, 1, 2]),
    ],
)
def test_the_nearest_fill_the_window(length, inputs):
    assert filled_window(NEIGHBORS, [1, 2, 3], 0, length) == (inputs, [1, 2, 3])


def test_neighbours_without_tokens_take_no_place():
    assert filled_window([[], [11], []], [1, 2], 0, 9).inputs == [0, 11, 0, 1]
    assert released_window([[], []], [1, 2], 0, 9).inputs == [0, 1]


@pytest.mark.parametrize(
    ("length", "inputs"),
    [
        (16, [11, 12, 13, 21, 22, 31, 32, 33, 34, 1, 2]),
        (8, [21, 22, 31, 32, 33, 34, 1, 2]),
        (6, [31, 32, 33, 34, 1, 2]),
        (3, [34, 1, 2]),  # a document of a whole window follows the end of the farthest
    ],
)
def test_as_released_the_farthest_stay(length, inputs):
    assert released_window(NEIGHBORS, [1, 2, 3], 0, length) == (inputs, [1, 2, 3])


@pytest.mark.parametrize(
    ("as_released", "window", "prompts"),
    [
        (False, 17, ["|the doc", "|neat|the doc", "|neat|far|the doc", "|neat|far|the doc"]),
        (True, 13, ["|the doc", "neatthe doc", "neatfarthe doc", "eatfarxthe doc"]),
    ],
)
def test_likelihood_behind_each_prompt(gpt2, as_released, window, prompts):
    """A token a byte, and `|` for the end of text; the last token of a prompt is no input."""
    recipe = RECIPE.model_copy(update={"as_released": as_released})
    found = likelihoods(gpt2, Query(0, "the doc", ["neat", "far", "x"]), recipe, window)
    expected = []
    for prompt in prompts:
        ids = [0 if c == "|" else gpt2[1](c)["input_ids"][0] for c in prompt]
        expected.append(asked(gpt2, ids, len("the doc")))
    assert found == pytest.approx(expected, rel=1e-6)
    assert len(set(found)) == len(set(prompts))


@pytest.mark.parametrize("as_released", [False, True])
@pytest.mark.parametrize("length", [16, 17, 40])
def test_zero_neighbours_and_long_documents_are_the_plain_likelihood(gpt2, length, as_released):
    model, tokenizer = gpt2
    recipe = RECIPE.model_copy(update={"as_released": as_released})
    text = "abcdefgh" * 5
    ids = tokenizer(text[:length])["input_ids"]
    plain = log_likelihood(model, rolling_windows(ids, prefix_token(tokenizer), 16))
    found = likelihoods(gpt2, Query(0, text[:length], ["near", "far", "x"]), recipe)
    assert found[0] == plain
    # as released a document of just one window loses its end-of-text token to a neighbour
    assert (found[1:] == [plain] * 3) == (length > 16 or not as_released)


def test_what_is_counted(gpt2, monkeypatch):
    monkeypatch.setattr("tttnn.methods.in_context.engine.clock", Clock())
    (result,) = adapt(*gpt2, [Query(0, "the doc", ["neat", "far", "x"])], RECIPE, 12)
    assert [m.num_neighbors for m in result.measurements] == [0, 1, 2, 3]
    assert [m.train_tokens for m in result.measurements] == [0, 5, 5, 5]
    # prompts made for 3, 6 and 8 seconds; the last two are the first again, and not evaluated
    assert [m.train_seconds for m in result.measurements] == [0, 3, 3 + 6, 3 + 6 + 8]
    assert [m.evaluate_seconds for m in result.measurements] == [1, 4, 4, 4]
    assert all(m.steps == 0 and math.isnan(m.train_loss) for m in result.measurements)
    assert all(m.alpha is None for m in result.measurements)
    assert result.size == (7, 2, 7)


def test_too_few_neighbours_is_an_error_unless_stopped(gpt2):
    with pytest.raises(ValueError, match="query 0 has 1 neighbours"):
        likelihoods(gpt2, Query(0, "doc", ["one"]))
    found = likelihoods(gpt2, Query(0, "doc", ["one"], stopped=True))
    assert found[1] != found[0]
    assert found[1:] == [found[1]] * 3
