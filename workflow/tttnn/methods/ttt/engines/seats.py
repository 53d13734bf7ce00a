"""Modules of a model replaced for a while, and its weights in another precision for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from tttnn.methods.ttt.settings import Recipe

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


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
        yield
    finally:
        for name, module in before.items():
            model.set_submodule(name, module, strict=True)
        for parameter in trained:
            parameter.requires_grad_()


@contextmanager
def computing_in(model: PreTrainedModel, recipe: Recipe) -> Iterator[torch.dtype]:
    """The model's weights in the recipe's precision; after, they are bit for bit what they were."""
    dtype = PRECISIONS[getattr(recipe, "precision", "float32")]
    kept = [(parameter, parameter.data) for parameter in model.parameters()]
    try:
        if dtype != torch.float32:
            for parameter, data in kept:
                parameter.data = data.to(dtype)
        yield dtype
    finally:
        for parameter, data in kept:
            parameter.data = data
