"""`tttnn generate`: a prompt continued before and after training on what the run's index finds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from peft import PeftModel

import tttnn
from live_run import write_run
from tiny import save_causal, save_encoder, write_manifest
from tttnn.command import main
from tttnn.files import sha256
from tttnn.generate import continued, write_adapter
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
    assert f"after 3 neighbours: {PROMPT}⟫{after}\n" in out


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "./nowhere"), r"there is no folder \./nowhere, and no model on the hub"),
        (("--tokens", "500"), "leaves room for 5"),
        (("-k", "0"), "it must be 1 or more"),
        (("--run", "other"), "there is no folder results/other: give the name of a run"),
    ],
)
def test_what_does_not_go_is_said(here, words, message):
    with pytest.raises(SystemExit, match=message):
        main(["generate", PROMPT, "--run", "live", "--model", "model", *words])


def test_a_prompt_needs_tokens(here):
    with pytest.raises(ValueError, match="no token for the prompt"):
        continued(*tttnn.load_model("model"), "", 3)
