"""Models in Hugging Face format: load one, or write down what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from tttnn.files import sha256, write_json

CONFIG_FILES = ("config.json", "generation_config.json")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")  # a tokenizer needs one of them
WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
MANIFEST = "manifest.json"

# RoBERTa counts positions from its padding index plus one, so the first two are never used
UNUSED_POSITIONS = {"roberta": 2}

LOCAL = {"local_files_only": True, "trust_remote_code": False}


class ModelError(ValueError):
    """A model cannot be used; the message names it and the remedy."""


# --- loading ---------------------------------------------------------------------------------


def weight_files(folder: Path) -> list[str]:
    """Names of the files of a model's weights, and of the index that lists them if there is one.

    Raises `ModelError` where they are not complete, or only pickled.
    """
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    if (folder / WEIGHTS_INDEX).is_file():
        index = json.loads((folder / WEIGHTS_INDEX).read_text(encoding="utf-8"))
        names = sorted(set(index["weight_map"].values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"{folder} lacks {', '.join(missing)}, which {WEIGHTS_INDEX} names: fetch the "
                "model again, or complete the folder"
            )
        return [WEIGHTS_INDEX, *names]
    if pickles := sorted(path.name for path in folder.glob("*.bin")):
        raise ModelError(
            f"{folder} has its weights only as {', '.join(pickles)}, a pickle, which runs code "
            "when it is read. Convert it once, where you trust it: "
            "AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER) writes "
            "safetensors (AutoModelForMaskedLM for an embedder); then use `kind: local`"
        )
    raise ModelError(f"{folder} has no {WEIGHTS}: it is not a model in Hugging Face format")


def check_folder(folder: Path) -> list[str]:
    """Names of a model folder's weight files; raises `ModelError` if anything is missing."""
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}: check the model's path")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json: it is not a model in Hugging Face format")
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise ModelError(
            f"{folder} has no tokenizer ({', '.join(VOCABULARIES)}): save the one the model was "
            "trained with beside its weights, or name it with `tokenizer: id@revision`"
        )
    return weight_files(folder)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model's folder; raises `ModelError` where there is none."""
    try:
        return AutoTokenizer.from_pretrained(folder, **LOCAL)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the tokenizer in {folder} cannot be read: {error}") from error


def _load(
    auto_class: type, folder: Path, device: str, **options: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    check_folder(folder)
    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it warns of heads that are left out, and of what is missing
    try:
        model, report = auto_class.from_pretrained(
            folder,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **LOCAL,
            **options,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"the model in {folder} cannot be read: {error}") from error
    finally:
        logging.set_verbosity(verbosity)
    # transformers gives these random values
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"the weights in {folder} lack {len(missing)} of the tensors that a "
            f"{type(model).__name__} has, such as {missing[0]}: it was made for another use, or "
            "its config.json is not its own"
        )
    return model.to(device).eval(), load_tokenizer(folder)


def load_causal(
    folder: Path, *, device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model with float32 weights, in evaluation mode, and its tokenizer.

    Only local files are read, and weights only from safetensors. Raises `ModelError` where a file
    or a tensor is missing, where the model is no causal one, and where the tokenizer has no
    end-of-text token, on which the first token of every document is conditioned.
    """
    model, tokenizer = _load(AutoModelForCausalLM, folder, device)
    made_as = (model.config.architectures or [""])[0]
    if made_as.endswith("ForMaskedLM"):
        raise ModelError(
            f"{folder} holds a masked language model ({made_as}), which sees the token it should "
            "predict: use it as an embedder, and evaluate a causal model"
        )
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"{folder} is a model whose tokenizer has no end-of-text token: set eos_token in its "
            "tokenizer_config.json to the token that separated documents in its training"
        )
    return model, tokenizer


def load_encoder(
    folder: Path, *, device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An encoder without heads, with float32 weights, in evaluation mode, and its tokenizer.

    The tokenizer's `model_max_length` is at most what the encoder has positions for. Raises
    `ModelError` where a file or tensor is missing, or the tokenizer has no padding token.
    """
    check_folder(folder)
    try:
        config = AutoConfig.from_pretrained(folder, **LOCAL)
    except (OSError, ValueError) as error:
        raise ModelError(f"the config.json in {folder} cannot be used: {error}") from error
    # a pooler is a head, absent from masked-language-model checkpoints; the mean needs none
    options = {"add_pooling_layer": False} if config.model_type in ("bert", "roberta") else {}
    model, tokenizer = _load(AutoModel, folder, device, **options)
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"{folder} is an embedder whose tokenizer has no padding token: set pad_token in its "
            "tokenizer_config.json"
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, context_length(model))
    return model, tokenizer


def context_length(model: PreTrainedModel) -> int:
    """The number of tokens a model has positions for; raises `ModelError` if it does not say."""
    config = model.config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None)  # GPT-2's n_positions as well
    if positions is None:
        raise ModelError(
            f"the config of {config.name_or_path or config.model_type} states no number of "
            "positions (n_positions or max_position_embeddings): add it to its config.json"
        )
    return positions - UNUSED_POSITIONS.get(config.model_type, 0)


# --- the manifest ----------------------------------------------------------------------------


def _count_parameters(folder: Path) -> int:
    """Parameters of the model, tied ones once; nothing is allocated.

    The weight files are no guide: GPT-2's published ones store its attention masks as well.
    """
    config = AutoConfig.from_pretrained(folder, **LOCAL)
    made_as = (config.architectures or [""])[0]
    is_causal = made_as.endswith(("LMHeadModel", "ForCausalLM"))
    auto_class = AutoModelForCausalLM if is_causal else AutoModel
    with torch.device("meta"):
        return auto_class.from_config(config, trust_remote_code=False).num_parameters()


def write_manifest(folder: Path, origin: dict[str, Any]) -> None:
    """Write `manifest.json`, which identifies a model by content, into its folder.

    `origin` says where the model came from. The manifest adds `model_type`, `parameters` and
    `files`, the SHA-256 of each file of config, tokenizer and weights. It checks on the way that
    config and tokenizer load and that the weights' headers can be read; raises `ModelError`.
    """
    weights = check_folder(folder)
    tokenizer = load_tokenizer(folder)
    for name in weights:
        if name == WEIGHTS_INDEX:
            continue
        try:
            with safe_open(folder / name, framework="pt") as file:
                file.keys()
        except SafetensorError as error:
            raise ModelError(
                f"{folder / name} is damaged or cut short: {error}. Fetch the model again"
            ) from error
    try:
        parameters = _count_parameters(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"the config.json in {folder} cannot be used: {error}") from error
    present = [name for name in (*CONFIG_FILES, *TOKENIZER_FILES) if (folder / name).is_file()]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(
        folder / MANIFEST,
        {
            **origin,
            "model_type": config["model_type"],
            "parameters": parameters,
            "vocabulary": len(tokenizer),
            "files": {name: sha256(folder / name) for name in sorted([*present, *weights])},
        },
    )
