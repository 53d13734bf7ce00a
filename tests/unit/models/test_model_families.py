"""Families of models that transformers can build small: which are used, and which are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM

from families import (
    AFTER_PADDING,
    DECODERS,
    ENCODERS,
    NO_POSITIONS,
    SEES_PADDING,
    save_class,
    save_decoder,
    save_masked,
)
from tttnn.methods.likelihood import log_likelihood, rolling_windows
from tttnn.methods.measure import Query
from tttnn.methods.ttt.engine import adapt
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.fetch import FetchSpec, fetch_model
from tttnn.models.folder import (
    ModelError,
    choose_window,
    context_length,
    load_causal,
    load_encoder,
    write_manifest,
)
from tttnn.models.probes import sees_padding
from tttnn.retrieval.embed import embed_texts
from tttnn.sections.embed import Embed


@pytest.mark.parametrize("kind", DECODERS)
def test_a_causal_family_is_adapted_and_put_back(tmp_path: Path, kind: str) -> None:
    folder = save_decoder(tmp_path / kind, kind)
    model, tokenizer = load_causal(folder)
    if kind in NO_POSITIONS:
        with pytest.raises(ModelError, match=r"states no number of positions.*`window:`"):
            context_length(model)
    else:
        assert context_length(model) == (62 if kind == "roberta" else 64)
    window = choose_window(model, 16, "window")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    query = Query(1, "A text of more than one window.", ["a first neighbour", "a second one"])
    recipe = Recipe(num_neighbors=2, evaluate_at=[0, 1, 2], learning_rate=1e-3)
    (adapted,) = adapt(model, tokenizer, [query], recipe, window)
    measured = [measurement.loglikelihood for measurement in adapted.measurements]
    assert len(set(measured)) == 3  # it was trained

    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    stored = load_file(folder / "model.safetensors")
    assert stored.keys() & after.keys()
    assert all(torch.equal(after[name], stored[name]) for name in stored.keys() & after.keys())

    # the windows one by one, in no batch, hence without padding; by hand
    windows = rolling_windows(tokenizer(query.text)["input_ids"], 0, window)
    assert len({len(part.inputs) for part in windows}) == 1 and len(windows) > 1
    assert {len(part.targets) for part in windows} == {16, 15}
    total = 0.0
    with torch.inference_mode():
        for part in windows:
            logits = model(input_ids=torch.tensor([part.inputs])).logits[0].log_softmax(-1)
            chosen = logits[-len(part.targets) :].gather(1, torch.tensor(part.targets)[:, None])
            total += chosen.sum().item()
    assert measured[0] == pytest.approx(total, rel=1e-5)
    # of unequal lengths, so that the shorter is padded
    short = rolling_windows(tokenizer("short")["input_ids"], 0, window)
    together = log_likelihood(model, [*windows, *short])
    assert together == pytest.approx(total + log_likelihood(model, short), rel=1e-5)


@pytest.mark.parametrize("kind", sorted(DECODERS.keys() - NO_POSITIONS))
def test_no_family_is_asked_beyond_its_positions(tmp_path: Path, kind: str) -> None:
    model, _ = load_causal(save_decoder(tmp_path, kind))
    longest = context_length(model)
    assert choose_window(model, None, "window") == choose_window(model, longest, "window")
    with torch.inference_mode():
        logits = model(input_ids=torch.full((1, longest), 5)).logits
    assert logits.isfinite().all()
    with pytest.raises(ModelError, match=rf"window: is {longest + 1} tokens, .* for {longest}:"):
        choose_window(model, longest + 1, "window:")


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_embeds_at_its_full_length(tmp_path: Path, kind: str) -> None:
    folder = save_masked(tmp_path / kind, kind)
    write_manifest(folder, {})
    assert json.loads((folder / "manifest.json").read_text())["causal"] is False
    model, tokenizer = load_encoder(folder)
    longest = 64 - (AFTER_PADDING[kind] + 1 if kind in AFTER_PADDING else 0)
    assert sees_padding(model, tokenizer) == (kind in SEES_PADDING)
    assert tokenizer.model_max_length == choose_window(model, None, "max_tokens") == longest
    texts = ["a" * 70, "some shorter text", "b"]
    vectors = embed_texts(model, tokenizer, texts, Embed(max_tokens=longest, batch_tokens=256))
    # one by one, the whole model with its head, whose last hidden states these are
    whole = AutoModelForMaskedLM.from_pretrained(folder).base_model.eval()
    for text, vector in zip(texts, vectors, strict=True):
        ids = torch.tensor([tokenizer(text)["input_ids"][:longest]])
        with torch.inference_mode():
            hidden = whole(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        torch.testing.assert_close(
            torch.from_numpy(vector), hidden[0].mean(0), rtol=1e-4, atol=1e-5
        )
    with pytest.raises(ModelError, match=f"max_tokens is {longest + 1} .* for {longest}:"):
        choose_window(model, longest + 1, "max_tokens", tokenizer)


SEES = "sees the token it should predict"
NO_LANGUAGE_MODELS = {
    "BigBirdForPreTraining": SEES,
    "BertForPreTraining": SEES,
    "BertForMaskedLM": SEES,
    "ErnieForPreTraining": SEES,
    "MegatronBertForPreTraining": SEES,
    "ElectraForMaskedLM": SEES,
    "RobertaForMaskedLM": SEES,
    "XLMRobertaForMaskedLM": SEES,
    "CamembertForMaskedLM": SEES,
    "XLNetLMHeadModel": SEES,
    "XLMWithLMHeadModel": SEES,
    "ModernBertForMaskedLM": "Unrecognized configuration class",
    "MPNetForMaskedLM": "Unrecognized configuration class",
    "T5ForConditionalGeneration": r"an encoder-decoder \(t5\)",
    "BartForConditionalGeneration": r"an encoder-decoder \(bart\)",
}


@pytest.mark.parametrize("without_name", [False, True])
@pytest.mark.parametrize("name", NO_LANGUAGE_MODELS)
def test_what_is_no_causal_language_model_is_refused(
    tmp_path: Path, name: str, without_name: bool
) -> None:
    folder = save_class(tmp_path / "model", name)
    if without_name:  # the name tells nothing, the model does
        config = json.loads((folder / "config.json").read_text())
        del config["architectures"]
        (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=NO_LANGUAGE_MODELS[name]) as caught:
        load_causal(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    spec = FetchSpec.model_validate({"kind": "local", "path": str(folder)})
    with pytest.raises(ModelError, match=NO_LANGUAGE_MODELS[name]):
        fetch_model(spec, tmp_path / "fetched", causal=True)
    assert not (tmp_path / "fetched").exists()
