"""What `import tttnn` gives: the numbers of the stages, by a few calls."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import torch
import yaml

import tttnn
from documented import ROOT
from tiny import save_causal
from tttnn import library
from tttnn.methods.ttt.engine import adapt as reference
from tttnn.methods.ttt.engine import seed_of

TEXT = "the quick brown fox jumps over the lazy dog, again and again and again"
NEIGHBORS = ["the quick brown cat sleeps", "a lazy dog jumps over the fox", "again and again"]
RATE = 1e-2


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return tttnn.load_model(save_causal(tmp_path_factory.mktemp("model"), "llama"))


def _state(model):
    return [tensor.clone() for tensor in (*model.parameters(), *model.buffers())]


def _same(model, state) -> bool:
    return all(map(torch.equal, (*model.parameters(), *model.buffers()), state))


def test_the_package_gives_the_library_s_names_and_says_which_there_are():
    assert list(tttnn.__all__) == library.__all__ == sorted(library.__all__)
    assert set(tttnn.__all__) < set(dir(tttnn))
    with pytest.raises(AttributeError, match="it has Query, Recipe, adapt"):
        tttnn.adpat  # noqa: B018


def test_who_imports_the_package_alone_waits_for_no_library():
    code = (
        "import sys, tttnn; from tttnn import files; tttnn.__version__; dir(tttnn); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_likelihood_is_the_sum_of_each_token_s(loaded):
    model, tokenizer = loaded
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    window, total = 16, 0.0
    sequence = [tokenizer.eos_token_id, *ids]
    for place in range(1, len(sequence)):
        start = (place - 1) // window * window
        end = min(start + window, len(ids))
        first = 0 if start == 0 else end - window  # the last window has all the context that fits
        with torch.no_grad():
            logits = model(torch.tensor([sequence[first:place]])).logits[0, -1]
        total += torch.log_softmax(logits, -1)[sequence[place]].item()
    assert tttnn.log_likelihood(model, tokenizer, TEXT, window) == pytest.approx(total, abs=1e-3)
    bits = -total / math.log(2) / len(TEXT.encode())
    assert tttnn.bits_per_byte(model, tokenizer, TEXT, window) == pytest.approx(bits, abs=1e-5)


def test_adapting_gives_the_reference_s_curve_and_puts_the_weights_back(loaded):
    model, tokenizer = loaded
    before = _state(model)
    how = tttnn.recipe_for(3, learning_rate=RATE, evaluate_at=[0, 2, 3])
    curve = tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS, how)
    (expected,) = reference(model, tokenizer, [tttnn.Query(0, TEXT, NEIGHBORS)], how, 64)
    assert list(curve["num_neighbors"]) == [0, 2, 3]
    given = [m.loglikelihood for m in expected.measurements]
    assert list(curve["log_likelihood"]) == pytest.approx(given, rel=1e-5)
    assert curve["bits_per_byte"].iloc[0] == pytest.approx(
        tttnn.bits_per_byte(model, tokenizer, TEXT), rel=1e-5
    )
    assert _same(model, before)


@pytest.mark.parametrize(
    "settings",
    [{}, {"precision": "bfloat16"}, {"lora": {"rank": 4, "alpha": 8}}, {"step": "neighbor"}],
    ids=str,
)
def test_the_adapted_model_is_the_one_that_was_measured(loaded, settings):
    model, tokenizer = loaded
    before, shape = _state(model), str(model)
    how = tttnn.recipe_for(3, learning_rate=RATE, evaluate_at=[0, 3], **settings)
    curve = tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS, how)
    with tttnn.adapted(model, tokenizer, NEIGHBORS, how) as now:
        assert now is model
        found = tttnn.log_likelihood(model, tokenizer, TEXT)
    assert found == pytest.approx(curve["log_likelihood"].iloc[-1], rel=1e-4)
    assert abs(found - curve["log_likelihood"].iloc[0]) > 1
    assert _same(model, before) and str(model) == shape
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_weights_are_put_back_whatever_happens_within(loaded):
    model, tokenizer = loaded
    before = _state(model)
    with pytest.raises(KeyboardInterrupt), tttnn.adapted(model, tokenizer, NEIGHBORS):
        assert not _same(model, before)
        raise KeyboardInterrupt
    assert _same(model, before)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_caller_s_mode_and_random_numbers_do_not_matter_and_go_on(loaded, mode):
    model, tokenizer = loaded
    how = tttnn.recipe_for(3, learning_rate=RATE, evaluate_at=[0, 3])
    expected = tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS, how)["bits_per_byte"].iloc[-1]
    torch.manual_seed(5)
    drawn = torch.rand(2)
    torch.manual_seed(5)
    model.train()
    with mode():
        found = tttnn.adapt(model, tokenizer, TEXT, iter(NEIGHBORS), how)["bits_per_byte"].iloc[-1]
        with tttnn.adapted(model, tokenizer, NEIGHBORS, how):
            within = tttnn.bits_per_byte(model, tokenizer, TEXT)
    assert found == expected and within == pytest.approx(expected, rel=1e-4)
    assert torch.rand(2).equal(drawn) and model.training
    model.eval()


def _within(model, tokenizer, how) -> None:
    with tttnn.adapted(model, tokenizer, NEIGHBORS, how) as now:
        now(input_ids=torch.tensor([[1, 2]]), labels=torch.tensor([[1, 2]])).loss.backward()


@pytest.mark.parametrize(
    "call",
    [
        lambda model, tokenizer, how: tttnn.bits_per_byte(model, tokenizer, TEXT),
        lambda model, tokenizer, how: tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS, how),
        _within,
    ],
    ids=["bits_per_byte", "adapt", "adapted"],
)
@pytest.mark.parametrize(
    "settings",
    [{}, {"precision": "bfloat16"}, {"lora": {"rank": 2}}, {"train": "last_quarter"}],
    ids=str,
)
def test_modes_and_gradients_are_as_they_were_found(loaded, call, settings):
    model, tokenizer = loaded
    model.train()
    model.zero_grad()
    model.model.layers[1].eval()  # as who freezes a part of a model has it
    modes = {name: module.training for name, module in model.named_modules()}
    first, *rest = model.parameters()
    first.grad = torch.full_like(first, 3.0)
    try:
        call(model, tokenizer, tttnn.recipe_for(3, RATE, **settings))
        assert {name: module.training for name, module in model.named_modules()} == modes
        assert first.grad is not None and (first.grad == 3.0).all()
        assert all(parameter.grad is None for parameter in rest)
    finally:
        first.grad = None
        model.eval()


def test_gradients_that_were_there_are_not_trained_on(loaded):
    model, tokenizer = loaded
    how = tttnn.recipe_for(3, RATE)
    expected = tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS, how)["log_likelihood"]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    try:
        assert tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS, how)["log_likelihood"].equals(
            expected
        )
    finally:
        model.zero_grad()


def test_a_text_is_measured_without_dropout(tmp_path):
    model, tokenizer = tttnn.load_model(save_causal(tmp_path, "gpt2"))
    expected = tttnn.bits_per_byte(model, tokenizer, TEXT)
    model.train()
    assert tttnn.bits_per_byte(model, tokenizer, TEXT) == expected
    with torch.no_grad():
        ids = torch.tensor([tokenizer(TEXT[:40])["input_ids"]])
        assert not model(ids).logits.equal(model(ids).logits)  # what is left to the caller


@pytest.mark.parametrize(
    "settings", [{}, {"precision": "bfloat16"}, {"lora": {"rank": 2}}], ids=str
)
def test_training_that_diverges_is_said_and_put_back(loaded, settings):
    model, tokenizer = loaded
    before = _state(model)
    how = tttnn.recipe_for(3, 1e38, **settings)
    with pytest.raises(ValueError, match=r"after [123] neighbours is nan: lower the learning rate"):
        tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS, how)
    assert _same(model, before)
    with pytest.raises(
        ValueError, match=r"after 3 neighbours weights .* not finite: lower the lear"
    ):
        _within(model, tokenizer, how)
    assert _same(model, before) and not model.training


def test_a_model_that_is_broken_is_said(loaded):
    model, tokenizer = loaded
    weight = model.model.norm.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight[0] = math.nan
    try:
        with pytest.raises(
            ValueError, match=r"likelihood of the text is NaN: lower the .* else load it"
        ):
            tttnn.bits_per_byte(model, tokenizer, TEXT)
    finally:
        with torch.no_grad():
            weight.copy_(kept)


def test_models_are_adapted_within_one_another(loaded, tmp_path):
    model, tokenizer = loaded
    other, its = tttnn.load_model(save_causal(tmp_path / "other"))
    before, of_other = _state(model), _state(other)
    alone = tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS)["bits_per_byte"].iloc[-1]
    with tttnn.adapted(model, tokenizer, NEIGHBORS), tttnn.adapted(other, its, NEIGHBORS[:1]):
        outer = _state(model)
        with tttnn.adapted(model, tokenizer, NEIGHBORS):
            assert not _same(model, outer)
        assert _same(model, outer) and not _same(other, of_other)
        assert tttnn.bits_per_byte(model, tokenizer, TEXT) == pytest.approx(alone, rel=1e-4)
    assert _same(model, before) and _same(other, of_other)
    how = tttnn.recipe_for(3, lora={"rank": 2})
    with tttnn.adapted(model, tokenizer, NEIGHBORS, how):
        shape = str(model)
        with pytest.raises(ValueError, match="has adapters already"):
            tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS, how)
        assert str(model) == shape


def test_weights_that_take_no_gradient_stay(loaded):
    model, tokenizer = loaded
    before = _state(model)
    model.requires_grad_(False)
    try:
        with (
            pytest.raises(ValueError, match="no weight of the model takes gradients"),
            tttnn.adapted(model, tokenizer, NEIGHBORS),
        ):
            pass
        with tttnn.adapted(model, tokenizer, NEIGHBORS, tttnn.recipe_for(3, lora={"rank": 2})):
            pass
        last = list(model.parameters())[-1].requires_grad_()
        with tttnn.adapted(model, tokenizer, NEIGHBORS):
            moved = [not torch.equal(*pair) for pair in zip(_state(model), before, strict=True)]
            assert sum(moved) == 1
        assert [p for p in model.parameters() if p.requires_grad] == [last]
    finally:
        model.requires_grad_()
    assert _same(model, before)


@pytest.mark.parametrize(
    ("neighbors", "settings", "message"),
    [
        ("a text", None, r"of type str: give a list of texts"),
        (pd.DataFrame({"rank": [0], "text": ["a"]}), None, "of type DataFrame: give a list"),
        (None, None, "of type NoneType"),
        (["a text", None], None, "neighbour 1 is of type NoneType"),
        (["\ud800"], None, "neighbour 0 has a lone surrogate"),
        (NEIGHBORS, {"num_neighbors": 4}, "has 3 neighbours, but the method uses 4"),
        (NEIGHBORS, {"num_neighbors": 3, "text": "split"}, "text: split of a recipe is for"),
        (NEIGHBORS, {"num_neighbors": 3, "max_overlap": 0.5}, "max_overlap of a recipe is for"),
    ],
)
def test_what_cannot_be_trained_on_is_said_and_not_trained_on(loaded, neighbors, settings, message):
    how = None if settings is None else tttnn.recipe_for(**settings)
    with pytest.raises(ValueError, match=message):
        tttnn.adapt(*loaded, TEXT, neighbors, how)
    with pytest.raises(ValueError, match=message), tttnn.adapted(*loaded, neighbors, how):
        pass


def test_what_is_no_recipe_text_or_device_is_said(loaded, tmp_path):
    with pytest.raises(ValueError, match="recipe is of type dict: give recipe_for"):
        tttnn.adapt(*loaded, TEXT, NEIGHBORS, {"learning_rate": RATE})
    with pytest.raises(ValueError, match="the text is of type NoneType"):
        tttnn.bits_per_byte(*loaded, None)
    with pytest.raises(ValueError, match="no token"):
        tttnn.adapt(*loaded, "", NEIGHBORS)
    with pytest.raises(ValueError, match="as_released"):
        how = tttnn.recipe_for(3, as_released=True)
        tttnn.adapted(*loaded, NEIGHBORS, how).__enter__()
    with pytest.raises(ValueError, match="device 'cud' cannot be used"):
        tttnn.load_model(tmp_path, "cud")
    with pytest.raises(ValueError, match="the text is empty"):
        tttnn.search(" ", "demo")
    with pytest.raises(ValueError, match=r"there is no folder .*mine: give the name of a run"):
        tttnn.search("a text", tmp_path / "mine")


def test_dropout_is_drawn_as_for_a_document_of_that_id(loaded):
    how = tttnn.recipe_for(1)
    assert seed_of(how, tttnn.Query(0, "", [])) == seed_of(how, tttnn.Query(0, TEXT, NEIGHBORS))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"evaluate_at": [0, 9]}, "evaluate_at asks for 9 neighbours"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0: give a number above 0"),
        ({"evaluate_at": 2}, "evaluate_at: Input should be a valid list"),
        ({"learning": 1}, "unknown key 'learning'. Did you mean 'learning_rate'"),
    ],
)
def test_a_setting_that_does_not_fit_is_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as fault:
        tttnn.recipe_for(3, **settings)
    assert "\n" not in str(fault.value)


def test_a_text_without_tokens_has_no_likelihood(loaded):
    with pytest.raises(ValueError, match="no token"):
        tttnn.bits_per_byte(*loaded, "")


def test_tables_are_read_by_name(tmp_path, monkeypatch):
    folder = tmp_path / "results/mine/tables"
    folder.mkdir(parents=True)
    frame = pd.DataFrame({"task": ["pile_arxiv"], "value": [1.5]})
    frame.to_csv(folder / "scores.csv", index=False)
    frame.to_parquet(folder / "documents.parquet")
    monkeypatch.chdir(tmp_path)
    for run in ("mine", tmp_path / "results/mine"):
        found = tttnn.read_tables(run)
        assert set(found) == {"scores", "documents"} and found["scores"].equals(frame)
    with pytest.raises(ValueError, match="no folder results/yours"):
        tttnn.read_tables("yours")
    (tmp_path / "results/empty").mkdir()
    with pytest.raises(ValueError, match="holds no tables"):
        tttnn.read_tables("empty")


def test_the_page_has_the_learning_rates_of_the_demo_s_models():
    page = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    models = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["models"]
    said = re.findall(r"([\d.]+e-3) \(`(\w+)`\)", page)
    rates = {name: float(rate) for rate, name in said}
    assert rates == {name: float(models[name]["adapt_learning_rate"]) for name in rates}
    assert set(rates) == {"small", "large", "neo"}
    assert f"learning_rate={said[0][0]}" in page  # of the example, whose model is `small`


def test_a_record_s_tables_are_read_by_name_and_compared_with_their_digests(tmp_path):
    recorded = ROOT / "docs/records/demo"
    found = tttnn.read_tables(recorded)
    assert set(found) == {path.stem for path in recorded.glob("*.parquet")} >= {"scores"}
    assert found["scores"].equals(pd.read_parquet(recorded / "scores.parquet"))
    broken = tmp_path / "demo"
    shutil.copytree(recorded, broken)
    shutil.copy(broken / "costs.parquet", broken / "scores.parquet")
    with pytest.raises(ValueError, match=r"scores\.parquet"):
        tttnn.read_tables(broken)
