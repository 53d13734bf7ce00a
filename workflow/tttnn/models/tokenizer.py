"""The tokenizer of a model's folder, or what is wrong with its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER
from transformers.utils import logging

from tttnn.models.model_files import (
    SENTENCEPIECE,
    TOKENIZER_FILES,
    ModelError,
    as_model_error,
    read_object,
)

LOCAL = {"local_files_only": True, "trust_remote_code": False}
MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")  # all that tokenizers has, in 2026


@contextmanager
def _quiet_without(path: Path) -> Iterator[None]:
    """Where `path` is missing, transformers tells at length what it tries in its place."""
    verbosity = logging.get_verbosity()
    if not path.is_file():
        logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _check_files(folder: Path, error: ModelError) -> None:
    """Raise `ModelError` that names the file for which a tokenizer was refused with `error`."""
    for name in TOKENIZER_FILES:
        if name.endswith(".json") and (folder / name).is_file():
            content = read_object(folder / name)
            if name != "tokenizer.json":
                continue
            model = content.get("model")
            kind = model.get("type") if isinstance(model, dict) else None
            said = f"a model of type {kind!r}" if kind and kind not in MODELS else "parts"
            if said != "parts" or "did not match any variant" in str(error):
                raise ModelError(
                    f"{folder / name} has {said} that tokenizers does not know here, and was made "
                    "by a newer tokenizers or is damaged: update tokenizers and transformers, or "
                    "save it anew with the versions that are installed here"
                ) from error


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model's folder; raises `ModelError` where there is none."""
    try:
        with (
            as_model_error(f"the tokenizer in {folder}"),
            _quiet_without(folder / "tokenizer.json"),
        ):
            tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
            # without its files, transformers makes one that knows nothing
            names = {"tokenizer.json", *tokenizer.vocab_files_names.values()} - {None}
            missing = sorted(name for name in names if not (folder / name).is_file())
            if "tokenizer.json" in missing and len(missing) > 1:
                raise ModelError(
                    f"the tokenizer in {folder}, a {type(tokenizer).__name__}, lacks "
                    f"{' or '.join(missing)}: save all files of the one the model was trained with"
                )
            most = tokenizer.model_max_length
            if isinstance(most, bool) or not isinstance(most, (int, float)) or not most >= 1:
                raise ModelError(
                    f"{folder / 'tokenizer_config.json'} says model_max_length: {most!r}: make it "
                    "the number of tokens that the model takes"
                )
            tokenizer.model_max_length = int(min(most, VERY_LARGE_INTEGER))
            tokenizer("one text", add_special_tokens=False)  # some faults show only then
            return tokenizer
    except ModelError as error:
        _check_files(folder, error)
        pieces = [name for name in SENTENCEPIECE if (folder / name).is_file()]
        if not pieces or (folder / "tokenizer.json").is_file():
            raise
        raise ModelError(
            f"{folder} has its tokenizer only as {pieces[0]}, in sentencepiece's format, which "
            "must be converted. Once, where sentencepiece and protobuf (or tiktoken) are "
            "installed: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes "
            "tokenizer.json beside it"
        ) from error
