"""What of a model is trained (`train` of a recipe), found by what transformers' modules are.

`mlp_out` is the linear layer by which each block's MLP leads back to the model's width (GPT-2's
`mlp.c_proj`, Llama's `mlp.down_proj`), `last_quarter` the last quarter of the blocks, rounded up,
and `query` the layer that makes queries in each block. Biases are trained with their layers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tttnn.methods.ttt.settings import Lora, Recipe

ATTENTION = ("attn", "attention")  # in the names of modules
QUERY = ("q_proj", "query")


class PartError(ValueError):
    """A model without the part that a recipe trains."""


def add_adapters(model: PreTrainedModel, lora: Lora, seed: int) -> Callable[[], object]:
    """Freeze the weights and put low-rank adapters beside them; returns what takes them off.

    Adapters start at zero effect, so the model is still the same function.
    """
    from peft import LoraConfig, get_peft_model  # two seconds, and rarely needed

    trainable = [p for p in model.parameters() if p.requires_grad]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # any number: it is divided by r, no more
        target_modules=lora.targets,
    )
    torch.manual_seed(seed)
    with warnings.catch_warnings(category=UserWarning, action="ignore"):
        adapted = get_peft_model(model, config)  # says that GPT-2 stores its weights transposed

    def take_off() -> None:
        adapted.unload()
        for parameter in trainable:
            parameter.requires_grad_()

    return take_off


def _name(model: PreTrainedModel) -> str:
    return model.config.model_type


def _blocks(model: PreTrainedModel, train: str) -> nn.ModuleList:
    count = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise PartError(
        f"train: {train}: no list of {count} blocks was found in {_name(model)}: set train: all, "
        "or lora"
    )


def _linears(block: nn.Module, in_attention: bool) -> dict[str, nn.Module]:
    """Linear layers of a block, inside its attention or outside."""
    return {
        name: module
        for name, module in block.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and in_attention == any(part in name for part in ATTENTION)
    }


def _sizes(layer: nn.Module) -> tuple[int, int]:
    """In, out."""
    weight: Any = layer.weight
    rows, columns = weight.shape
    return (rows, columns) if isinstance(layer, Conv1D) else (columns, rows)


def _mlp_out(model: PreTrainedModel, block: nn.Module) -> dict[str, nn.Module]:
    width = model.config.get_text_config().hidden_size
    if not _linears(block, in_attention=True):
        return {}  # no transformer's block: what leads back may be anything
    found = {}
    for name, layer in _linears(block, in_attention=False).items():
        into, out = _sizes(layer)
        if out == width and into != width:
            found[name] = layer
    return found


def _query(block: nn.Module) -> dict[str, nn.Module]:
    linears = _linears(block, in_attention=True)
    return {name: layer for name, layer in linears.items() if name.rpartition(".")[2] in QUERY}


def _layers(model: PreTrainedModel, train: str) -> list[nn.Module]:
    """The modules whose weights are trained."""
    blocks = _blocks(model, train)
    if train == "last_quarter":
        return list(blocks[len(blocks) - math.ceil(len(blocks) / 4) :])
    chosen: list[nn.Module] = []
    for number, block in enumerate(blocks):
        found = _mlp_out(model, block) if train == "mlp_out" else _query(block)
        if len(found) != 1:
            there = ", ".join(found) or "none"
            known = ", ".join(chain(_linears(block, True), _linears(block, False)))
            raise PartError(
                f"train: {train}: block {number} of {_name(model)} must have one such layer, and "
                f"has {there} (its linear layers: {known or 'none'}): set train: all, last_quarter "
                "or lora"
            )
        chosen.extend(found.values())
    return chosen


def only_trained(model: PreTrainedModel, recipe: Recipe) -> Callable[[], object]:
    """Let nothing but what the recipe trains take gradients; returns what undoes that.

    Raises `PartError`, and changes nothing, for a model that the part is not found in.
    """
    if recipe.lora is not None:
        return add_adapters(model, recipe.lora, recipe.seed)
    if recipe.train == "all":
        return lambda: None
    layers = _layers(model, recipe.train)
    chosen = {id(parameter) for layer in layers for parameter in layer.parameters()}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen]
    for parameter in frozen:
        parameter.requires_grad_(False)

    def undo() -> None:
        for parameter in frozen:
            parameter.requires_grad_()

    return undo
