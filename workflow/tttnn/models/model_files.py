"""What a model's folder must hold, as far as its files tell without loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tttnn.files import name_within
from tttnn.reading import one_line

CONFIG_FILES = ("config.json", "generation_config.json")
SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", *SENTENCEPIECE)  # one is needed
TOKENIZER_FILES = (
    *VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"

# transformers' name of it, and that of checkpoints written by compressed-tensors
QUANTISED = ("quantization_config", "compression_config")


class ModelError(ValueError):
    """A model cannot be used; the message names it and the remedy."""


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises `ModelError` where it holds anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} cannot be read as JSON ({one_line(error)}): fetch the model again"
        ) from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no JSON object: fetch the model again")
    return value


def check_config(folder: Path) -> dict[str, Any]:
    """The content of `config.json`; raises `ModelError` where it says that weights are quantised.

    Adapting trains the weights, in float32, which whole numbers cannot follow.
    """
    path = folder / "config.json"
    config = read_object(path)
    if not isinstance(config.get("model_type"), str):
        raise ModelError(
            f"{path} has no model_type: add the name that transformers gives the architecture"
        )
    for part in (config, config.get("text_config")):
        for key in QUANTISED:
            if isinstance(part, dict) and part.get(key) is not None:
                said = part[key]
                method = said.get("quant_method", "unnamed") if isinstance(said, dict) else said
                raise ModelError(
                    f"the weights in {folder} are quantised ({path.name}: {key}, {method}), and "
                    "adapting needs real ones: take the checkpoint it was made from, or, where "
                    "that method's packages are installed, write it once with "
                    "AutoModelForCausalLM.from_pretrained(FOLDER).dequantize()"
                    ".save_pretrained(NEW_FOLDER) and use `kind: local`"
                )
    return config


def _index_names(folder: Path, links_to: Path | None) -> list[str]:
    """The files that the index of a model's weights names, each in its folder."""
    path = folder / WEIGHTS_INDEX
    weight_map = read_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{path} has no weight_map, which says where tensors are: fetch it again")
    named = []
    for name in weight_map.values():
        if name not in named:
            try:
                name_within(folder, name, path, links_to=links_to)
            except ValueError as error:
                raise ModelError(str(error)) from error
            if "/" in name or not name.endswith(".safetensors"):
                raise ModelError(
                    f"{path} names the file {name!r}, but weights are *.safetensors beside it: "
                    "correct it there, or take the model from another place"
                )
            named.append(name)
    return sorted(named)


def hub_blobs(folder: Path) -> Path | None:
    """Where the links in a snapshot of the hub's cache lead; None for any other folder."""
    return folder.parents[1] / "blobs" if folder.parent.name == "snapshots" else None


def weight_files(folder: Path) -> list[str]:
    """Names of the files of a model's weights, and of the index that lists them if there is one.

    Raises `ModelError` where they are not complete, only pickled, or where the index names
    anything but safetensors in `folder`.
    """
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    if (folder / WEIGHTS_INDEX).is_file():
        names = _index_names(folder, hub_blobs(folder.absolute()))
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
    check_config(folder)
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise ModelError(
            f"{folder} has no tokenizer ({', '.join(VOCABULARIES)}): save the one the model was "
            "trained with beside its weights, or name it with `tokenizer: id@revision`"
        )
    return weight_files(folder)
