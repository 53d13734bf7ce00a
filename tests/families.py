"""Small random models of the families that transformers knows."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

from tiny import CAUSAL, byte_tokenizer

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
