"""What of a model is trained, on every architecture, and by which optimiser."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from pydantic import ValidationError

from families import DECODERS, save_decoder
from tiny import CAUSAL, save_causal
from tttnn.methods.likelihood import log_likelihood, prefix_token, rolling_windows
from tttnn.methods.measure import Query
from tttnn.methods.ttt import engine
from tttnn.methods.ttt.engines import graphs, lean
from tttnn.methods.ttt.needs import passes
from tttnn.methods.ttt.parts import PartError, only_trained
from tttnn.methods.ttt.settings import Lora, Recipe
from tttnn.models.folder import load_causal

MLP = r"layers\.\d\.mlp\.down_proj\."
MLP_OUT = {
    "gpt2": r"h\.\d\.mlp\.c_proj\.",
    "gpt_neo": r"h\.\d\.mlp\.c_proj\.",
    "gpt_neox": r"layers\.\d\.mlp\.dense_4h_to_h\.",
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma2", "stablelm", "olmo2"), MLP),
    **dict.fromkeys(("cohere", "granite"), MLP),
    "phi": r"layers\.\d\.mlp\.fc2\.",
    "starcoder2": r"layers\.\d\.mlp\.c_proj\.",
    **dict.fromkeys(("bert-generation", "roberta"), r"layer\.\d\.output\.dense\."),
    "gptj": r"h\.\d\.mlp\.fc_out\.",
    "gpt_bigcode": r"h\.\d\.mlp\.c_proj\.",
    **dict.fromkeys(("opt", "biogpt"), r"layers\.\d\.fc2\."),
    **dict.fromkeys(("falcon", "bloom"), r"h\.\d\.mlp\.dense_4h_to_h\."),
    "mpt": r"blocks\.\d\.ffn\.down_proj\.",
}
"""Names of the second layers of MLPs; the other kinds have none of the form that is looked for."""
QUERY_NAMES = {
    "gpt_neo": r"attn\.attention\.q_proj\.",
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "phi", "gemma2"), r"attn\.q_proj\."),
    **dict.fromkeys(("stablelm", "olmo2", "starcoder2", "cohere"), r"attn\.q_proj\."),
    **dict.fromkeys(("granite", "mixtral", "gptj", "opt", "biogpt"), r"attn\.q_proj\."),
    **dict.fromkeys(("bert-generation", "roberta"), r"attention\.self\.query\."),
}
LAST = {"recurrent_gemma": 2}  # the last of the blocks: of two, but for this one
NAMES = {"mlp_out": MLP_OUT, "query": QUERY_NAMES}
TEXT = "the cat sat on the mat " * 2
NEIGHBORS = ["the cat sat " * 4, "on the mat " * 4]


def recipe(**changes) -> Recipe:
    plain = {"num_neighbors": 2, "evaluate_at": [0, 1, 2], "learning_rate": 1e-2}
    return Recipe.model_validate(plain | {"dropout": "none"} | changes)


def expected(kind: str, train: str, names: list[str]) -> list[str]:
    if train == "last_quarter":
        pattern = rf"(h|layers?|blocks)\.{LAST.get(kind, 1)}\."
    else:
        pattern = NAMES[train][kind]
    return [name for name in names if re.search(pattern, name)]


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """Of each kind of model one, made when it is asked for."""
    made: dict[str, tuple] = {}

    def get(kind: str):
        if kind not in made:
            made[kind] = load_causal(save_decoder(tmp_path_factory.mktemp(kind), kind))
        return made[kind]

    return get


@pytest.mark.parametrize("train", ["mlp_out", "last_quarter", "query"])
@pytest.mark.parametrize("kind", DECODERS)
def test_a_step_moves_what_is_trained_and_nothing_else(kind, train, families):
    model, tokenizer = families(kind)
    before = copy.deepcopy(model.state_dict())
    asked = recipe(train=train)
    running = engine.adapt(model, tokenizer, [Query("a", TEXT, NEIGHBORS)], asked, 64)
    if kind not in NAMES.get(train, DECODERS):
        named = f"train: {train}: block 0 of {model.config.model_type} must have one such layer"
        with pytest.raises(PartError, match=named):
            next(running)
    else:
        wanted = expected(kind, train, [name for name, _ in model.named_parameters()])
        seen: list[dict[str, torch.Tensor]] = []
        forward = type(model).forward

        def noting(self, *arguments, **options):
            seen.append({name: p.detach().clone() for name, p in self.named_parameters()})
            return forward(self, *arguments, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(model), "forward", noting)
            next(running)
        moved = [name for name, value in seen[-1].items() if not torch.equal(value, before[name])]
        assert sorted(moved) == sorted(wanted)
        assert moved
        running.close()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("train", "names"),
    [
        ("mlp_out", ["transformer.h.0.mlp.c_proj", "transformer.h.1.mlp.c_proj"]),
        ("last_quarter", ["transformer.h.1"]),
    ],
)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "sgd", "weight_decay": 0},
        {"optimizer": "sgd", "momentum": 0.9, "clip_norm": None},
        {"optimizer": "sgd", "momentum": 0.5, "weight_decay": 0.1, "clip_norm": 0.3},
    ],
    ids=str,
)
def test_steps_by_hand(train, names, changes, tmp_path_factory, families):
    model, tokenizer = families("gpt2")
    asked = recipe(train=train, **changes)
    (found,) = engine.adapt(model, tokenizer, [Query("a", TEXT, NEIGHBORS)], asked, 64)
    other = copy.deepcopy(model).eval()
    trained = [p for name in names for p in other.get_submodule(name).parameters()]
    velocity = [torch.zeros_like(p) for p in trained]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.01)
    for text in NEIGHBORS:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        gradients = torch.autograd.grad(other(input_ids=ids, labels=ids).loss, trained)
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        scale = min(1.0, (asked.clip_norm or 1e9) / norm.item())
        with torch.no_grad():
            for p, gradient, speed in zip(trained, gradients, velocity, strict=True):
                p.grad = gradient * scale
                if asked.optimizer == "sgd":
                    speed.mul_(asked.momentum).add_(p.grad + asked.weight_decay * p)
                    p.sub_(asked.learning_rate * speed)
        if asked.optimizer == "adamw":
            optimizer.step()
    windows = rolling_windows(tokenizer(TEXT)["input_ids"], prefix_token(tokenizer), 64)
    by_hand = log_likelihood(other, windows)
    assert found.measurements[2].loglikelihood == pytest.approx(by_hand, rel=1e-6)
    assert found.measurements[2].loglikelihood != found.measurements[0].loglikelihood


RECIPES = [
    {"train": "mlp_out"},
    {"train": "last_quarter", "precision": "bfloat16"},
    {"train": "last_quarter", "accumulate": True},
    {"train": "mlp_out", "step": "batch", "clip_norm": 0.01},
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.9, "clip_norm": 0.01},
    {"optimizer": "sgd", "momentum": 0.9, "precision": "bfloat16", "train": "mlp_out"},
]


@pytest.mark.parametrize("changes", RECIPES, ids=str)
@pytest.mark.parametrize("kind", CAUSAL)
def test_engines_train_the_same_and_leave_no_trace(kind, changes, tmp_path):
    model, tokenizer = load_causal(save_causal(tmp_path, kind))
    before = copy.deepcopy(model.state_dict())
    asked = recipe(**{"learning_rate": 1e-3} | changes)
    queries = [Query(name, TEXT, NEIGHBORS) for name in "ab"]
    close = 2e-3 if asked.precision == "bfloat16" else 1e-6
    theirs = list(engine.adapt(model, tokenizer, queries, asked, 64))
    for module in (lean, graphs) if graphs.fits(model, asked, "cuda") is None else (lean,):
        ours = list(module.adapt(model, tokenizer, queries, asked, 64))
        for mine, other in zip(ours, theirs, strict=True):
            for one, two in zip(mine.measurements, other.measurements, strict=True):
                assert one.loglikelihood == pytest.approx(two.loglikelihood, rel=close)
        assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
        assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_captured_steps_are_of_adamw(families):
    model, _ = families("gpt2")
    assert "steps are captured of adamw" in graphs.fits(model, recipe(optimizer="sgd"), "cuda")
    assert graphs.fits(model, recipe(train="mlp_out"), "cuda") is None


def test_adapters_are_asked_for_as_before_and_by_name(families):
    lora = {"rank": 2}
    assert recipe(lora=lora).train == "lora"
    assert recipe(lora=lora, train="all").train == "lora"  # inherited from a method of all weights
    assert recipe(lora=lora) == recipe(lora=lora, train="lora")
    assert recipe().train == "all"
    with pytest.raises(ValidationError, match="say which in the section lora"):
        recipe(train="lora")
    with pytest.raises(ValidationError, match="set train: lora, or lora: null"):
        recipe(train="mlp_out", lora=lora)
    model, _ = families("gpt2")
    undo = only_trained(model, recipe(lora=Lora(rank=2)))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    undo()
    assert all(p.requires_grad for p in model.parameters())


def test_momentum_is_of_sgd():
    with pytest.raises(ValidationError, match="momentum is of sgd"):
        recipe(momentum=0.9)


def test_copies_of_the_weights_are_of_those_that_are_trained():
    """Weights, gradients, what puts them back, and moments; what is held; copies in half."""
    assert passes(recipe()).copies == 5
    assert passes(recipe(precision="bfloat16")).copies == 7
    assert passes(recipe(train="mlp_out")).copies == pytest.approx(1 + 4 / 3)
    assert passes(recipe(optimizer="sgd")).copies == 3
    assert passes(recipe(optimizer="sgd", momentum=0.5)).copies == 4
    assert passes(recipe(reuse=2)).copies == 7
    assert passes(recipe(lora={})).copies == 1
    assert passes(recipe(lora={}, precision="bfloat16")).copies == 1.5
