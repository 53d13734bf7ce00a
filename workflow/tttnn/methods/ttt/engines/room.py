"""How many documents fit in flight."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from tttnn.methods.ttt.engines.batches import BATCH_TOKENS

BYTES = 4 + 4 + 8 + 2  # of a trained number: itself, gradient, two moments, a copy in bfloat16
WIDTHS = 40  # numbers kept of a token for backward in a layer, in multiples of the model's width
LOGITS = 4  # copies of a batch's: themselves, log-probabilities, the gradients of both
AT_MOST = {"cpu": 16, "cuda": 64}  # documents: with more, products are no faster
SHARE = 0.7  # of what is free: the rest is for fragments and for what kernels need


def free(device: torch.device) -> int:
    """Bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil  # which a bare GPU machine may lack

    return psutil.virtual_memory().available


def batch_bytes(model: PreTrainedModel) -> int:
    """What one pass of `BATCH_TOKENS` takes, roughly and rather too much."""
    config = model.config.get_text_config()
    numbers = config.vocab_size * LOGITS
    numbers += config.hidden_size * config.num_hidden_layers * WIDTHS
    return numbers * 4 * BATCH_TOKENS[model.device.type]


def documents_by_memory(model: PreTrainedModel, trained: int) -> int:
    """How many documents, each of `trained` numbers, the device holds beside a pass; 1 at least."""
    room = int(free(model.device) * SHARE) - batch_bytes(model)
    return min(AT_MOST[model.device.type], max(1, room // (trained * BYTES)))


def how_many(model: PreTrainedModel, trained: int, in_flight: int | None) -> int:
    """Documents in flight: as many as asked for, or, None, as memory holds.

    Raises `ValueError` for fewer than one.
    """
    if in_flight is None:
        return documents_by_memory(model, trained)
    if in_flight < 1:
        raise ValueError(f"{in_flight} documents in flight: ask for 1 or more")
    return in_flight


def why_no_room(model: PreTrainedModel, trained: int) -> str | None:
    """Why there is nothing to gain, if the device holds no two documents."""
    if documents_by_memory(model, trained) > 1:
        return None
    each, pass_ = trained * BYTES / 1e9, batch_bytes(model) / 1e9
    return (
        f"no two documents fit in {free(model.device) / 1e9:.1f} GB: each takes {each:.1f} GB, "
        f"and a batch {pass_:.1f} GB"
    )
