"""Models in Hugging Face format: load one, or write down what it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from tttnn.files import sha256, write_json
from tttnn.models.model_files import (
    CONFIG_FILES,
    TOKENIZER_FILES,
    ModelError,
    as_model_error,
    check_config,
    check_folder,
)
from tttnn.models.probes import (
    check_causal,
    check_encoder,
    check_vocabulary,
    learned_positions,
    rows_of_positions,
)
from tttnn.models.tensors import (
    check_counts,
    check_filled,
    check_surplus,
    check_tables,
    read_shapes,
)
from tttnn.models.tokenizer import LOCAL, load_tokenizer

MANIFEST = "manifest.json"


# --- loading ---------------------------------------------------------------------------------


def _load_config(folder: Path) -> PreTrainedConfig:
    check_config(folder)
    with as_model_error(f"{folder / 'config.json'}"):
        return AutoConfig.from_pretrained(folder, **LOCAL)


def _load(
    auto_class: Any, folder: Path, device: str, probe: Callable[[PreTrainedModel], None]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model and its tokenizer, which fit together and the folder's config.json.

    `auto_class` is one of transformers'; their types do not say all that these return.
    `probe` refuses a model that does not do what it is wanted for, before it is asked whether
    parts of the weights are left out: a model for another use has such parts.
    """
    shapes = read_shapes(folder, check_folder(folder))
    config = _load_config(folder)
    if config.is_encoder_decoder:
        raise ModelError(
            f"{folder} holds an encoder-decoder ({config.model_type}), of which this workflow has "
            "no use: take a causal model to evaluate, and an encoder to embed with"
        )
    tokenizer = load_tokenizer(folder)
    what = f"the model in {folder}"
    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it warns of heads that are left out, and of what is missing
    try:
        with as_model_error(what, folder):
            check_counts(config, shapes, folder)
            with torch.device("meta"):
                sketch = auto_class.from_config(config, trust_remote_code=False)
            check_tables(sketch, folder)
        # a pooler is a head, absent from masked-language-model checkpoints; the mean needs none
        options: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True}
        if "add_pooling_layer" in inspect.signature(type(sketch).__init__).parameters:
            options["add_pooling_layer"] = False
        with as_model_error(what, folder):  # first without memory for the weights
            planned, report = auto_class.from_pretrained(
                folder,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                device_map="meta",
                **options,
                **LOCAL,
            )
        check_filled(report, planned, folder)
        with as_model_error(what, folder):
            model = auto_class.from_pretrained(folder, **options, **LOCAL)
    finally:
        logging.set_verbosity(verbosity)
    check_vocabulary(model, tokenizer, folder)
    model = model.to(device).eval()
    probe(model)
    check_surplus(report, model, shapes, folder)
    return model, tokenizer


def load_causal(
    folder: Path, *, device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model with float32 weights, in evaluation mode, and its tokenizer.

    Only local files are read, and weights only from safetensors. Raises `ModelError` where files
    or tensors are missing, surplus or damaged, where a later token changes what the model says of
    an earlier one, and where the tokenizer has neither a beginning-of-text nor an end-of-text
    token, on which the first token of every document is conditioned.
    """

    def probe(model: PreTrainedModel) -> None:
        check_causal(model, folder, _positions(model))

    model, tokenizer = _load(AutoModelForCausalLM, folder, device, probe)
    if tokenizer.eos_token_id is None and tokenizer.bos_token_id is None:
        raise ModelError(
            f"{folder} is a model whose tokenizer has neither a beginning-of-text nor an "
            "end-of-text token: set eos_token in its tokenizer_config.json to the token that "
            "separated documents in its training"
        )
    return model, tokenizer


def load_encoder(
    folder: Path, *, device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An encoder without heads, with float32 weights, in evaluation mode, and its tokenizer.

    The tokenizer's `model_max_length` is at most what the encoder has positions for. Raises
    `ModelError` where files or tensors are missing, surplus or damaged, where the model has not
    one vector a token, or the tokenizer no padding token.
    """

    def probe(model: PreTrainedModel) -> None:
        check_encoder(model, folder)

    model, tokenizer = _load(AutoModel, folder, device, probe)
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"{folder} is an embedder whose tokenizer has no padding token: set pad_token in its "
            "tokenizer_config.json"
        )
    if positions := _positions(model):  # encoders with rotary ones may state none
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return model, tokenizer


# --- positions -------------------------------------------------------------------------------


def _positions(model: PreTrainedModel) -> int | None:
    """The number of tokens a model has positions for, or None where it has as many as one likes."""
    config = model.config.get_text_config()
    # transformers maps GPT-2's n_positions and others to the first of these; the second is MPT's,
    # the third that of decoders of speech, such as Whisper's
    for name in ("max_position_embeddings", "max_seq_len", "max_target_positions"):
        stated = getattr(config, name, None)
        if isinstance(stated, int) and stated > 0:
            rows = rows_of_positions(model)
            return stated if rows is None else min(stated, rows)
    return learned_positions(model)


def context_length(model: PreTrainedModel) -> int:
    """The number of tokens a model has positions for; raises `ModelError` if it does not say."""
    positions = _positions(model)
    if positions is None:
        raise ModelError(
            f"the config of {_name(model)} states no number of positions (n_positions or "
            "max_position_embeddings), as is right for state-space models and ALiBi: give the "
            "method a `window:` (or --window), in tokens, or add it to its config.json"
        )
    return positions


def choose_window(
    model: PreTrainedModel,
    wanted: int | None,
    setting: str,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> int:
    """How many tokens a model is given at once: `wanted`, or its context length if that is None.

    `setting` is where `wanted` comes from; with a `tokenizer`, no more than it states. Raises
    `ModelError` where the model has not as many positions (those with rotary ones would go on, and
    give numbers that mean nothing), or states none and nothing is wanted.
    """
    if wanted is None:
        return context_length(model)
    positions = _positions(model)
    if tokenizer is not None:
        positions = min(positions or tokenizer.model_max_length, tokenizer.model_max_length)
    if wanted < 1:
        raise ModelError(f"{setting} is {wanted} tokens: it must be at least 1")
    if positions is not None and wanted > positions:
        raise ModelError(
            f"{setting} is {wanted} tokens, but {_name(model)} has positions for {positions}: "
            f"lower it to {positions} or less"
        )
    return wanted


def _name(model: PreTrainedModel) -> str:
    return model.config.name_or_path or model.config.model_type


# --- the manifest ----------------------------------------------------------------------------


def _usable(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, bool]:
    """A folder's model, and is it a causal one? If not, it can embed; else raises `ModelError`."""
    try:
        return *load_causal(folder), True
    except ModelError as error:
        as_causal = error.with_traceback(None)  # which would hold the model in memory
    try:
        return *load_encoder(folder), False
    except ModelError as as_encoder:
        made_as = str((_load_config(folder).architectures or [""])[0])
        is_causal = made_as.endswith(("LMHeadModel", "ForCausalLM"))
        raise (as_causal if is_causal else as_encoder) from None


def write_manifest(
    folder: Path, origin: dict[str, Any], *, causal: bool = False, also: Sequence[str] = ()
) -> None:
    """Write `manifest.json`, which identifies a model by content, into its folder.

    `origin` says where the model came from. The manifest adds `model_type`, `parameters` (tied ones
    once), `causal` (may it be evaluated, or only embed?), `vocabulary` and `files`, the SHA-256 of
    each file of config, tokenizer and weights, and of those that `also` names.

    The model is loaded on the way; raises `ModelError` where it is of no use, or, with `causal`,
    not as a language model.
    """
    weights = check_folder(folder)
    model, tokenizer, is_causal = (*load_causal(folder), True) if causal else _usable(folder)
    present = [name for name in (*CONFIG_FILES, *TOKENIZER_FILES) if (folder / name).is_file()]
    write_json(
        folder / MANIFEST,
        {
            **origin,
            "model_type": check_config(folder)["model_type"],
            "causal": is_causal,
            "parameters": model.num_parameters(),
            "vocabulary": len(tokenizer),
            "files": {name: sha256(folder / name) for name in sorted([*present, *weights, *also])},
        },
    )
