"""Modules of a model replaced for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

CAUSAL = "causal_without_mask"
"""An attention for which transformers makes no masks: it knows none of this name."""


def _attends_to_all(model: PreTrainedModel) -> bool:
    """Whether every layer sees all that comes before a token, by a function that has a name."""
    config: Any = model.config
    if config._attn_implementation != "sdpa" or not model._supports_attention_backend:
        return False
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    return getattr(config, "sliding_window", None) is None and set(kinds) == {"full_attention"}


@contextmanager
def _waiting_for_nothing(model: PreTrainedModel) -> Iterator[None]:
    """No mask is made where causal attention needs none, and no batch is looked at for padding.

    For either, transformers reads from the device in each forward pass, which the host waits for.
    """
    config = model.config
    attention, padding = config._attn_implementation, config.pad_token_id
    try:
        config.pad_token_id = None
        if _attends_to_all(model):
            AttentionInterface.register(CAUSAL, sdpa_attention_forward)
            config._attn_implementation = CAUSAL
        yield
    finally:
        config._attn_implementation, config.pad_token_id = attention, padding


@contextmanager
def replaced(model: PreTrainedModel, places: Mapping[str, nn.Module]) -> Iterator[None]:
    """Modules stand in these places, nothing takes gradients, nothing is dropped; until the end."""
    before = {name: model.get_submodule(name) for name in places}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        for name, module in places.items():
            model.set_submodule(name, module, strict=True)
        model.eval()
        with _waiting_for_nothing(model):
            yield
    finally:
        for name, module in before.items():
            model.set_submodule(name, module, strict=True)
        for parameter in trained:
            parameter.requires_grad_()
