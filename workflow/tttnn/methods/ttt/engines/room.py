"""How many documents fit in flight, and what is asked of a recipe."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from tttnn.methods.ttt.engines.flight import BATCH_TOKENS
from tttnn.methods.ttt.settings import Recipe

BYTES = 4 + 4 + 8 + 2  # of a trained number: itself, gradient, two moments, a copy in bfloat16
WIDTHS = 40  # numbers kept of a token for backward in a layer, in multiples of the model's width
LOGITS = 3  # copies of a batch's: themselves, log-probabilities, gradients
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
    return numbers * 4 * BATCH_TOKENS


def documents_by_memory(model: PreTrainedModel, trained: int, at_most: int) -> int:
    """How many documents, each of `trained` numbers, the device holds beside a pass; 1 at least."""
    room = int(free(model.device) * SHARE) - batch_bytes(model)
    return max(1, min(at_most, room // (trained * BYTES)))


def check_rate(recipe: Recipe) -> None:
    """Raises `ValueError` for a recipe without a learning rate."""
    if recipe.learning_rate is None:
        raise ValueError(
            "the recipe has no learning_rate: set it, or take the model's adapt_learning_rate"
        )
