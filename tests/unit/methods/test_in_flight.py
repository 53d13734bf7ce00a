"""Engines with many documents in flight: each document comes out as one by one."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from types import ModuleType

import pytest
import torch

from families import save_decoder
from tiny import CAUSAL, save_causal
from tttnn.methods.measure import Adapted, Query
from tttnn.methods.ttt.engine import adapt as reference
from tttnn.methods.ttt.engines import adapters, batches, captured, flight, weights
from tttnn.methods.ttt.engines.room import AT_MOST, documents_by_memory
from tttnn.methods.ttt.engines.stacked_adamw import Stack
from tttnn.methods.ttt.settings import Lora, Recipe
from tttnn.models.folder import load_causal

ENGINES = {"adapters": adapters, "weights": weights}
WINDOW = 32
# of different lengths, numbers of windows and of steps; one stops early, one trains on nothing
QUERIES = [
    Query("a", "the cat sat on the mat " * 3, ["the cat sat " * 8, "on the mat " * 12, "a dog"]),
    Query("b", "eins zwei drei " * 5, ["eins zwei " * 3, "drei vier " * 20, "eins"]),
    Query("c", "x", ["x" * 33, "y", "zz"]),  # a window and one token over; a single token
    Query("d", "hier und da " * 4, ["hier", "da" * 40], stopped=True),
    Query("e", "nothing at all", [], stopped=True),
]


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return {kind: load_causal(save_causal(tmp_path_factory.mktemp(kind), kind)) for kind in CAUSAL}


@pytest.fixture(scope="module")
def llama(networks):
    return networks["llama"]


def recipe_for(name: str, **changes: object) -> Recipe:
    lora = Lora(rank=4, alpha=8.0) if name == "adapters" else None
    settings = {"num_neighbors": 3, "evaluate_at": [0, 1, 3], "learning_rate": 1e-2}
    return Recipe(**settings | {"dropout": "none", "lora": lora} | changes)


def in_flight(
    engine: ModuleType, network, queries: Sequence[Query], recipe: Recipe, documents: int
) -> list[Adapted]:
    return list(engine.adapt(*network, queries, recipe, WINDOW, documents))


def check_equal(found: Sequence[Adapted], expected: Sequence[Adapted], rel: float = 1e-5) -> None:
    assert [result.query.id for result in found] == [result.query.id for result in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.size == theirs.size
        for one, other in zip(ours.measurements, theirs.measurements, strict=True):
            assert one.num_neighbors == other.num_neighbors
            assert one.loglikelihood == pytest.approx(other.loglikelihood, rel=rel, nan_ok=True)
            assert one.train_loss == pytest.approx(other.train_loss, rel=rel, nan_ok=True)
            assert (one.steps, one.train_tokens) == (other.steps, other.train_tokens)


def likelihoods(results: Sequence[Adapted]) -> dict[object, list[float]]:
    return {r.query.id: [m.loglikelihood for m in r.measurements] for r in results}


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("name", ENGINES)
def test_documents_in_flight_come_out_as_the_reference_has_them(name, kind, networks):
    recipe = recipe_for(name)
    expected = list(reference(*networks[kind], QUERIES, recipe, WINDOW))
    moved = [abs(r.measurements[-1].loglikelihood / r.measurements[0].loglikelihood - 1)
             for r in expected[:4]]  # fmt: skip
    assert sorted(moved)[1] > 1e-3  # of which the tolerance is a hundredth
    for documents in (1, 3, 8):
        check_equal(in_flight(ENGINES[name], networks[kind], QUERIES, recipe, documents), expected)


@pytest.mark.parametrize("kind", sorted(adapters.ARCHITECTURES - set(CAUSAL)))
def test_adapters_of_every_architecture_that_is_named(kind, tmp_path):
    network = load_causal(save_decoder(tmp_path, kind))
    recipe = recipe_for("adapters", num_neighbors=1, evaluate_at=[0, 1])
    expected = list(reference(*network, QUERIES[:2], recipe, WINDOW))
    check_equal(in_flight(adapters, network, QUERIES[:2], recipe, 2), expected)


@pytest.mark.parametrize("kind", sorted(weights.ARCHITECTURES - set(CAUSAL)))
def test_weights_of_every_architecture_that_is_named(kind, tmp_path):
    network = load_causal(save_decoder(tmp_path, kind))
    recipe = recipe_for("weights", num_neighbors=1, evaluate_at=[0, 1])
    expected = list(reference(*network, QUERIES[:2], recipe, WINDOW))
    check_equal(in_flight(weights, network, QUERIES[:2], recipe, 2), expected)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    "changes",
    [
        {"step": "neighbor"},
        {"step": "batch"},
        {"clip_norm": None},
        {"clip_norm": 1e-3},
        {"prefix": True},
        {"weight_decay": 0.9, "betas": (0.5, 0.6), "epsilon": 1e-3},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_under_every_recipe(name, changes, llama):
    recipe = recipe_for(name, **changes)
    expected = list(reference(*llama, QUERIES, recipe, WINDOW))
    check_equal(in_flight(ENGINES[name], llama, QUERIES, recipe, 3), expected)
    plain = likelihoods(reference(*llama, QUERIES[:1], recipe_for(name), WINDOW))
    assert plain["a"] != pytest.approx(likelihoods(expected)["a"], rel=1e-5)  # it matters


@pytest.mark.parametrize("name", ENGINES)
def test_passes_of_few_tokens_come_to_the_same(name, llama, monkeypatch):
    recipe = recipe_for(name, step="neighbor")
    expected = in_flight(ENGINES[name], llama, QUERIES, recipe, 8)
    monkeypatch.setitem(batches.BATCH_TOKENS, "cpu", WINDOW)  # a row or two at a time
    check_equal(in_flight(ENGINES[name], llama, QUERIES, recipe, 8), expected)


@pytest.mark.parametrize("targets", [["q_proj", "down_proj"], ["q_proj", "lm_head"]])
def test_adapters_beside_named_layers(targets, llama):
    recipe = recipe_for("adapters", lora=Lora(rank=2, targets=targets))
    expected = list(reference(*llama, QUERIES, recipe, WINDOW))
    check_equal(in_flight(adapters, llama, QUERIES, recipe, 3), expected)


@pytest.mark.parametrize("name", ENGINES)
def test_neither_order_nor_company_changes_a_result(name, llama):
    recipe = recipe_for(name)
    together = likelihoods(in_flight(ENGINES[name], llama, QUERIES, recipe, 3))
    backwards = in_flight(ENGINES[name], llama, QUERIES[::-1], recipe, 3)
    assert [result.query.id for result in backwards] == list("edcba")
    for one, values in likelihoods(backwards).items():
        assert values == pytest.approx(together[one], rel=1e-6)
    (alone,) = in_flight(ENGINES[name], llama, QUERIES[1:2], recipe, 8)
    assert likelihoods([alone])["b"] == pytest.approx(together["b"], rel=1e-6)


def test_a_diverged_document_does_not_poison_those_beside_it(llama):
    """All weights of one row are NaN before its first step, and so are its gradients after."""
    recipe = recipe_for("weights")
    expected = list(reference(*llama, QUERIES[:3], recipe, WINDOW))
    kept = Stack.reset

    def poisoned(stack: Stack) -> None:
        kept(stack)
        stack.values[1] = math.nan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stack, "reset", poisoned)
        found = in_flight(weights, llama, QUERIES[:3], recipe, 3)
    broken = [r for r in found if all(math.isnan(m.loglikelihood) for m in r.measurements)]
    assert len(broken) == 1
    whole = [i for i, result in enumerate(found) if result is not broken[0]]
    check_equal([found[i] for i in whole], [expected[i] for i in whole])


# --- the optimiser ---------------------------------------------------------------------------


def stack_of(shapes: Sequence[tuple[int, ...]], documents: int) -> Stack:
    torch.manual_seed(0)
    tensors = [torch.randn(shape) for shape in shapes]
    return Stack(tensors, [False] * len(shapes), documents, torch.float32)


def test_each_document_has_its_own_steps_norm_and_decay():
    """Documents take 5, 3 and 1 steps; each against `torch.optim.AdamW` of its own."""
    recipe = recipe_for("weights", weight_decay=0.3, clip_norm=0.5)
    stack = stack_of([(3, 2), (5,)], 3)
    draw = torch.Generator().manual_seed(1)
    gradients = torch.randn(3, 5, 11, generator=draw) * torch.tensor([0.01, 1, 100])[:, None, None]
    expected = []
    for steps, own in zip((5, 3, 1), gradients, strict=True):
        alone = [torch.nn.Parameter(stack.value(entry)[0].clone()) for entry in stack.entries]
        optimizer = torch.optim.AdamW(alone, lr=1e-2, weight_decay=0.3)
        for gradient in own[:steps]:
            alone[0].grad, alone[1].grad = gradient[:6].view(3, 2).clone(), gradient[6:].clone()
            torch.nn.utils.clip_grad_norm_(alone, 0.5)
            optimizer.step()
        expected.append(torch.cat([parameter.detach().flatten() for parameter in alone]))
    for step in range(5):
        count = sum(step < steps for steps in (5, 3, 1))
        stack.rows = slice(0, count)
        stack.begin(count, 1)
        stack.add(stack.entries[0], gradients[:count, step, :6].view(count, 3, 2))
        stack.add(stack.entries[1], gradients[:count, step, 6:])
        stack.step(count, recipe)
    stack.rows = slice(0, 3)
    assert stack.steps.tolist() == [5, 3, 1]
    found = torch.cat([stack.value(entry).flatten(1) for entry in stack.entries], 1)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-6, atol=1e-7)


def test_rows_change_places_with_all_that_is_theirs():
    stack = stack_of([(70,)], 5)
    for number, tensor in enumerate((stack.values, stack.means, stack.squares, stack.steps)):
        rows = torch.arange(5.0) + 10 * number
        tensor.copy_(rows if tensor.dim() == 1 else rows[:, None].expand_as(tensor))
    order = [3, 1, 4, 2, 0]
    stack.reorder(order)
    for number, tensor in enumerate((stack.values, stack.means, stack.squares, stack.steps)):
        first = tensor if tensor.dim() == 1 else tensor[:, 69]
        assert first.tolist() == [row + 10 * number for row in order]


# --- what is put back, and what is refused ---------------------------------------------------


def snapshot(model: torch.nn.Module) -> dict[str, object]:
    return {
        "modules": {name: id(module) for name, module in model.named_modules()},
        "weights": {name: (id(p), p.requires_grad) for name, p in model.named_parameters()},
        "attention": model.config._attn_implementation,
        "padding": model.config.pad_token_id,
    }


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("end", ["finishes", "is closed", "fails"])
def test_the_model_is_as_it_was_when_the_engine(end, name, networks):
    model, tokenizer = networks["gpt2"]
    before, state = snapshot(model), copy.deepcopy(model.state_dict())
    running = ENGINES[name].adapt(model, tokenizer, QUERIES, recipe_for(name), WINDOW, 2)
    if end == "finishes":
        list(running)
    elif end == "is closed":
        next(running)
        assert snapshot(model) != before
        running.close()
    else:
        broken = [QUERIES[0], Query("z", "text", ["fine", None, "fine"])]
        with pytest.raises(Exception, match=r".+"):
            list(ENGINES[name].adapt(model, tokenizer, broken, recipe_for(name), WINDOW, 2))
        running.close()
    assert snapshot(model) == before
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("adapters", {"dropout": "as_model"}, "dropout: as_model, and transformer.drop is above 0"),
        ("weights", {"dropout": "as_model"}, "set dropout: none"),
        ("weights", {"accumulate": True}, "accumulate: a document's result depends on those"),
        ("adapters", {"as_released": True}, "as_released: a document's result depends on those"),
        ("adapters", {"lora": None}, "lora: null"),
        ("adapters", {"lora": Lora(targets=["wte"])}, "wte is a Embedding, not a linear layer"),
        ("weights", {"lora": Lora()}, "this engine trains all weights"),
        ("weights", {"train": "mlp_out"}, "train: mlp_out, and this engine trains all weights"),
        ("adapters", {"reuse": 2}, "gradients are not reused with documents in flight"),
        ("weights", {"optimizer": "sgd"}, "documents in flight are trained with adamw"),
    ],
)
def test_what_an_engine_cannot_do_alike_is_refused(name, changes, reason, networks):
    model, tokenizer = networks["gpt2"]
    recipe = recipe_for(name, **changes)
    assert reason in ENGINES[name].fits(model, recipe, "cpu")
    with pytest.raises(ValueError, match=r"in flight: "):
        list(ENGINES[name].adapt(model, tokenizer, QUERIES, recipe, WINDOW))
    assert ENGINES[name].fits(model, recipe_for(name), "cpu") is None


def test_architectures_that_are_not_written_for_it_are_refused_by_name(tmp_path):
    model, _ = load_causal(save_decoder(tmp_path, "bloom"))
    assert "bloom is not among" in weights.fits(model, recipe_for("weights"), "cpu")
    assert "bloom is not among" in adapters.fits(model, recipe_for("adapters"), "cpu")


def test_a_recipe_without_a_rate_and_a_query_without_neighbours_are_errors(llama):
    with pytest.raises(ValueError, match="no learning_rate"):
        in_flight(weights, llama, QUERIES, recipe_for("weights", learning_rate=None), 2)
    with pytest.raises(ValueError, match="0 documents in flight"):
        in_flight(weights, llama, QUERIES, recipe_for("weights"), 0)
    short = [Query("f", "text", ["one"])]
    with pytest.raises(ValueError, match="query f has 1 neighbour"):
        in_flight(weights, llama, short, recipe_for("weights"), 2)


def test_as_many_documents_as_memory_holds(llama, monkeypatch):
    model, _ = llama
    room = "tttnn.methods.ttt.engines.room.free"
    monkeypatch.setattr(room, lambda device: 0)
    assert documents_by_memory(model, 1000) == 1
    assert "no two documents fit in 0.0 GB" in weights.fits(model, recipe_for("weights"), "cpu")
    monkeypatch.setattr(room, lambda device: 10**15)
    assert documents_by_memory(model, 1000) == AT_MOST["cpu"]


def test_seconds_are_shared_out_by_tokens(llama, monkeypatch):
    """A group takes one clock's second to train, one to evaluate; each document has its share."""
    readings = iter(range(100))
    monkeypatch.setattr(flight, "clock", lambda device: float(next(readings)))
    recipe = recipe_for("adapters", num_neighbors=1, evaluate_at=[0, 1])
    queries = [Query("a", "x" * 10, ["y" * 20]), Query("b", "x" * 30, ["y" * 5])]
    found = in_flight(adapters, llama, queries, recipe, 2)
    assert [r.measurements[1].train_seconds for r in found] == [20 / 25, 5 / 25]
    assert [r.measurements[1].evaluate_seconds for r in found] == [10 / 40, 30 / 40]


# --- precision, and graphs -------------------------------------------------------------------


@pytest.mark.parametrize("name", ENGINES)
def test_in_bfloat16_master_weights_and_evaluation_are_float32(name, llama, monkeypatch):
    """Steps too small for bfloat16's 8 bits add up, and are seen, and nothing stays behind."""
    model, _ = llama
    state = copy.deepcopy(model.state_dict())
    recipe = recipe_for(name, learning_rate=1e-4)
    whole = likelihoods(in_flight(ENGINES[name], llama, QUERIES, recipe, 3))
    lowered = recipe.model_copy(update={"precision": "bfloat16"})
    expected = list(reference(*llama, QUERIES, lowered, WINDOW))
    stacks, trained_in = [], set()
    kept, losses = Stack.__init__, flight.losses

    def noting(stack: Stack, *arguments: object) -> None:
        stacks.append(stack)
        kept(stack, *arguments)

    def told(network: torch.nn.Module, *batch: torch.Tensor) -> torch.Tensor:
        trained_in.add((torch.is_grad_enabled(), stacks[0].value(stacks[0].entries[0]).dtype))
        return losses(network, *batch)

    monkeypatch.setattr(Stack, "__init__", noting)
    monkeypatch.setattr(flight, "losses", told)
    found = in_flight(ENGINES[name], llama, QUERIES, lowered, 3)
    assert trained_in == {(True, torch.bfloat16), (False, torch.float32)}
    check_equal(found, expected, rel=2e-3)
    for one, other in zip(found, expected, strict=True):
        for ours, theirs in zip(one.measurements, other.measurements, strict=True):
            assert ours.loglikelihood == pytest.approx(theirs.loglikelihood, rel=1e-5)
    assert all(values[0] == whole[key][0] for key, values in likelihoods(found).items())
    (stack,) = stacks
    assert stack.computed.dtype == torch.bfloat16
    assert torch.equal(stack.computed, stack.values.bfloat16())
    assert not torch.equal(stack.values, stack.values.bfloat16().float())
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


def test_a_shape_that_comes_again_is_replayed_on_its_own_inputs(monkeypatch):
    """With a stand-in for CUDA's graphs: what is recorded is run again by `replay`."""
    recorded = []

    class Graph:
        def replay(self):
            count, inputs, targets, losses = self.step
            losses.copy_(inputs.sum(1) + targets.sum(1) * count)

    class Recording:
        def __init__(self, graph, pool):
            self.graph = graph

        def __enter__(self):
            recorded.append(self.graph)

        def __exit__(self, *error):
            return False

    def step(count, inputs, targets):
        losses = (inputs.sum(1) + targets.sum(1) * count).float()
        if recorded and not hasattr(recorded[-1], "step"):  # recording: nothing is computed
            losses.fill_(math.nan)
            recorded[-1].step = (count, inputs, targets, losses)
        return losses

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    taken = captured.Captured(step)
    draw = torch.Generator().manual_seed(0)
    found, expected = [], []
    for count, width in ((2, 3), (2, 3), (1, 3), (2, 4), (2, 3), (1, 3), (2, 4)):
        inputs = torch.randint(100, (count, width), generator=draw)
        targets = torch.randint(100, (count, width), generator=draw)
        found.append(taken(count, inputs, targets))
        expected.append((inputs.sum(1) + targets.sum(1) * count).tolist())
    assert [losses.tolist() for losses in found] == expected  # none written over by a later one
    assert len(recorded) == 3


def test_a_step_that_cannot_be_captured_is_run_as_it_is(monkeypatch, capsys):
    class Failing:
        def __init__(self, graph, pool):
            pass

        def __enter__(self):
            raise RuntimeError("operation not permitted\nwhen stream is capturing")

        def __exit__(self, *error):
            return False

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    monkeypatch.setattr(torch.cuda, "graph", Failing)
    step = captured.Captured(lambda count, inputs, targets: inputs.sum(1).float() * count)
    ones = torch.ones(2, 3, dtype=torch.long)
    assert [step(2, ones, ones).tolist() for _ in range(3)] == [[6.0, 6.0]] * 3
    said = capsys.readouterr().err
    assert said.count("not captured as CUDA graphs: operation not permitted") == 1
