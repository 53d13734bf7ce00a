"""Engines of test-time training: each gives what the reference loop gives."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModelForCausalLM

from families import save_decoder
from tiny import CAUSAL, save_causal
from tttnn.methods import engines
from tttnn.methods.in_context.settings import InContext
from tttnn.methods.measure import Query
from tttnn.methods.ttt import engine as reference
from tttnn.methods.ttt.engines import graphs, lean
from tttnn.methods.ttt.engines.objective import Objective
from tttnn.methods.ttt.engines.swaps import swapped
from tttnn.methods.ttt.settings import Lora, Recipe
from tttnn.models.folder import load_causal
from tttnn.provenance import reached

RECIPE = Recipe(num_neighbors=3, evaluate_at=[0, 1, 3], learning_rate=1e-3)
QUERIES = [
    Query("a", "the cat sat on the mat " * 6, ["the cat sat " * 8, "on the mat " * 12, "a dog"]),
    Query("b", "eins zwei drei " * 4, ["eins zwei " * 3, "drei vier " * 20, "eins"]),
    Query("c", "x", ["x" * 65, "yy", "z"]),  # windows of one token among them
    Query("d", "few", ["one text"], stopped=True),
    Query("e", "none", [], stopped=True),
]
HALVES = [
    Query("a", "the cat sat on the mat " * 6, QUERIES[0].neighbors, context="first half " * 9),
    Query("b", "eins", QUERIES[1].neighbors, context="x"),
]
RECIPES = {
    "plain": {},
    "unclipped": {"clip_norm": None},
    "clipped hard": {"clip_norm": 0.01},
    "no dropout": {"dropout": "none"},
    "lora": {"lora": Lora(rank=4)},
    "prefix": {"prefix": True},
    "a step a neighbour": {"step": "neighbor"},
    "a step of all": {"step": "batch"},
    "accumulated": {"accumulate": True},
    "decay": {"weight_decay": 0.5, "betas": (0.5, 0.9), "epsilon": 1e-4},
}
CLOSE = 1e-6
LOW = 2e-3
"""How far engines may be from the reference loop, relatively: in float32, and in bfloat16, where
products are rounded in another order."""


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return {kind: load_causal(save_causal(tmp_path_factory.mktemp(kind), kind)) for kind in CAUSAL}


def recipe(**changes) -> Recipe:
    return Recipe.model_validate(RECIPE.model_dump() | changes)


def measured(module, network, queries, asked: Recipe) -> dict:
    return {found.query.id: found for found in module.adapt(*network, queries, asked, 64)}


def check_same(found: dict, expected: dict, close: float = CLOSE) -> None:
    """The same rows but for seconds, and for rounding."""
    assert list(found) == list(expected)
    for name, result in expected.items():
        ours = found[name]
        assert ours.size == result.size
        for mine, theirs in zip(ours.measurements, result.measurements, strict=True):
            assert mine.num_neighbors == theirs.num_neighbors
            assert (mine.steps, mine.train_tokens) == (theirs.steps, theirs.train_tokens)
            assert mine.loglikelihood == pytest.approx(theirs.loglikelihood, rel=close)
            assert mine.train_loss == pytest.approx(theirs.train_loss, rel=close, nan_ok=True)


def check_whole(network, before: dict) -> None:
    after = network[0].state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(p.requires_grad and p.grad is None for p in network[0].parameters())
    assert not network[0].training


@pytest.mark.parametrize("changes", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("kind", CAUSAL)
def test_lean_is_the_reference_loop(kind, changes, networks):
    network, asked = networks[kind], recipe(**changes)
    before = copy.deepcopy(network[0].state_dict())
    expected = measured(reference, network, QUERIES, asked)
    check_same(measured(lean, network, QUERIES, asked), expected)
    check_whole(network, before)


@pytest.mark.parametrize("train_on", ["query", "query_then_neighbors"])
def test_lean_trains_on_the_first_half(train_on, networks):
    asked = recipe(text="split", train_on=train_on)
    expected = measured(reference, networks["gpt2"], HALVES, asked)
    check_same(measured(lean, networks["gpt2"], HALVES, asked), expected)


@pytest.mark.parametrize("kind", CAUSAL)
def test_padding_is_seen_by_no_loss(kind, networks):
    """Uncaptured on a CPU, graphs do the padded work that they do on a GPU."""
    network = networks[kind]
    for changes in ({"dropout": "none"}, {"dropout": "none", "lora": Lora(rank=4)}):
        asked = recipe(**changes)
        before = copy.deepcopy(network[0].state_dict())
        expected = measured(reference, network, QUERIES, asked)
        check_same(measured(graphs, network, QUERIES, asked), expected)
        check_whole(network, before)


def test_texts_are_padded_to_few_lengths(networks, monkeypatch):
    seen = set()
    loss = Objective.loss

    def spied(self, inputs, targets, scale):
        seen.add(inputs.shape[1])
        return loss(self, inputs, targets, scale)

    monkeypatch.setattr(graphs, "LENGTHS", (16, 32))
    network = networks["gpt2"]
    expected = measured(reference, network, QUERIES, recipe(dropout="none"))
    monkeypatch.setattr(Objective, "loss", spied)
    check_same(measured(graphs, network, QUERIES, recipe(dropout="none")), expected)
    assert seen - {8} == {16, 32, 64}  # 8: the trial of the head


def test_where_a_capture_fails_the_work_goes_on(networks, monkeypatch, capsys):
    def fails(self, *_):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(graphs.Graphs, "_captured", fails)
    asked = recipe()
    expected = measured(reference, networks["gpt2"], QUERIES, asked)
    check_same(measured(graphs, networks["gpt2"], QUERIES, asked), expected)
    said = capsys.readouterr().err
    assert said.count("could be captured (operation not permitted") == 1


# --- bfloat16 ----------------------------------------------------------------------------------


def test_bfloat16_by_hand(networks):
    """A step of float32 weights along their copy's gradient; they are evaluated themselves."""
    model, tokenizer = copy.deepcopy(networks["gpt2"][0]), networks["gpt2"][1]
    text, neighbor = "hello there", "hello you"
    asked = recipe(
        num_neighbors=1, evaluate_at=[0, 1], dropout="none", precision="bfloat16", clip_norm=None
    )
    (result,) = reference.adapt(model, tokenizer, [Query(0, text, [neighbor])], asked, 64)

    low = copy.deepcopy(model).to(torch.bfloat16)
    ids = torch.tensor([tokenizer(neighbor)["input_ids"]])
    low(input_ids=ids, labels=ids).loss.backward()
    with torch.no_grad():
        for own, mine in zip(model.parameters(), low.parameters(), strict=True):
            gradient = mine.grad.float()
            own.mul_(1 - 1e-3 * 0.01).sub_(1e-3 * gradient / (gradient.abs() + 1e-8))
        tokens = tokenizer(text)["input_ids"]
        logits = model(torch.tensor([[0, *tokens[:-1]]])).logits[0]
        expected = torch.log_softmax(logits, -1).gather(1, torch.tensor(tokens)[:, None]).sum()
    assert result.measurements[1].loglikelihood == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("module", [lean, graphs])
@pytest.mark.parametrize("kind", CAUSAL)
def test_bfloat16_is_the_reference_loops(kind, module, networks):
    network = networks[kind]
    before = copy.deepcopy(network[0].state_dict())
    for changes in ({"dropout": "none"}, {"dropout": "none", "lora": Lora(rank=4)}):
        asked = recipe(precision="bfloat16", **changes)
        expected = measured(reference, network, QUERIES, asked)
        check_same(measured(module, network, QUERIES, asked), expected, LOW)
        check_whole(network, before)
    full = measured(reference, network, QUERIES, recipe(dropout="none"))
    low = measured(reference, network, QUERIES, recipe(dropout="none", precision="bfloat16"))
    assert full["a"].measurements[2].loglikelihood != low["a"].measurements[2].loglikelihood
    check_same(low, full, LOW)


def test_small_steps_are_not_lost_in_bfloat16(networks):
    """Steps far below what bfloat16 can add to a weight add up in the weights that are kept."""
    asked = recipe(
        num_neighbors=40, evaluate_at=[0, 40], learning_rate=2e-5, dropout="none", step="neighbor"
    )
    query = Query("a", "the cat sat", ["the cat sat"] * 40)
    full, low = (
        measured(lean, networks["llama"], [query], asked.model_copy(update={"precision": p}))["a"]
        for p in ("float32", "bfloat16")
    )
    gains = [m[1].loglikelihood - m[0].loglikelihood for m in (full.measurements, low.measurements)]
    assert gains[0] > 0.1
    assert gains[1] == pytest.approx(gains[0], rel=0.2)


# --- documents ---------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [lean, graphs])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_neither_order_nor_company_changes_a_result(precision, module, networks):
    asked = recipe(precision=precision)

    def likelihoods(queries):
        return {
            name: [m.loglikelihood for m in found.measurements]
            for name, found in measured(module, networks["gpt2"], queries, asked).items()
        }

    together = likelihoods(QUERIES)
    assert likelihoods(QUERIES[::-1]) == together
    assert likelihoods([QUERIES[1]]) == {"b": together["b"]}


@pytest.mark.parametrize("module", [lean, graphs])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_come_back_when_the_caller_stops_or_a_step_fails(precision, module, networks):
    network, asked = networks["gpt_neo"], recipe(precision=precision)
    before = copy.deepcopy(network[0].state_dict())
    running = module.adapt(*network, QUERIES, asked, 64)
    next(running)
    running.close()
    check_whole(network, before)
    broken = Query("d", "text", ["fine", None, "fine"])
    with pytest.raises(Exception, match=r".+"):
        list(module.adapt(*network, [QUERIES[0], broken], asked, 64))
    check_whole(network, before)
    with pytest.raises(ValueError, match="no learning_rate"):
        list(module.adapt(*network, QUERIES, recipe(learning_rate=None), 64))
    check_whole(network, before)


def test_too_few_neighbours_are_an_error_after_the_documents_before(networks):
    running = lean.adapt(*networks["gpt2"], [QUERIES[0], Query("a", "t", ["one"])], RECIPE, 64)
    assert next(running).query.id == "a"
    with pytest.raises(ValueError, match="query a has 1 neighbours"):
        next(running)


@pytest.mark.parametrize("module", [lean, graphs])
def test_training_that_diverges_ends_as_in_the_reference_loop(module, networks):
    asked = recipe(learning_rate=1e38, dropout="none")
    found = [
        [
            math.isfinite(m.loglikelihood)
            for m in measured(one, networks["gpt2"], QUERIES[:1], asked)["a"].measurements
        ]
        for one in (reference, module)
    ]
    assert found[0] == found[1] == [True, False, False]


# --- models ------------------------------------------------------------------------------------

OWN_HEAD = {"gemma2", "cohere", "granite"}  # which scale or cap their logits


@pytest.mark.parametrize("kind", ["gpt_neox", "qwen2", "gemma2", "cohere", "granite", "opt", "mpt"])
def test_other_families_too(kind, tmp_path):
    changes = {"logit_scale": 0.5} if kind == "cohere" else {}
    changes |= {"logits_scaling": 4.0} if kind == "granite" else {}
    network = load_causal_of(kind, tmp_path, **changes)
    assert (Objective(network[0]).why is not None) == (kind in OWN_HEAD)
    asked = recipe(num_neighbors=2, evaluate_at=[0, 2])
    queries = [Query("a", "the cat sat", ["the cat", "sat on the mat"])]
    check_same(
        measured(lean, network, queries, asked), measured(reference, network, queries, asked)
    )


def load_causal_of(kind, folder, **changes):
    save_decoder(folder, kind, **changes)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, load_causal(save_causal(folder / "other"))[1]


def test_a_loss_in_parts_is_the_whole(networks, monkeypatch):
    monkeypatch.setattr("tttnn.methods.ttt.engines.objective.ELEMENTS", 257 * 7)
    expected = measured(reference, networks["gpt_neo"], QUERIES, RECIPE)
    check_same(measured(lean, networks["gpt_neo"], QUERIES, RECIPE), expected)


class Copies(TorchFunctionMode):
    """Refuses what makes a tensor of numbers of the host: on a GPU it would be waited for."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        assert function not in (torch.tensor, torch.as_tensor)
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("kind", CAUSAL)
def test_no_step_looks_at_numbers_of_the_device(kind):
    """A device without numbers has none to look at; without the swaps these models try to."""
    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, vocab_size=257, **ids, **CAUSAL[kind])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config).train()
        tokens = torch.zeros(1, 32, dtype=torch.long)
        scale = torch.ones(())
    objective = Objective.__new__(Objective)
    objective._model, objective._head = model, model.get_output_embeddings()
    with pytest.raises(RuntimeError, match="meta tensors"):
        objective.loss(tokens, tokens, scale)
    with swapped(model), Copies():
        objective.loss(tokens, tokens, scale).backward()
        objective.log_likelihood(tokens, tokens[0], None)
    assert "forward" not in vars(model.get_output_embeddings())


# --- which engine ------------------------------------------------------------------------------


def test_lean_is_chosen_on_a_cpu_and_says_why(networks, capsys):
    model = networks["gpt2"][0]
    name, adapt = engines.choose("auto", model, RECIPE, "cpu")
    assert (name, adapt) == ("lean", lean.adapt)
    said = capsys.readouterr().err
    assert said == "engine: lean\n"


@pytest.mark.parametrize(
    ("wanted", "changes", "device", "chosen"),
    [
        ("auto", {}, "cuda", "graphs"),
        ("auto", {"step": "neighbor"}, "cuda", "lean"),
        ("auto", {"as_released": True}, "cuda", "reference"),
        ("lean", {}, "cuda", "lean"),
        ("graphs", {}, "cpu", "lean"),
        ("lean", {"as_released": True}, "cpu", "reference"),
        ("reference", {}, "cuda", "reference"),
    ],
)
def test_an_engine_that_does_not_fit_gives_way(wanted, changes, device, chosen, networks):
    model = networks["gpt2"][0]
    assert engines.choose(wanted, model, recipe(**changes), device)[0] == chosen


def test_an_unknown_engine_is_an_error(networks):
    with pytest.raises(ValueError, match=r"engine 'laen' is not known.*Did you mean 'lean'"):
        engines.choose("laen", networks["gpt2"][0], RECIPE, "cpu")


def test_a_kind_without_engines_has_its_reference(networks, capsys):
    name, _ = engines.choose("lean", networks["gpt2"][0], InContext(kind="in_context"), "cpu")
    assert (name, capsys.readouterr().err) == ("reference", "")


def test_engines_are_in_no_fingerprint():
    for module in ("tttnn.methods.evaluate", "tttnn.methods.ttt.engine"):
        assert not [name for name in reached(module) if "engines" in name]
