"""What a model does, found by running it on a few tokens; its name does not tell."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.models.model_files import ModelError
from tttnn.reading import one_line

PROBED = 16  # tokens
# An earlier logit may move by this share of what later ones move by. Where the arithmetic does not
# depend on the rest of a batch it moves by 0; where experts gather tokens, by 1e-7. The weakest
# encoders, tiny and with random weights, are at 1e-3.
TOLERANCE = 1e-5


def highest_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The highest token id that a tokenizer may give."""
    return max(tokenizer.get_vocab().values(), default=-1)


def _embedded(model: PreTrainedModel) -> int:
    """For how many token ids a model has an embedding; raises `ModelError` if it has none."""
    try:
        weight = getattr(model.get_input_embeddings(), "weight", None)
    except (NotImplementedError, AttributeError):  # what models of sound, bytes and pictures raise
        weight = None
    if not isinstance(weight, torch.Tensor) or weight.ndim != 2:
        raise ModelError(
            f"{model.config.name_or_path} holds a {type(model).__name__}, which has no table of "
            "embeddings for tokens: take a model that reads text as a tokenizer's tokens"
        )
    return weight.shape[0]


def check_vocabulary(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Refuse a tokenizer without tokens, or with ids that the model's embedding does not have."""
    highest = highest_id(tokenizer)
    if highest < 0:
        raise ModelError(
            f"the tokenizer in {folder} has no tokens: save the one the model was trained with, "
            "all of its files, beside its weights"
        )
    rows = _embedded(model)
    if highest >= rows:
        beyond = tokenizer.convert_ids_to_tokens(highest)
        raise ModelError(
            f"the tokenizer in {folder} has ids up to {highest} ({beyond!r}), but the model's "
            f"embedding has {rows} rows: take the tokenizer the model was trained with, remove the "
            "tokens that were added to it, or resize the embedding and train it"
        )


def _ids(model: PreTrainedModel, rows: int, length: int) -> torch.Tensor:
    """Tokens, (rows, length), none of them the padding token, the same each time."""
    vocabulary = _embedded(model)
    choice = torch.arange(vocabulary)
    padding = getattr(model.config.get_text_config(), "pad_token_id", None)
    if isinstance(padding, int) and 0 <= padding < vocabulary and vocabulary > 2:
        choice = choice[choice != padding]
    generator = torch.Generator().manual_seed(0)
    return choice[torch.randint(len(choice), (rows, length), generator=generator)]


@torch.inference_mode()
def check_causal(model: PreTrainedModel, folder: Path | str, longest: int | None = None) -> None:
    """Raises `ModelError` unless a token's logits depend on those before it and on it, alone.

    Two inputs that agree in their first half are run twice. `longest` is what the model has
    positions for.
    """
    length = min(PROBED, longest or PROBED)
    ids = _ids(model, 2, length)
    half = length // 2
    ids[1, :half] = ids[0, :half]
    ids = ids.to(model.device)
    try:
        logits, again = (model(input_ids=ids, use_cache=False).logits.float() for _ in range(2))
    except Exception as error:  # whatever a config.json makes a model's own code raise
        raise ModelError(
            f"{folder} holds a model that cannot be run on text alone: {one_line(error)}"
        ) from error
    if logits.shape[:2] != ids.shape:
        raise ModelError(f"{folder} holds a model that does not predict each token of a text")
    if not logits.isfinite().all():
        raise ModelError(
            f"the model in {folder} gives logits that are not finite: its weights are damaged, or "
            "need more than float32; fetch or copy it again"
        )
    difference = (logits[0] - logits[1]).abs()
    allowed = TOLERANCE * difference[half:].max()
    if (logits - again).abs().max() > allowed:
        raise ModelError(
            f"{folder} holds a model that answers the same text differently each time: set its "
            "dropout, or what else is random in it, to 0 in its config.json"
        )
    if difference[:half].max() > allowed:
        raise ModelError(
            f"{folder} holds no causal language model ({type(model).__name__}): it sees the token "
            "it should predict, for a later token changes what it says of earlier ones. Use it as "
            "an embedder, set is_decoder in its config.json if it was trained as one, and evaluate "
            "a causal model"
        )


@torch.inference_mode()
def check_encoder(model: PreTrainedModel, folder: Path) -> None:
    """Raises `ModelError` unless a model turns tokens into a vector each."""
    ids = _ids(model, 1, 4).to(model.device)
    try:
        hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        shape, finite = tuple(hidden.shape), bool(hidden.isfinite().all())
    except Exception as error:  # as above
        raise ModelError(
            f"{folder} holds a {type(model).__name__}, which is no encoder of text alone: "
            f"{one_line(error)}"
        ) from error
    if not finite:
        raise ModelError(
            f"the model in {folder} gives vectors that are not finite: its weights are damaged, or "
            "need more than float32; fetch or copy it again"
        )
    if shape != (*ids.shape, model.config.hidden_size):
        raise ModelError(
            f"{folder} holds a {type(model).__name__}, which has not one vector of "
            f"{model.config.hidden_size} numbers a token, but a last hidden state of shape {shape}"
        )


@torch.inference_mode()
def sees_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Do an encoder's vectors depend on how much padding follows a text, whatever the mask says?

    Those of Fourier transforms, convolutions and landmarks do: texts of unequal length must not
    share a batch, or a vector would depend on its neighbours there.
    """
    ids = _ids(model, 1, max(1, min(PROBED, tokenizer.model_max_length) // 2)).to(model.device)
    padded = torch.cat([ids, torch.full_like(ids, tokenizer.pad_token_id)], dim=1)
    mask = torch.cat([torch.ones_like(ids), torch.zeros_like(ids)], dim=1)
    alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    beside = model(input_ids=padded, attention_mask=mask).last_hidden_state[:, : ids.shape[1]]
    return bool((alone - beside).abs().max() > TOLERANCE * alone.abs().max())


def rows_of_positions(model: nn.Module) -> int | None:
    """How many tokens fit a table of positions that starts after the padding id; None without one.

    RoBERTa and those made after it count positions from the padding id plus one, whatever that is,
    and tell the table so.
    """
    fits = [
        module.weight.shape[0] - module.padding_idx - 1
        for name, module in model.named_modules()
        if "position" in name.rpartition(".")[2]
        and isinstance(getattr(module, "padding_idx", None), int)
        and isinstance(getattr(module, "weight", None), torch.Tensor)
    ]
    return min(fits, default=None)


def learned_positions(model: nn.Module) -> int | None:
    """How many tokens a model's tables of absolute positions have rows for; None without one.

    Bart's kind and OPT begin at an `offset` into theirs.
    """
    rows = [
        module.num_embeddings - (getattr(module, "offset", None) or 0)
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding)
        and ("position" in (last := name.rpartition(".")[2]) or last == "wpe")
        and "relative" not in last
    ]
    return min(rows, default=None)
