"""Parts of models that compute the same with fewer passes over memory.

Swapped in while a model is adapted, and taken out again. Each gives what the part gives but for
rounding, and draws the same random numbers, or the part stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn.functional import gelu, scaled_dot_product_attention
from transformers import PreTrainedModel, masking_utils
from transformers.activations import NewGELUActivation
from transformers.models.gpt_neo import modeling_gpt_neo

Forward = Callable[..., object]


def _gelu(module: Any) -> tuple[str, Forward]:
    """GPT-2's activation, which is eight passes as it is written, in one."""
    return "forward", lambda hidden: gelu(hidden, approximate="tanh")


def _neo_attention(module: Any) -> tuple[str, Forward] | None:
    """GPT-Neo's attention, whose scores are not scaled, without holding them for all pairs.

    Scores are summed in float32 as there. With dropout on them the random numbers would be others.
    Any mask that it is given says what the causal one says: the engines pad on the right alone.
    """
    if module.attn_dropout.p or module.attention_type not in ("global", "local"):
        return None

    def attend(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, None]:
        length = query.shape[-2]
        near = module.attention_type == "local" and length > module.config.window_size
        mask = module.bias[:, :, :length, :length] if near else None
        attended = scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=not near, scale=1.0
        )
        return attended, None

    return "_attn", attend


SWAPS = {NewGELUActivation: _gelu, modeling_gpt_neo.GPTNeoSelfAttention: _neo_attention}


def _no_padding(*_: object) -> None:
    """Nothing to warn of; to look for padding tokens would be to wait for the device."""


def _one_sequence(position_ids: torch.Tensor) -> None:
    """No text is packed with others; to look at the positions would be to wait for the device."""


def _no_mask(*_: object, **__: object) -> None:
    """GPT-Neo's attention has its causal mask in itself, and there is no other."""


FUNCTIONS = (
    (masking_utils, "find_packed_sequence_indices", _one_sequence),
    (modeling_gpt_neo, "create_causal_mask", _no_mask),
)
"""What transformers' modules call that waits for the device, or copies to it, to no end here."""


@contextmanager
def swapped(model: PreTrainedModel) -> Iterator[None]:
    """Swap what can be in, and take it out at the end."""
    with ExitStack() as undo:
        for where, name, function in FUNCTIONS:
            if hasattr(where, name):  # they are no part of what transformers promises
                undo.callback(setattr, where, name, getattr(where, name))
                setattr(where, name, function)
        for module in model.modules():
            swap = SWAPS.get(type(module))
            found = swap(module) if swap else None
            if isinstance(module, PreTrainedModel):
                found = "warn_if_padding_and_no_attention_mask", _no_padding
            if found is not None:
                setattr(module, *found)
                undo.callback(delattr, module, found[0])
        yield
