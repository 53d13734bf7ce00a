"""Model folders that cannot be used, and such as look like it: named, in one line, with a remedy.

Each is fetched and loaded, for both are ways in.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    WhisperConfig,
    WhisperForCausalLM,
)

from families import save_class, save_decoder, save_masked
from tiny import byte_tokenizer, save_causal
from tttnn.command import main
from tttnn.models.fetch import FetchSpec, fetch_model
from tttnn.models.folder import ModelError, context_length, load_causal, load_encoder
from tttnn.models.probes import learned_positions


def edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def add_tensors(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    weights = folder / "model.safetensors"
    save_file(load_file(weights) | tensors, weights, metadata={"format": "pt"})


def fetch(folder: Path) -> Path:
    """FetchSpec as `kind: local`, into results beside it."""
    output = folder.parent / "results" / "models" / "copy"
    fetch_model(FetchSpec.model_validate({"kind": "local", "path": str(folder)}), output)
    return output


def refused(folder: Path, match: str, load: Callable = load_causal) -> None:
    for read in (load, fetch):
        with pytest.raises(ModelError, match=match) as caught:
            read(folder)
        assert "\n" not in str(caught.value)
    assert not list((folder.parent / "results" / "models").iterdir())


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    return save_causal(tmp_path / "source" / "gpt2")


def test_one_id_more_than_the_embedding_has_is_named(gpt2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(gpt2)
    tokenizer.add_tokens(["[PAD]"])
    tokenizer.save_pretrained(gpt2)
    refused(gpt2, r"ids up to 257 \('\[PAD\]'\), but the model's embedding has 257 rows")


def test_more_rows_than_ids_are_what_padded_embeddings_have(tmp_path: Path) -> None:
    load_causal(fetch(save_decoder(tmp_path / "llama", "llama", vocab_size=320)))


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("quantization_config", {"quant_method": "gptq", "bits": 4, "group_size": 128}),
        ("quantization_config", {"quant_method": "bitsandbytes", "load_in_8bit": True}),
        ("quantization_config", {"quant_method": "fp8"}),
        ("compression_config", {"quant_method": "compressed-tensors"}),
    ],
)
def test_quantised_weights_are_refused(tmp_path: Path, where: str, said: dict) -> None:
    for folder, load in (
        (save_causal(tmp_path / "a" / "llama", "llama"), load_causal),
        (save_masked(tmp_path / "b" / "bert", "bert"), load_encoder),
    ):
        edit(folder / "config.json", **{where: said})
        refused(folder, rf"quantised .*{said['quant_method']}.*dequantize\(\)", load)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.float8_e4m3fn])
def test_weights_in_whole_numbers_or_8_bits_are_refused(gpt2: Path, dtype: torch.dtype) -> None:
    """Whatever config.json says; read as they are they would be other weights."""
    add_tensors(gpt2, {"transformer.h.1.mlp.c_fc.weight": torch.ones(32, 128).to(dtype)})
    refused(gpt2, r"model\.safetensors stores transformer\.h\.1\.mlp\.c_fc\.weight as [IF]\d")


def test_an_empty_note_on_quantisation_is_none(gpt2: Path) -> None:
    edit(gpt2 / "config.json", quantization_config=None)
    load_causal(fetch(gpt2))


@pytest.mark.parametrize(
    "content",
    ['{"version": "2.0", "model": {"type": "Newer"}}', "[]", "", "\x00", '{"model": null}'],
)
def test_a_tokenizer_of_another_format_is_refused(gpt2: Path, content: str) -> None:
    (gpt2 / "tokenizer.json").write_text(content)
    refused(
        gpt2,
        r"the tokenizer in .* cannot be read|"
        r"tokenizer\.json (cannot be read as JSON|holds no JSON|has a model)",
    )


@pytest.mark.parametrize("name", ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"])
def test_a_sentencepiece_model_alone_is_to_be_converted(tmp_path: Path, name: str) -> None:
    folder = save_causal(tmp_path / "source" / "llama", "llama")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    (folder / name).write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    refused(folder, rf"only as {name}, in sentencepiece's format.*writes tokenizer\.json")


@pytest.mark.parametrize("most", ["512", 0, -1, True, [512], {}])
def test_a_tokenizer_s_length_must_be_a_number(gpt2: Path, most: object) -> None:
    edit(gpt2 / "tokenizer_config.json", model_max_length=most)
    refused(gpt2, r"tokenizer_config\.json says model_max_length: .*: make it the number")


def test_a_tokenizer_that_states_no_length_is_fine(gpt2: Path) -> None:
    edit(gpt2 / "tokenizer_config.json", model_max_length=1e30)  # what transformers writes for it
    load_causal(gpt2)
    load_encoder(gpt2)


def test_a_padding_id_of_any_size_is_no_matter(tmp_path: Path) -> None:
    folder = save_decoder(tmp_path / "mamba", "mamba")
    edit(folder / "config.json", pad_token_id=10**30)
    load_causal(folder)


def test_what_is_refused_when_fetched_is_named_as_what_was_asked_for(gpt2: Path) -> None:
    edit(gpt2 / "config.json", n_layer=1)
    with pytest.raises(ModelError, match=f"the weights in {gpt2} have") as caught:
        fetch(gpt2)
    assert ".new." not in str(caught.value)


# --- names in an index ----------------------------------------------------------------------


def in_parts(folder: Path) -> list[str]:
    """Rewrite a folder's weights as several files with an index; their names."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="30KB")
    return sorted(path.name for path in folder.glob("model-*.safetensors"))


@pytest.mark.parametrize(
    "name",
    [
        "../outside.safetensors",
        "../../workflow/tttnn/x.py",
        "below/../../outside.safetensors",
        "/tmp/outside.safetensors",
        "C:\\outside.safetensors",
        "..\\outside.safetensors",
        "config.json",
        "below/part.safetensors",
        "./part.safetensors",
        "",
        "a\x00.safetensors",
        5,
        ["model.safetensors"],
        None,
    ],
)
def test_an_index_names_safetensors_beside_it_and_no_path(gpt2: Path, name: object) -> None:
    part = in_parts(gpt2)[0]
    index = json.loads((gpt2 / "model.safetensors.index.json").read_text())
    key = next(key for key, file in index["weight_map"].items() if file == part)
    index["weight_map"][key] = name
    (gpt2 / "model.safetensors.index.json").write_text(json.dumps(index))
    outside = gpt2.parent / "outside.safetensors"
    shutil.copyfile(gpt2 / part, outside)
    (gpt2 / "below").mkdir()
    shutil.copyfile(gpt2 / part, gpt2 / "below" / "part.safetensors")
    before = sorted(path for path in gpt2.parent.parent.rglob("*") if path.is_file())
    refused(gpt2, r"model\.safetensors\.index\.json names the file")
    assert sorted(path for path in gpt2.parent.parent.rglob("*") if path.is_file()) == before


def test_a_part_may_be_no_link_out_of_the_folder(gpt2: Path) -> None:
    part = gpt2 / in_parts(gpt2)[0]
    part.rename(gpt2.parent / "elsewhere.safetensors")
    part.symlink_to(gpt2.parent / "elsewhere.safetensors")
    refused(gpt2, r"is a link that leads out of")


def test_links_of_the_hub_s_cache_lead_to_its_blobs(gpt2: Path) -> None:
    snapshot = gpt2.parent / "models--some--one" / "snapshots" / "c0ffee"
    parts = in_parts(gpt2)
    snapshot.parent.mkdir(parents=True)
    gpt2.rename(snapshot)
    (snapshot.parents[1] / "blobs").mkdir()
    for part in parts:
        (snapshot / part).rename(snapshot.parents[1] / "blobs" / part)
        (snapshot / part).symlink_to(Path("../../blobs") / part)
    copied = fetch(snapshot)
    assert not any(path.is_symlink() for path in copied.iterdir())
    load_causal(copied)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}'])
def test_an_index_that_is_none_is_named(gpt2: Path, content: str) -> None:
    in_parts(gpt2)
    (gpt2 / "model.safetensors.index.json").write_text(content)
    refused(gpt2, r"index\.json (cannot be read as JSON|holds no JSON|has no weight_map)")


# --- tensors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "layers", "tensor"),
    [
        ("gpt2", "n_layer", r"transformer\.h\.1\."),
        ("llama", "num_hidden_layers", r"model\.layers\.1\."),
        ("gpt_neox", "num_hidden_layers", r"gpt_neox\.layers\.1\."),
        ("mamba", "num_hidden_layers", r"backbone\.layers\.1\."),
        ("opt", "num_hidden_layers", r"model\.decoder\.layers\.1\."),
    ],
)
def test_a_layer_that_the_config_leaves_out_is_named(
    tmp_path: Path, kind: str, layers: str, tensor: str
) -> None:
    folder = save_decoder(tmp_path / "source" / kind, kind)
    edit(folder / "config.json", **{layers: 1})
    refused(folder, rf"tensors that a .* leaves out, such as {tensor}")


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "distilbert", "mpnet"])
def test_an_encoder_s_layer_that_the_config_leaves_out_is_named(tmp_path: Path, kind: str) -> None:
    folder = save_masked(tmp_path / "source" / kind, kind)
    layers = "n_layers" if kind == "distilbert" else "num_hidden_layers"
    edit(folder / "config.json", **{layers: 1})
    refused(folder, r"leaves out, such as \w+\.\w+\.layer\.1\.", load_encoder)


def test_biases_that_the_config_switches_off_are_named(tmp_path: Path) -> None:
    folder = save_decoder(tmp_path / "source" / "llama", "llama", attention_bias=True)
    edit(folder / "config.json", attention_bias=False)
    refused(folder, r"leaves out, such as model\.layers\.0\.self_attn\.k_proj\.bias")


def test_tensors_of_another_shape_are_named(tmp_path: Path) -> None:
    folder = save_decoder(tmp_path / "source" / "llama", "llama")
    edit(folder / "config.json", intermediate_size=48)
    refused(folder, r"of another shape .*mlp.*\(16, 32\) in place of \(16, 48\)")


def test_more_layers_than_weights_are_refused_before_they_are_built(tmp_path: Path) -> None:
    folder = save_decoder(tmp_path / "source" / "llama", "llama")
    edit(folder / "config.json", num_hidden_layers=10**9)
    refused(folder, r"num_hidden_layers: 1000000000, but the weights .* have \d+ tensors")


def test_tables_that_no_memory_holds_are_refused_before_they_are_made(tmp_path: Path) -> None:
    folder = save_decoder(tmp_path / "source" / "gptj", "gptj")
    edit(folder / "config.json", n_positions=10**10)
    refused(folder, r"asks for tables of \d+ GB")


def test_what_older_checkpoints_store_besides_is_harmless(tmp_path: Path) -> None:
    mask, scalar = torch.ones(1, 1, 64, 64).tril(), torch.tensor(-1e4)
    for kind, place in (
        ("gpt2", "transformer.h.0.attn"),
        ("gpt_neo", "transformer.h.0.attn.attention"),
        ("gptj", "transformer.h.1.attn"),
        ("gpt_neox", "gpt_neox.layers.0.attention"),
    ):
        folder = save_decoder(tmp_path / kind, kind)
        add_tensors(folder, {f"{place}.bias": mask, f"{place}.masked_bias": scalar})
        load_causal(folder)
    folder = save_decoder(tmp_path / "llama", "llama")
    inverse = {"model.layers.1.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    add_tensors(folder, inverse | {"score.weight": torch.ones(2, 16)})
    load_causal(folder)
    for kind in ("bert", "camembert"):
        folder = save_masked(tmp_path / kind, kind)
        base = "roberta" if kind == "camembert" else kind
        pooler = {f"{base}.pooler.dense.weight": torch.ones(16, 16)}
        ids = {f"{base}.embeddings.position_ids": torch.arange(64)[None]}
        add_tensors(folder, pooler | ids | {"classifier.weight": torch.ones(2, 16)})
        load_encoder(folder)


# --- what else a model does -----------------------------------------------------------------


def test_dropout_that_stays_on_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_causal(tmp_path / "gpt2")
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x * torch.rand_like(x))
    with pytest.raises(ModelError, match="answers the same text differently each time"):
        load_causal(folder)


def test_weights_that_are_not_numbers_are_refused(gpt2: Path) -> None:
    add_tensors(gpt2, {"transformer.ln_f.weight": torch.full((32,), float("nan"))})
    refused(gpt2, "(logits|vectors) that are not finite")


def test_a_decoder_is_no_encoder_of_an_encoder_decoder(tmp_path: Path) -> None:
    folder = save_class(tmp_path / "source" / "bart", "BartForConditionalGeneration")
    refused(folder, r"an encoder-decoder \(bart\)", load_encoder)


def adapt(folder: Path, model: Path, *options: str) -> list[dict]:
    case = {"id": "a", "text": "a document of some length", "neighbors": ["one", "another"]}
    (folder / "cases.jsonl").write_text(json.dumps(case) + "\n")
    output = folder / "out.json"
    paths = [str(folder / "cases.jsonl"), "--model", str(model), "--output", str(output)]
    main(["adapt", *paths, "--neighbors", "2", "--learning-rate", "1e-3", *options])
    return json.loads(output.read_text())


def test_a_model_without_positions_is_adapted_where_a_window_is_given(tmp_path: Path) -> None:
    model = fetch(save_decoder(tmp_path / "source" / "mamba", "mamba"))
    (whole,) = adapt(tmp_path, model, "--window", "64")
    (cut,) = adapt(tmp_path, model, "--window", "8")
    assert whole["loglikelihood"][0] != cut["loglikelihood"][0]
    with pytest.raises(SystemExit, match=r"^tttnn adapt: .*no number of positions.*--window"):
        adapt(tmp_path, model)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize("window", ["65", "-1"])
def test_adapting_beyond_a_model_s_positions_is_refused(
    tmp_path: Path, kind: str, window: str
) -> None:
    model = save_causal(tmp_path / kind, kind)
    with pytest.raises(SystemExit, match=rf"--window is {window}"):
        adapt(tmp_path, model, f"--window={window}")


def test_a_tokenizer_with_beginning_of_text_alone_is_enough(tmp_path: Path) -> None:
    model = save_causal(tmp_path / "source" / "gpt2")
    (both,) = adapt(tmp_path, model)
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = tokenizer.pad_token = None
    tokenizer.save_pretrained(model)
    assert AutoTokenizer.from_pretrained(model).eos_token_id is None
    (alone,) = adapt(tmp_path, fetch(model))
    assert alone == both


# --- files that are not what their name says ------------------------------------------------

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"
FILES = ["model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (POINTER, r"is a Git LFS pointer, which stands for a file: .*`git lfs pull`"),
        (PAGE, r"is a web page .*needs a login"),
        (b"\x1f\x8b\x08\x00" + bytes(40), r"is compressed by gzip: put what its name says"),
    ],
)
def test_a_file_that_stands_for_another_is_named(
    gpt2: Path, name: str, content: bytes, said: str
) -> None:
    (gpt2 / name).write_bytes(content)
    refused(gpt2, rf"{name} {said}")


def test_a_pointer_is_no_vocabulary_of_three_lines(tmp_path: Path) -> None:
    folder = save_masked(tmp_path / "source" / "bert", "bert")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    (folder / "vocab.txt").write_bytes(POINTER)
    refused(folder, r"vocab\.txt is a Git LFS pointer", load_encoder)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_byte_order_mark_is_to_be_left_out(gpt2: Path, name: str) -> None:
    (gpt2 / name).write_bytes(b"\xef\xbb\xbf" + (gpt2 / name).read_bytes())
    refused(gpt2, rf"{name} begins with a byte-order mark.*save it without a byte-order mark")


def test_a_tokenizer_s_config_that_is_no_json_is_named(gpt2: Path) -> None:
    (gpt2 / "tokenizer_config.json").write_text("{eos_token:")
    refused(gpt2, r"tokenizer_config\.json cannot be read as JSON .*: fetch or copy it again")


@pytest.mark.parametrize("part", ["model", "pre_tokenizer"])
def test_a_tokenizer_with_parts_of_a_newer_version_is_named(gpt2: Path, part: str) -> None:
    content = json.loads((gpt2 / "tokenizer.json").read_text())
    content[part]["type"] = "Newer"
    (gpt2 / "tokenizer.json").write_text(json.dumps(content))
    refused(gpt2, r"tokenizer\.json has .* was made by a newer tokenizers .*: update tokenizers")


# --- adapters, and other formats ------------------------------------------------------------


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_beside_its_base_is_not_passed_over(gpt2: Path, name: str) -> None:
    (gpt2 / name).write_text("{}")
    refused(gpt2, rf"an adapter \({name}\).*merge_and_unload\(\).*or remove {name} to use the base")
    with pytest.raises(SystemExit, match=r"^tttnn adapt: .*merge_and_unload"):
        adapt(gpt2.parent, gpt2)


def test_an_adapter_alone_is_to_be_merged(tmp_path: Path) -> None:
    folder = tmp_path / "source" / "adapter"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"")
    refused(folder, r"holds only an adapter .*merge_and_unload\(\).*tokenizer beside it$")


@pytest.mark.parametrize("config", [True, False])
def test_weights_of_llama_cpp_alone_are_to_be_converted(gpt2: Path, config: bool) -> None:
    (gpt2 / "model.safetensors").rename(gpt2 / "small.q4.gguf")
    if not config:
        (gpt2 / "config.json").unlink()
    refused(gpt2, r"only as small\.q4\.gguf.*gguf_file='small\.q4\.gguf'\)\.save_pretrained")


# --- what a config.json says ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_function_that_transformers_does_not_know_is_named(tmp_path: Path, kind: str) -> None:
    folder = save_causal(tmp_path / "source" / kind, kind)
    key = "activation_function" if kind == "gpt2" else "hidden_act"
    edit(folder / "config.json", **{key: "nope"})
    refused(folder, rf"config\.json says {key}: nope, which transformers does not know: correct")


@pytest.mark.parametrize("stated", [0, -1, False])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "mpt"])
def test_a_model_has_positions_for_one_token_at_least(
    tmp_path: Path, kind: str, stated: int
) -> None:
    folder = save_decoder(tmp_path / "source" / kind, kind)
    keys = {"gpt2": "n_positions", "llama": "max_position_embeddings", "mpt": "max_seq_len"}
    edit(folder / "config.json", **{keys[kind]: stated})
    refused(folder, rf"config\.json says {keys[kind]}: {stated}: make it the number of tokens")


def save_model(folder: Path, model: PreTrainedModel) -> Path:
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def whisper(tmp_path: Path) -> Path:
    """The decoder of a Whisper, with 24 positions."""
    config = WhisperConfig(
        vocab_size=257,
        d_model=16,
        max_target_positions=24,
        **{f"{side}_layers": 2 for side in ("encoder", "decoder")},
        **{f"{side}_attention_heads": 2 for side in ("encoder", "decoder")},
        **{f"{side}_ffn_dim": 32 for side in ("encoder", "decoder")},
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0),
        decoder_start_token_id=0,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        is_encoder_decoder=False,
    )
    return save_model(tmp_path / "source" / "whisper", WhisperForCausalLM(config))


def test_a_decoder_of_speech_has_positions_for_its_targets(tmp_path: Path, whisper: Path) -> None:
    model, _ = load_causal(whisper)
    assert context_length(model) == 24
    with pytest.raises(SystemExit, match=r"--window is 25 tokens.*positions for 24"):
        adapt(tmp_path, whisper, "--window", "25")


@pytest.mark.parametrize("kind", ["gpt2", "opt", "biogpt", "llama", "mpt"])
def test_a_table_of_positions_tells_where_config_json_does_not(tmp_path: Path, kind: str) -> None:
    """OPT's kind has two rows more, from which no text begins; the last two have no table."""
    model, _ = load_causal(save_decoder(tmp_path / kind, kind))
    assert learned_positions(model) == (None if kind in ("llama", "mpt") else 64)


SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.mark.parametrize("kind", ["canine", "wav2vec2", "perceiver"])
def test_a_model_without_a_table_of_tokens_is_refused(tmp_path: Path, kind: str) -> None:
    sizes = {
        "canine": SMALL | {"intermediate_size": 32, "num_hash_buckets": 16},
        "wav2vec2": SMALL
        | {"intermediate_size": 32, "conv_dim": [16] * 7, "num_conv_pos_embedding_groups": 2},
        "perceiver": {
            "num_latents": 4,
            "d_latents": 16,
            "d_model": 16,
            "num_self_attends_per_block": 1,
            "num_self_attention_heads": 2,
            "num_cross_attention_heads": 2,
        },
    }
    model = AutoModel.from_config(AutoConfig.for_model(kind, **sizes[kind]))
    folder = save_model(tmp_path / "source" / kind, model)
    refused(folder, r"has no table of embeddings for tokens: take a model", load_encoder)


def test_a_sentencepiece_model_is_refused_in_one_line_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = save_causal(tmp_path / "source" / "llama", "llama")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    library = logging.getLogger("transformers")  # which does not hand on to others
    level = library.level
    library.setLevel(logging.WARNING)  # as it is when nobody has set another
    library.addHandler(caplog.handler)
    try:
        refused(folder, r"only as tokenizer\.model")
        assert not caplog.records
        assert library.level == logging.WARNING
    finally:
        library.removeHandler(caplog.handler)
        library.setLevel(level)
