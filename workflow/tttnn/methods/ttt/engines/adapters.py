"""Adapters in flight: low-rank adapters of many documents are trained in one batch.

The product with the frozen weights is one for all documents, those with adapters are batched.
Each document has its own steps, clipping and AdamW, so that it comes out as one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from tttnn.methods.measure import Adapted, Query
from tttnn.methods.ttt.engines.flight import Fleet, fly
from tttnn.methods.ttt.engines.low_rank import AdaptedLinear, adapters
from tttnn.methods.ttt.engines.recipes import check_rate, precision, why_not
from tttnn.methods.ttt.engines.room import how_many
from tttnn.methods.ttt.engines.seats import replaced
from tttnn.methods.ttt.engines.stacked_adamw import Stack
from tttnn.methods.ttt.precision import weights as lowered
from tttnn.methods.ttt.settings import Lora, Recipe

ARCHITECTURES = {
    "cohere",
    "falcon",
    "gemma2",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gptj",
    "granite",
    "llama",
    "mistral",
    "olmo2",
    "phi",
    "qwen2",
    "qwen3",
    "stablelm",
    "starcoder2",
}
"""Causal models whose linear layers all see (documents, t, in)."""


def fits(model: PreTrainedModel, recipe: Recipe, device: torch.device | str) -> str | None:
    """Why this engine cannot take the model under this recipe; None if it can."""
    if recipe.lora is None:
        return "lora: null, and this engine trains adapters"
    if model.config.model_type not in ARCHITECTURES:
        return (
            f"{model.config.model_type} is not among the architectures whose linear layers are "
            "known to see one row for each document"
        )
    for name, module in model.named_modules():
        if _is_named(name, recipe.lora) and not isinstance(module, nn.Linear | Conv1D):
            return f"lora.targets: {name} is a {type(module).__name__}, not a linear layer"
    return why_not(model, recipe, device)


def _is_named(module: str, lora: Lora) -> bool:
    """Whether a module is among named targets, by the end of its name."""
    if isinstance(lora.targets, str):
        return False
    return any(module == name or module.endswith(f".{name}") for name in lora.targets)


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Recipe,
    window: int,
    in_flight: int | None = None,
) -> Iterator[Adapted]:
    """What `tttnn.methods.ttt.engine.adapt` yields, with `in_flight` documents at a time.

    None: as many as memory holds (`how_many`). The model's modules are replaced
    while it runs, and put back when the generator ends or is closed.

    Raises `ValueError` if `fits` says why not, and where the reference does.
    """
    if reason := fits(model, recipe, model.device):
        raise ValueError(f"adapters in flight: {reason}")
    assert recipe.lora is not None
    check_rate(recipe)
    made = adapters(model, recipe.lora, recipe.seed)
    size = sum(adapter.down.numel() + adapter.up.numel() for adapter in made)
    documents = how_many(model, size, in_flight)
    factors = [factor for adapter in made for factor in (adapter.down, adapter.up)]
    places: dict[str, nn.Module] = {}
    stack = Stack(factors, [False] * len(factors), documents, precision(recipe))
    anchor = torch.zeros((), device=model.device, requires_grad=True)
    for adapter, down, up in zip(made, stack.entries[::2], stack.entries[1::2], strict=True):
        base = model.get_submodule(adapter.layer)
        places[adapter.layer] = AdaptedLinear(base, stack, anchor, down, up, adapter.scale)
    own, give_back = lowered(model, [], recipe.precision)
    try:
        with replaced(model, places):
            fleet = Fleet(model, own, stack, recipe, window)
            yield from fly(fleet, tokenizer, queries, documents)
    finally:
        give_back()
