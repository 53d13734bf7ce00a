"""Gradients of repeated texts: against loops written out here, and counted forward passes."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from pydantic import ValidationError

from tiny import save_causal
from tttnn.methods.likelihood import log_likelihood, prefix_token, rolling_windows
from tttnn.methods.measure import Query
from tttnn.methods.ttt import engine, reuse
from tttnn.methods.ttt.engines import graphs, lean
from tttnn.methods.ttt.settings import Lora, Recipe
from tttnn.models.folder import load_causal

A, B, C = "the cat sat " * 4, "on the mat " * 3, "eins zwei drei "
LONG = "a text of two windows " * 4
HULL = [A, A, A, A, B, B, C]  # copies next to each other
SIFT = [A, B, A, C, B, A, C]
COUNT = len(HULL)
ENGINES = {"reference": engine, "lean": lean}


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load_causal(save_causal(tmp_path_factory.mktemp("gpt2")))


def recipe(**changes) -> Recipe:
    plain = {
        "num_neighbors": COUNT,
        "evaluate_at": list(range(COUNT + 1)),
        "learning_rate": 1e-2,
        "dropout": "none",
        "clip_norm": 0.5,
    }
    return Recipe.model_validate(plain | changes)


def measured(module, network, neighbors, asked: Recipe) -> list:
    (found,) = module.adapt(*network, [Query("a", "the cat " * 4, neighbors)], asked, 64)
    return found.measurements


def by_hand(network, neighbors, asked: Recipe, is_computed: list[bool]) -> list[float]:
    """Log-likelihoods after each of some steps, of which some follow the text's last gradient."""
    model, tokenizer = copy.deepcopy(network[0]).eval(), network[1]
    trained = list(model.parameters())
    optimizer = torch.optim.AdamW(
        trained, lr=asked.learning_rate, weight_decay=asked.weight_decay, fused=True
    )
    windows = rolling_windows(tokenizer("the cat " * 4)["input_ids"], prefix_token(tokenizer), 64)
    last: dict[str, list[torch.Tensor]] = {}
    found = [log_likelihood(model, windows)]
    for text, anew in zip(neighbors, is_computed, strict=True):
        if anew:
            ids = torch.tensor([tokenizer(text)["input_ids"]])
            loss = model(input_ids=ids, labels=ids).loss
            last[text] = list(torch.autograd.grad(loss, trained))
        for parameter, gradient in zip(trained, last[text], strict=True):
            parameter.grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_(trained, asked.clip_norm)
        optimizer.step()
        found.append(log_likelihood(model, windows))
    return found


CASES = [
    (HULL, 1, [True] * COUNT),
    (HULL, 2, [True, False, True, False, True, False, True]),
    (HULL, 3, [True, False, False, True, True, False, True]),
    (SIFT, 1, [True] * COUNT),
    (SIFT, 2, [True, True, False, True, False, True, False]),
]


@pytest.mark.parametrize(("neighbors", "every", "is_computed"), CASES)
def test_a_gradient_is_computed_at_every_so_manyth_step_of_its_text(
    neighbors, every, is_computed, gpt2
):
    asked = recipe(reuse=every)
    found = measured(engine, gpt2, neighbors, asked)
    expected = by_hand(gpt2, neighbors, asked, is_computed)
    likelihoods = [m.loglikelihood for m in found]
    if every == 1:
        assert likelihoods == expected
    assert likelihoods == pytest.approx(expected, rel=1e-5)  # what is clipped again is rounded
    assert [m.steps for m in found] == list(range(COUNT + 1))
    assert [not math.isnan(m.train_loss) for m in found[1:]] == is_computed
    read = [
        len(text) for text, anew in zip(neighbors, is_computed, strict=True) if anew
    ]  # a token a byte
    assert found[-1].train_tokens == sum(read)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("neighbors", "changes", "passes"),
    [
        (HULL, {}, 7),
        (HULL, {"reuse": 2}, 4),
        (HULL, {"reuse": 100}, 3),
        ([A, LONG, LONG, B, A, A, C], {"reuse": 2}, 8),  # each window of the long text, each time
        ([A, LONG, LONG, B, A, A, C], {"reuse": 2, "step": "neighbor"}, 6 + 1 - 1),
    ],
)
def test_passes_are_saved_where_a_text_is_one_step(
    name, neighbors, changes, passes, gpt2, monkeypatch
):
    count, forward = [], type(gpt2[0]).forward

    def counted(self, *arguments, **options):
        if self.training:
            count.append(1)
        return forward(self, *arguments, **options)

    monkeypatch.setattr(type(gpt2[0]), "forward", counted)
    measured(ENGINES[name], gpt2, neighbors, recipe(dropout="as_model", **changes))
    assert len(count) == passes


def test_no_more_gradients_are_held_than_there_is_room_for(gpt2, monkeypatch):
    """Of three texts in turn, the third finds no room and is computed, until there is."""
    neighbors = [A, B, C, A, B, C, C]
    held = []
    keep = reuse.Gradients.hold

    def noting(self, use):
        keep(self, use)
        held.append(len(self._held))

    monkeypatch.setattr(reuse.Gradients, "hold", noting)
    found = measured(engine, gpt2, neighbors, recipe(reuse=9))
    assert max(held) == reuse.HELD == 2
    is_computed = [True, True, True, False, False, True, False]
    assert [not math.isnan(m.train_loss) for m in found[1:]] == is_computed
    expected = by_hand(gpt2, neighbors, recipe(), is_computed)
    assert [m.loglikelihood for m in found] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("neighbors", [HULL, SIFT], ids=["hull", "sift"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"clip_norm": None},
        {"lora": Lora(rank=2)},
        {"precision": "bfloat16"},
        {"step": "neighbor"},
        {"optimizer": "sgd", "momentum": 0.5},
        {"train": "mlp_out", "reuse": 3},
    ],
    ids=str,
)
def test_lean_reuses_as_the_reference_loop_does(neighbors, changes, gpt2):
    asked = recipe(**{"reuse": 2, "learning_rate": 1e-3} | changes)
    ours, theirs = (measured(module, gpt2, neighbors, asked) for module in (lean, engine))
    close = 2e-3 if asked.precision == "bfloat16" else 1e-6
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.loglikelihood == pytest.approx(other.loglikelihood, rel=close)
        assert mine.train_loss == pytest.approx(other.train_loss, rel=close, nan_ok=True)
        assert (mine.steps, mine.train_tokens) == (other.steps, other.train_tokens)


@pytest.mark.parametrize("module", ENGINES.values(), ids=ENGINES)
def test_nothing_is_reused_of_the_document_before(module, gpt2):
    queries = [Query(name, "the cat " * 4, HULL) for name in "ab"]
    first, second = module.adapt(*gpt2, queries, recipe(reuse=2), 64)
    likelihoods = [[m.loglikelihood for m in found.measurements] for found in (first, second)]
    assert likelihoods[0] == likelihoods[1]


def test_a_gradient_is_held_only_while_it_is_needed():
    held = reuse.Gradients([torch.zeros(1, requires_grad=True)])
    for place in range(COUNT):
        use = reuse.use_of(HULL, place, 2)
        if not held.take(use):
            held.hold(use)
        assert len(held.kept()) <= 1
    assert held.kept() == {}


@pytest.mark.parametrize(
    "changes", [{"step": "batch"}, {"train_on": "query", "text": "split"}], ids=str
)
def test_recipes_without_steps_of_a_neighbour_s_own_cannot_reuse(changes):
    with pytest.raises(ValidationError, match="or reuse: 1"):
        recipe(reuse=2, **changes)


def test_captured_steps_refuse(gpt2):
    assert graphs.fits(gpt2[0], recipe(), "cuda") is None
    assert "reuse: a captured step" in graphs.fits(gpt2[0], recipe(reuse=2), "cuda")
