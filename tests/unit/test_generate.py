"""`tttnn generate`: a prompt continued before and after training on what the run's index finds."""

from __future__ import annotations

import inspect
import os
import re
import warnings

import numpy as np
import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel

import tttnn
from live_run import write_run
from tiny import save_causal, save_encoder, write_manifest
from tttnn.command import main
from tttnn.files import sha256
from tttnn.generate import _base, continued, generate, write_adapter
from tttnn.live.query import query
from tttnn.methods.ttt.settings import Lora

D = 32
PROMPT = "passage 1"
VECTORS = np.random.default_rng(0).normal(size=(20, D)).astype(np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    embedder = save_encoder(root / "results/live/models/embedder")
    write_manifest(embedder)
    write_run(root, [[20]], VECTORS, embedder=sha256(embedder / "manifest.json"))
    save_causal(root / "model", "llama")
    return root


@pytest.fixture
def here(root, monkeypatch):
    monkeypatch.chdir(root)
    return root


def _generate(capsys, *words: str) -> str:
    main(["generate", PROMPT, "--run", "live", "--model", "model", "--tokens", "5", *words])
    return capsys.readouterr().out


def _greedy(model, tokenizer, prompt: str, count: int) -> str:
    """The likeliest tokens, one after the other, each from all that came before."""
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    found = list[int]()
    while len(found) < count:
        with torch.no_grad():
            best = int(model(torch.tensor([[*ids, *found]])).logits[0, -1].argmax())
        if best == tokenizer.eos_token_id:
            break
        found.append(best)
    return tokenizer.decode(found, skip_special_tokens=True)


def test_it_prints_the_neighbours_and_both_continuations(here, capsys):
    out = _generate(capsys, "-k", "3", "--learning-rate", "0.05")
    neighbors = tttnn.search(PROMPT, "live", 3)["text"].tolist()
    assert all(text in out for text in neighbors)
    model, tokenizer = tttnn.load_model("model")
    assert f"before: {PROMPT}⟫{_greedy(model, tokenizer, PROMPT, 5)}\n" in out
    with tttnn.adapted(model, tokenizer, neighbors, tttnn.recipe_for(3, 0.05, seed=0)):
        after = _greedy(model, tokenizer, PROMPT, 5)
        then = tttnn.bits_per_byte(model, tokenizer, PROMPT)
    assert f"after 3 neighbours: {PROMPT}⟫{after}\n" in out
    first = tttnn.bits_per_byte(model, tokenizer, PROMPT)
    assert f"the prompt: {first:.3f} bits per byte before, {then:.3f} after\n" in out
    assert then < first - 0.1


def test_draws_are_repeated_by_their_seed(here, capsys):
    words = ("-k", "1", "--temperature", "1.0")
    first, again = (_generate(capsys, *words, "--seed", "3") for _ in range(2))
    assert first == again != _generate(capsys, *words, "--seed", "4")


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_saved_adapter_is_peft_s_own(kind, tmp_path):
    model, tokenizer = tttnn.load_model(save_causal(tmp_path / "model", kind))
    plain = tttnn.log_likelihood(model, tokenizer, PROMPT)
    lora = Lora(rank=4, alpha=8)
    how = tttnn.recipe_for(2, 0.05, lora=lora.model_dump())
    with tttnn.adapted(model, tokenizer, ["one text", "another text"], how):
        inside = tttnn.log_likelihood(model, tokenizer, PROMPT)
        write_adapter(model, lora, tmp_path / "adapter", "model")
    assert tttnn.log_likelihood(model, tokenizer, PROMPT) == plain != inside
    with warnings.catch_warnings(category=UserWarning, action="ignore"):
        loaded = PeftModel.from_pretrained(model, tmp_path / "adapter")
    assert tttnn.log_likelihood(loaded, tokenizer, PROMPT) == pytest.approx(inside, rel=1e-6)


def test_the_command_saves_an_adapter_and_overwrites_nothing(here, capsys, tmp_path):
    folder = tmp_path / "adapter"
    assert f"adapter: {folder}" in _generate(capsys, "-k", "2", "--save-adapter", str(folder))
    assert {path.name for path in folder.iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    with pytest.raises(SystemExit, match="is there already: name a new folder"):
        _generate(capsys, "--save-adapter", str(folder))


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_who_may_read_an_adapter_is_as_for_any_file(here, capsys, tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        _generate(capsys, "-k", "1", "--save-adapter", str(tmp_path / "adapter"))
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "adapter").iterdir()} == {mode}


def test_an_adapter_s_own_model_is_found_from_any_folder(here, capsys, tmp_path, monkeypatch):
    words = ("-k", "2", "--rank", "3", "--learning-rate", "0.05")
    out = _generate(capsys, *words, "--save-adapter", str(tmp_path / "adapter"))
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(category=UserWarning, action="ignore"):
        loaded = AutoPeftModelForCausalLM.from_pretrained("adapter")
    assert loaded.peft_config["default"].r == 3
    _, tokenizer = tttnn.load_model(here / "model")
    assert f"after 2 neighbours: {PROMPT}⟫{_greedy(loaded.eval(), tokenizer, PROMPT, 5)}\n" in out


def test_an_adapter_names_a_model_of_the_hub_as_the_hub_does(tmp_path):
    commit = tmp_path / "hub/models--some--model/snapshots/abc123"
    assert _base("some/model", commit, None) == ("some/model", "abc123")
    assert _base("some/model", commit, "main") == ("some/model", "main")
    assert _base("model", tmp_path / "model", None) == (str(tmp_path / "model"), None)


@pytest.mark.parametrize("function", [generate, query])
def test_every_option_has_a_line_in_the_help(function):
    said = inspect.getdoc(function) or ""
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            assert re.search(rf"\b{name.upper()}\b", said), name
        else:
            option = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
            assert re.search(rf"^{option} ", said, re.M), option


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "./nowhere"), r"there is no folder \./nowhere, and no model on the hub"),
        (("--tokens", "500"), "leaves room for 5"),
        (("-k", "0"), "-k is 0: it must be 1 or more"),
        (("--tokens", "0"), "--tokens is 0: it must be 1 or more"),
        (("--rank", "4"), "--rank is of adapters: name a folder for them"),
        (("--rank", "0", "--save-adapter", "new"), "--rank is 0: it must be 1 or more"),
        (("--rank", "33", "--save-adapter", "new"), "the model's matrices have 32 at most, lower"),
        (("--temperature", "1e-300"), r"--temperature is 1e-300: it must be 0, or 0\.01 or more"),
        (("--temperature", "nan"), "--temperature is nan: it must be 0"),
        (("--seed", "-1"), "--seed is -1: it must be 0 or more"),
        (("--learning-rate", "0"), r"--learning-rate is 0\.0: give a number above 0"),
        (
            ("--tokens", "5", "--learning-rate", "1e38"),
            "weights of the model are not finite: lower the learning rate",
        ),
        (
            ("-k", "1", "--tokens", "5", "--learning-rate", "1e10"),
            "is NaN: lower the learning rate",
        ),
        (("--revision", "main"), "--revision main is of a model on the hub, and model is a folder"),
        (("--run", "other"), "there is no folder results/other: give the name of a run"),
    ],
)
def test_what_does_not_go_is_said(here, words, message):
    with pytest.raises(SystemExit, match=message):
        main(["generate", PROMPT, "--run", "live", "--model", "model", *words])


@pytest.mark.parametrize("prompt", ["", " \n\t"])
def test_a_blank_prompt_is_said_before_anything_is_read(here, prompt):
    with pytest.raises(SystemExit, match="the prompt is empty: give one of a word or more"):
        main(["generate", prompt, "--run", "none", "--model", "none"])


def test_a_prompt_needs_tokens(here):
    with pytest.raises(ValueError, match="no token for the prompt"):
        continued(*tttnn.load_model("model"), "", 3)
