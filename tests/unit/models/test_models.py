"""Loading models: what comes back, what is refused and why, and what a manifest says."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForMaskedLM, GPT2LMHeadModel

from families import save_decoder
from tiny import byte_tokenizer, save_causal, save_encoder
from tttnn.methods.likelihood import prefix_token
from tttnn.models.folder import (
    ModelError,
    context_length,
    load_causal,
    load_encoder,
    write_manifest,
)


def edit(file: Path, **values: object) -> None:
    content = json.loads(file.read_text()) | values
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    return save_causal(tmp_path / "gpt2")


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neo", "llama"])
def test_a_causal_model_comes_back_as_it_was_saved(tmp_path: Path, kind: str) -> None:
    folder = save_causal(tmp_path / kind)
    model, tokenizer = load_causal(folder)
    assert context_length(model) == 64
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    saved = load_file(folder / "model.safetensors")
    loaded = model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())
    assert tokenizer.decode([tokenizer.eos_token_id]) == "<|endoftext|>"


def test_the_published_small_llama_predicts_a_story(shared: Path) -> None:
    model, tokenizer = load_causal(shared / "models" / "stories260K-hf")
    assert context_length(model) == 512
    ids = tokenizer("Once upon a time, there was a little", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        following = tokenizer.decode(model(input_ids=ids).logits[0, -1].argmax())
    assert following.strip() in {"girl", "boy", "g", "b"}


def test_half_precision_weights_become_float32(gpt2: Path) -> None:
    weights = gpt2 / "model.safetensors"
    halves = {name: tensor.half() for name, tensor in load_file(weights).items()}
    save_file(halves, weights, metadata={"format": "pt"})
    edit(gpt2 / "config.json", dtype="float16")
    model, _ = load_causal(gpt2)
    assert model.dtype == torch.float32
    assert torch.equal(
        model.transformer.wte.weight, halves["transformer.wte.weight"].to(torch.float32)
    )


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """A RoBERTa with its masked-language-model head and without a pooler."""
    config = AutoConfig.for_model(
        "roberta",
        vocab_size=257,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=34,
        pad_token_id=1,
    )
    folder = tmp_path / "roberta"
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def test_an_encoder_loads_from_a_masked_language_model_without_a_word(
    masked: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture, recwarn
) -> None:
    # transformers' own loggers do not propagate, so they are read where they write
    with caplog.at_level(logging.WARNING):
        model, tokenizer = load_encoder(masked)
    assert not caplog.records
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")
    assert model.pooler is None
    assert context_length(model) == tokenizer.model_max_length == 32
    hidden = model(input_ids=torch.tensor([[5, 6, 7]])).last_hidden_state
    assert hidden.shape == (1, 3, 16)
    saved = load_file(masked / "model.safetensors")["roberta.embeddings.word_embeddings.weight"]
    assert torch.equal(model.embeddings.word_embeddings.weight, saved)


def test_an_encoder_saved_without_heads_loads(tmp_path: Path) -> None:
    model, tokenizer = load_encoder(save_encoder(tmp_path / "encoder"))
    assert tokenizer.model_max_length == context_length(model) == 64


def test_a_masked_language_model_is_no_causal_one(masked: Path) -> None:
    with pytest.raises(ModelError, match="sees the token it should predict"):
        load_causal(masked)


@pytest.mark.parametrize("left", ["bos_token", "eos_token"])
def test_a_text_starts_after_either_token_that_marks_it(gpt2: Path, left: str) -> None:
    gone = {"bos_token", "eos_token"} - {left}
    edit(gpt2 / "tokenizer_config.json", **dict.fromkeys(gone))
    _, tokenizer = load_causal(gpt2)
    assert prefix_token(tokenizer) == 0


def test_a_tokenizer_with_neither_token_at_an_edge_is_refused(gpt2: Path) -> None:
    edit(gpt2 / "tokenizer_config.json", eos_token=None, bos_token=None)
    with pytest.raises(ModelError, match=r"neither .* end-of-text token: set eos_token") as caught:
        load_causal(gpt2)
    assert str(gpt2) in str(caught.value)


def test_an_embedder_without_a_padding_token_is_refused(tmp_path: Path) -> None:
    folder = save_encoder(tmp_path / "encoder")
    edit(folder / "tokenizer_config.json", pad_token=None)
    with pytest.raises(ModelError, match="no padding token"):
        load_encoder(folder)


def test_pickled_weights_are_refused_with_a_way_out(gpt2: Path) -> None:
    model = GPT2LMHeadModel.from_pretrained(gpt2)
    torch.save(model.state_dict(), gpt2 / "pytorch_model.bin")
    load_causal(gpt2)  # beside safetensors they are ignored
    (gpt2 / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"pytorch_model\.bin, a pickle.*save_pretrained"):
        load_causal(gpt2)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no config.json"),
        ("tokenizer.json", "no tokenizer"),
        ("model.safetensors", "no model.safetensors"),
    ],
)
def test_an_incomplete_folder_is_named(gpt2: Path, missing: str, message: str) -> None:
    (gpt2 / missing).unlink()
    for load in (load_causal, load_encoder):
        with pytest.raises(ModelError, match=message) as caught:
            load(gpt2)
        assert str(gpt2) in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"no folder {tmp_path / 'none'}"):
        load_causal(tmp_path / "none")


def test_a_missing_tensor_is_an_error_not_random_weights(gpt2: Path) -> None:
    weights = gpt2 / "model.safetensors"
    tensors = load_file(weights)
    del tensors["transformer.h.1.mlp.c_fc.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 of .*transformer\.h\.1\.mlp\.c_fc\.weight"):
        load_causal(gpt2)


def test_a_tensor_of_another_shape_is_an_error(gpt2: Path) -> None:
    edit(gpt2 / "config.json", n_positions=128)
    with pytest.raises(ModelError, match=r"wpe\.weight, \(64, 32\) in place of \(128, 32\)"):
        load_causal(gpt2)


def test_weights_that_are_cut_short_are_an_error(gpt2: Path) -> None:
    weights = gpt2 / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    for read in (load_causal, load_encoder, lambda folder: write_manifest(folder, {})):
        with pytest.raises(ModelError, match=r"model\.safetensors is damaged.*Fetch or copy it"):
            read(gpt2)


def test_weights_in_several_files_load_and_a_missing_one_is_named(gpt2: Path) -> None:
    whole, _ = load_causal(gpt2)
    (gpt2 / "model.safetensors").unlink()
    whole.save_pretrained(gpt2, max_shard_size="30KB")
    files = sorted(path.name for path in gpt2.glob("model-*.safetensors"))
    assert len(files) > 1
    parts, _ = load_causal(gpt2)
    assert torch.equal(parts.transformer.wte.weight, whole.transformer.wte.weight)
    write_manifest(gpt2, {})
    listed = json.loads((gpt2 / "manifest.json").read_text())["files"]
    assert {*files, "model.safetensors.index.json"} <= set(listed)
    (gpt2 / files[0]).unlink()
    with pytest.raises(ModelError, match=f"lacks {files[0]}"):
        load_causal(gpt2)


def test_a_config_without_positions_is_an_error(tmp_path: Path) -> None:
    model, _ = load_causal(save_decoder(tmp_path / "bloom", "bloom"))  # ALiBi: as many as one likes
    with pytest.raises(ModelError, match="no number of positions"):
        context_length(model)


def test_the_manifest_identifies_the_weights(gpt2: Path) -> None:
    write_manifest(gpt2, {"kind": "local", "path": "somewhere"})
    manifest = json.loads((gpt2 / "manifest.json").read_text())
    assert (manifest["kind"], manifest["path"]) == ("local", "somewhere")
    assert manifest["causal"] is True
    assert manifest["model_type"] == "gpt2"
    # by hand: embeddings of tokens and positions; two blocks of attention (4 d²+4 d), MLP
    # (8 d²+5 d) and two norms (4 d); the last norm. The head is tied.
    d = 32
    assert manifest["parameters"] == (257 + 64) * d + 2 * (12 * d * d + 13 * d) + 2 * d
    assert manifest["vocabulary"] == 257
    on_disk = {path.name for path in gpt2.iterdir()} - {"manifest.json"}
    assert set(manifest["files"]) == on_disk
    for name, digest in manifest["files"].items():
        assert digest == hashlib.sha256((gpt2 / name).read_bytes()).hexdigest()
