"""Families of models that transformers can build small: which are used, and which are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

from tiny import CAUSAL, byte_tokenizer
from tttnn.adapt import adapt
from tttnn.config.index import Embed
from tttnn.config.methods import Recipe
from tttnn.embed import embed_texts
from tttnn.fetch import Fetched, fetch_model
from tttnn.likelihood import log_likelihood, rolling_windows
from tttnn.measure import Query
from tttnn.models import (
    ModelError,
    choose_window,
    context_length,
    load_causal,
    load_encoder,
    write_manifest,
)
from tttnn.probes import sees_padding

# of transformers' names: what most of its decoders call their sizes
USUAL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
DECODERS = {
    **{name: CAUSAL[name] for name in ("gpt2", "gpt_neo")},
    **dict.fromkeys(
        (
            "gpt_neox",
            "llama",
            "mistral",
            "qwen2",
            "qwen3",
            "phi",
            "gemma2",
            "stablelm",
            "olmo2",
            "starcoder2",
            "cohere",
            "granite",
        ),
        USUAL,
    ),
    "mixtral": USUAL | {"num_local_experts": 2},
    "bert-generation": USUAL | {"is_decoder": True},
    "roberta": USUAL | {"is_decoder": True, "pad_token_id": 1},
    "gptj": GPT | {"rotary_dim": 4},
    "gpt_bigcode": GPT,
    "opt": USUAL | {"word_embed_proj_dim": 16, "ffn_dim": 32},
    "biogpt": USUAL,
    "falcon": {name: USUAL[name] for name in USUAL if name != "head_dim"},
    "mpt": {"d_model": 16, "n_layers": 2, "n_heads": 2, "max_seq_len": 64},
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
    "mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
    "recurrent_gemma": {name: USUAL[name] for name in USUAL if name != "max_position_embeddings"}
    | {"num_hidden_layers": 3, "lru_width": 16},
}
NO_POSITIONS = {"bloom", "mamba", "recurrent_gemma"}

ENCODERS: dict[str, dict] = {
    **{
        name: {}
        for name in (
            "albert",
            "bert",
            "big_bird",
            "camembert",
            "convbert",
            "data2vec-text",
            "deberta",
            "deberta-v2",
            "electra",
            "ernie",
            "esm",
            "fnet",
            "megatron-bert",
            "modernbert",
            "mpnet",
            "nystromformer",
            "roberta",
            "roberta-prelayernorm",
            "roformer",
            "squeezebert",
            "xlm-roberta",
            "xlm-roberta-xl",
        )
    },
    "distilbert": {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2},
    "longformer": {"attention_window": 16},
    "ibert": {},
}
PADDING = 3
# which positions start after; MPNet always takes 1 for it
AFTER_PADDING = {
    **dict.fromkeys(("camembert", "data2vec-text", "esm", "ibert", "longformer", "roberta"), 3),
    **dict.fromkeys(("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"), 3),
    "mpnet": 1,
}
SEES_PADDING = {"convbert", "fnet", "nystromformer"}


def save_decoder(folder: Path, kind: str, **overrides: object) -> Path:
    """Save a random model of 257 tokens with a causal head, and its tokenizer."""
    torch.manual_seed(0)
    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **{"vocab_size": 257} | ids | DECODERS[kind] | overrides)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def encoder_config(kind: str, **overrides: object) -> object:
    """64 positions, but for those that start after the padding id, 3: 60."""
    sizes = {name: USUAL[name] for name in USUAL if name not in ("num_key_value_heads", "head_dim")}
    sizes |= {"vocab_size": 257, "pad_token_id": PADDING, "embedding_size": 16}
    sizes |= ENCODERS.get(kind, {}) | overrides
    known = AutoConfig.for_model(kind)
    return AutoConfig.for_model(kind, **{k: v for k, v in sizes.items() if hasattr(known, k)})


def save_masked(folder: Path, kind: str, **overrides: object) -> Path:
    """Save a random masked language model of 257 tokens, without a pooler, and its tokenizer."""
    torch.manual_seed(0)
    config = encoder_config(kind, **overrides)
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(PADDING)
    tokenizer.save_pretrained(folder)
    return folder


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


def save_class(folder: Path, name: str) -> Path:
    """Save a small random model of transformers' class `name`."""
    torch.manual_seed(0)
    made = getattr(transformers, name)
    kind = made.config_class.model_type
    config = (
        encoder_config(
            kind,
            **{
                **dict.fromkeys(("d_model", "d_kv", "emb_dim", "d_inner"), 16),
                **dict.fromkeys(("d_ff", "encoder_ffn_dim", "decoder_ffn_dim"), 16),
                **dict.fromkeys(("n_layer", "n_layers", "encoder_layers", "decoder_layers"), 1),
                **dict.fromkeys(("n_head", "n_heads", "num_heads"), 2),
                **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2),
            },
        )
        if kind != "xlnet"
        else AutoConfig.for_model(kind, vocab_size=257, d_model=16, n_layer=1, n_head=2, d_inner=16)
    )
    made(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


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
    spec = Fetched.model_validate({"kind": "local", "path": str(folder)})
    with pytest.raises(ModelError, match=NO_LANGUAGE_MODELS[name]):
        fetch_model(spec, tmp_path / "fetched", causal=True)
    assert not (tmp_path / "fetched").exists()
