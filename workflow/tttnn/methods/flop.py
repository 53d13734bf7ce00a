"""Floating-point operations of a model's forward pass, from its configuration alone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tttnn.models.folder import choose_window


class Pass(NamedTuple):
    """FLOP of a token in a full window, and the window's tokens."""

    flop: float
    window: int


def _flop(model: PreTrainedModel, window: int) -> float:
    """2 for each weight that a token is multiplied with, 4 for each width, layer and other token.

    As `tttnn.needs.shapes.Shape.forward` counts for the plan; embeddings are looked up, and the
    output's are multiplied even where they are the same ones.
    """
    looked_up = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding)
        for parameter in module.parameters()
    }
    multiplied = sum(p.numel() for p in model.parameters() if id(p) not in looked_up)
    head = model.get_output_embeddings()
    if head is not None and id(head.weight) in looked_up:
        multiplied += head.weight.numel()
    config = model.config.get_text_config()
    return 2 * multiplied + 4 * config.num_hidden_layers * window * config.hidden_size


def of_folder(folder: Path, wanted: int | None) -> Pass:
    """Of a model's folder; no weights are read. `wanted` is the method's window, or null.

    Raises `ModelError` for a window that the model does not have.
    """
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    window = choose_window(model, wanted, "the method's window")
    return Pass(_flop(model, window), window)
