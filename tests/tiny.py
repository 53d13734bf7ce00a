"""Models too small to know anything, in the architectures the workflow must handle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedTokenizerFast

END = "<|endoftext|>"


class Clock:
    """A clock to put in place of `clock` or of the module `time`.

    Between its readings pass 1, 2, 3, ... seconds, so that a sum of them says which were counted.
    """

    def __init__(self) -> None:
        self.readings = 0

    def __call__(self, device: torch.device | None = None) -> float:
        self.readings += 1
        return self.readings * (self.readings - 1) / 2

    perf_counter = __call__


CAUSAL = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 16,
        "max_position_embeddings": 64,
    },
    "llama": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 64,
    },
}


def write_manifest(folder: Path) -> None:
    """The manifest of a model's folder, as `fetch_model` writes it, or less."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps({"kind": "random", "files": files}) + "\n")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token a byte: 256 of them, and the end of text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: number for number, symbol in enumerate([END, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END
    )


def save_causal(folder: Path, kind: str = "gpt2", **overrides: object) -> Path:
    """Save a random causal model of 257 tokens with its tokenizer and a manifest."""
    torch.manual_seed(0)
    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, vocab_size=257, **ids, **CAUSAL[kind] | overrides)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    write_manifest(folder)
    return folder


def save_encoder(folder: Path, positions: int = 64) -> Path:
    """Save a random RoBERTa of 257 tokens with its tokenizer."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "roberta",
        vocab_size=257,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions + 1,  # they start after the padding id
        pad_token_id=0,
    )
    AutoModel.from_config(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer = byte_tokenizer()
    tokenizer.model_max_length = positions
    tokenizer.save_pretrained(folder)
    write_manifest(folder)
    return folder
