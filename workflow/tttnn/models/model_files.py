"""What a model's folder must hold, as far as its files tell without loading it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tttnn.corpus.formats import BOM, JSON, POINTER, WEB_PAGE, WIDE_TEXT, Kind, first_bytes, kind_of
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

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")

# what transformers' configurations call the number of positions in config.json
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions")

# transformers' name of it, and that of checkpoints written by compressed-tensors
QUANTISED = ("quantization_config", "compression_config")


class ModelError(ValueError):
    """A model cannot be used; the message names it and the remedy."""


@contextmanager
def as_model_error(what: str, folder: Path | None = None) -> Iterator[None]:
    """Whatever a library raises within, about files that it reads, as one line.

    Nothing but calls of that library belongs within. Its kinds of error cannot be listed: the
    tokenizers raise bare `Exception`, and configurations raise what their own code stumbles over.
    With `folder`, a name that the library does not know is looked for in its config.json.
    """
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, KeyError):  # which says no more than the name
            _check_known(folder, error)
            said = f"it lacks {error}, or names it where transformers knows no such thing"
            raise ModelError(f"{what} cannot be read: {one_line(ValueError(said))}") from error
        raise ModelError(f"{what} cannot be read: {one_line(error)}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what Rust raises, in the tokenizers
            raise
        raise ModelError(f"{what} cannot be read: {one_line(error)}") from error


def _check_known(folder: Path | None, error: KeyError) -> None:
    """Raise `ModelError` where config.json has, as a setting, the name that was not found."""
    unknown = error.args[0] if error.args else None
    if folder is None or not isinstance(unknown, str):
        return
    for key, value in read_object(folder / "config.json").items():
        if value == unknown:
            raise ModelError(
                f"{folder / 'config.json'} says {key}: {unknown}, which transformers does not "
                "know: correct it to what the model was trained with"
            ) from error


def _is_really(path: Path, found: Kind) -> ModelError:
    """The error for a file of which the first bytes show that it is something else."""
    has_remedy = found in (POINTER, WEB_PAGE, WIDE_TEXT)  # others' are for files of a corpus
    remedy = found.remedy if has_remedy else "put what its name says in its place"
    return ModelError(f"{path} is {found.name}: {remedy}")


def check_kind(path: Path) -> None:
    """Raise `ModelError` for an unreadable file whose first bytes show why: it is something else.

    To be asked once reading has failed.
    """
    first = first_bytes(path) if path.is_file() else b""
    if path.suffix == ".safetensors" and first[8:9] == b"{":
        return  # it is, and the length before that may look like another format's mark
    found = kind_of(first)
    if found is not None and found != JSON:
        raise _is_really(path, found)


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises `ModelError` where it holds anything else."""
    try:
        content = path.read_bytes()
        if content.startswith(BOM) and not WEB_PAGE.mark.match(content):
            raise ModelError(
                f"{path} begins with a byte-order mark, at which transformers stops: save it "
                "without a byte-order mark (in an editor, as UTF-8 and not as UTF-8 with BOM)"
            )
        value = json.loads(content.decode("utf-8"))
    except ModelError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        check_kind(path)
        raise ModelError(
            f"{path} cannot be read as JSON ({one_line(error)}): fetch or copy it again"
        ) from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no JSON object: fetch or copy it again")
    return value


def check_config(folder: Path) -> dict[str, Any]:
    """The content of `config.json`; raises `ModelError` where no model can be as it says.

    Of quantised weights none can be used: adapting trains them, in float32, which whole numbers
    cannot follow.
    """
    path = folder / "config.json"
    config = read_object(path)
    if not isinstance(config.get("model_type"), str):
        raise ModelError(
            f"{path} has no model_type: add the name that transformers gives the architecture"
        )
    for part in (config, config.get("text_config")):
        if not isinstance(part, dict):
            continue
        for key in POSITIONS:
            stated = part.get(key)
            if isinstance(stated, int) and stated <= 0:
                raise ModelError(
                    f"{path} says {key}: {stated}: make it the number of tokens that the model was "
                    "trained for"
                )
        for key in QUANTISED:
            if part.get(key) is not None:
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
        raise ModelError(
            f"{path} has no weight_map, which says where tensors are: fetch or copy it again"
        )
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
                f"{folder} lacks {', '.join(missing)}, which {WEIGHTS_INDEX} names: fetch or "
                "copy them too"
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


def check_no_adapter(folder: Path) -> None:
    """Refuse an adapter, alone or beside its base model, which would be used without it."""
    if found := [name for name in ADAPTER_FILES if (folder / name).is_file()]:
        has_base = (folder / "config.json").is_file()
        alone = "" if has_base else "only "
        other = f", or remove {' and '.join(found)} to use the base model alone" if has_base else ""
        raise ModelError(
            f"{folder} holds {alone}an adapter ({found[0]}), which this workflow does not apply: "
            "merge it into its base model once, where peft is installed: PeftModel.from_pretrained"
            "(BASE_MODEL, FOLDER).merge_and_unload().save_pretrained(NEW_FOLDER), with the "
            f"tokenizer beside it{other}"
        )


def _check_no_gguf(folder: Path) -> None:
    """Refuse a folder whose weights are only in llama.cpp's format."""
    if any(folder.glob("*.safetensors")) or any(folder.glob("*.bin")):
        return
    if found := sorted(path.name for path in folder.glob("*.gguf")):
        raise ModelError(
            f"{folder} has its weights only as {found[0]}, in llama.cpp's format: take the model "
            "it was made from, or convert it to safetensors once, where gguf is installed: "
            f"AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file={found[0]!r})"
            ".save_pretrained(NEW_FOLDER), and AutoTokenizer likewise"
        )


def check_folder(folder: Path) -> list[str]:
    """Names of a model folder's weight files; raises `ModelError` if anything is missing."""
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}: check the model's path")
    check_no_adapter(folder)
    _check_no_gguf(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json: it is not a model in Hugging Face format")
    check_config(folder)
    for name in TOKENIZER_FILES:  # a vocabulary of lines of text would be read as one
        first = first_bytes(folder / name) if (folder / name).is_file() else b""
        if POINTER.mark.match(first):
            raise _is_really(folder / name, POINTER)
        if first.lower().startswith((b"<!doctype", b"<html", b"<?xml")):  # "<s>" may be a token
            raise _is_really(folder / name, WEB_PAGE)
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise ModelError(
            f"{folder} has no tokenizer ({', '.join(VOCABULARIES)}): save the one the model was "
            "trained with beside its weights, or name it with `tokenizer: id@revision`"
        )
    return weight_files(folder)
