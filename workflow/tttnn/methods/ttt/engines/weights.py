"""Weights in flight: all weights of a small model are trained for many documents in one batch.

Each document has its own copy of every weight. Products are batched over copies; attention, which
has no weights, is as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.measure import Adapted, Query
from tttnn.methods.ttt.engines.flight import Fleet, fly
from tttnn.methods.ttt.engines.recipes import check_rate, precision, why_not
from tttnn.methods.ttt.engines.room import how_many, why_no_room
from tttnn.methods.ttt.engines.seats import replaced
from tttnn.methods.ttt.engines.stacked_adamw import Stack
from tttnn.methods.ttt.engines.stacked_layers import StackedLayer, stacked
from tttnn.methods.ttt.precision import weights as lowered
from tttnn.methods.ttt.settings import Recipe

ARCHITECTURES = {"gpt2", "gpt_neo", "llama", "mistral", "qwen2"}


def _holders(model: nn.Module) -> dict[str, nn.Module]:
    """Modules that hold weights themselves, not by way of others."""
    return {
        name: module for name, module in model.named_modules() if any(True for _ in _own(module))
    }


def _own(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return module.named_parameters(recurse=False)


def fits(model: PreTrainedModel, recipe: Recipe, device: torch.device | str) -> str | None:
    """Why this engine cannot take the model under this recipe; None if it can."""
    if recipe.lora is not None:
        return "lora: this engine trains all weights"
    if recipe.train != "all":
        return f"train: {recipe.train}, and this engine trains all weights"
    if model.config.model_type not in ARCHITECTURES:
        return (
            f"{model.config.model_type} is not among the architectures that are written for "
            f"stacked weights: {', '.join(sorted(ARCHITECTURES))}"
        )
    if not all(parameter.requires_grad for parameter in model.parameters()):
        return "some weights are frozen, and this engine trains all"
    for name, module in _holders(model).items():
        if stacked(module) is None:
            return f"{name} is a {type(module).__name__}, which no stacked layer stands in for"
    size = sum(parameter.numel() for parameter in model.parameters())
    return why_not(model, recipe, device) or why_no_room(model, size)


def _places(
    model: PreTrainedModel, documents: int, dtype: torch.dtype
) -> tuple[Stack, dict[str, StackedLayer]]:
    """Copies of the weights, one for tied ones, and the layers that compute with them."""
    holders = _holders(model)
    uses = Counter(id(weight) for module in holders.values() for _, weight in _own(module))
    weights = {id(weight): weight for module in holders.values() for _, weight in _own(module)}
    shared = [uses[key] > 1 or _is_table(holders, key) for key in weights]
    stack = Stack(list(weights.values()), shared, documents, dtype)
    entries = dict(zip(weights, stack.entries, strict=True))
    anchor = torch.zeros((), device=model.device, requires_grad=True)
    places = {}
    for name, module in holders.items():
        own = {key: entries[id(weight)] for key, weight in _own(module)}
        kind = stacked(module)
        assert kind is not None
        places[name] = kind(module, stack, anchor, own)
    return stack, places


def _is_table(holders: dict[str, nn.Module], key: int) -> bool:
    """Whether a weight is an embedding's, whose gradient is added row by row."""
    return any(
        isinstance(module, nn.Embedding) and id(module.weight) == key for module in holders.values()
    )


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
    while it runs, and put back when the generator ends or is closed; its weights are only read.

    Raises `ValueError` if `fits` says why not, and where the reference does.
    """
    if reason := fits(model, recipe, model.device):
        raise ValueError(f"weights in flight: {reason}")
    check_rate(recipe)
    size = sum(parameter.numel() for parameter in model.parameters())
    documents = how_many(model, size, in_flight)
    stack, places = _places(model, documents, precision(recipe))
    base, give_back = lowered(model, [], recipe.precision)
    try:
        with replaced(model, places):
            fleet = Fleet(model, base, stack, recipe, window)
            yield from fly(fleet, tokenizer, queries, documents)
    finally:
        give_back()
