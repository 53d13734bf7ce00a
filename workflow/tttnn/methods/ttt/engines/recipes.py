"""What documents in flight ask of a recipe."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from tttnn.methods.ttt.settings import Recipe

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def why_not(model: PreTrainedModel, recipe: Recipe, device: torch.device | str) -> str | None:
    """Why documents cannot be trained side by side under this recipe, if they cannot."""
    if (kind := torch.device(device).type) not in ("cpu", "cuda"):
        return f"{kind}: batches are made for cpu and cuda"
    if key := recipe.depends_on_order:
        return f"{key}: a document's result depends on those before it"
    if recipe.dropout == "as_model" and (name := _dropout(model)):
        return (
            f"dropout: as_model, and {name} is above 0: its masks come from one stream of random "
            "numbers for each document; set dropout: none"
        )
    if recipe.optimizer != "adamw":
        return "optimizer: documents in flight are trained with adamw"
    if recipe.reuse != 1:
        return "reuse: gradients are not reused with documents in flight"
    return None


def _dropout(model: PreTrainedModel) -> str | None:
    """The first place where the model drops something while it is trained."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and module.p > 0:
            return name
        for key, value in vars(module).items():
            if "drop" in key and isinstance(value, float) and value > 0:
                return f"{name}.{key}"
    return None


def precision(recipe: Recipe) -> torch.dtype:
    """What a recipe has the model train in; it is evaluated in float32."""
    return PRECISIONS[recipe.precision]


def check_rate(recipe: Recipe) -> None:
    """Raises `ValueError` for a recipe without a learning rate."""
    if recipe.learning_rate is None:
        raise ValueError(
            "the recipe has no learning_rate: set it, or take the model's adapt_learning_rate"
        )
