"""Linear layers with low-rank adapters of many documents: one base product, batched small ones."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import linear
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tttnn.methods.ttt.engines.stacked_adamw import Entry, Stack
from tttnn.methods.ttt.settings import Lora


class Adapter(NamedTuple):
    """An adapter as it begins: beside which layer, (rank, in) and (out, rank), its factor."""

    layer: str
    down: torch.Tensor
    up: torch.Tensor
    scale: float


def adapters(model: PreTrainedModel, lora: Lora, seed: int) -> list[Adapter]:
    """Adapters as `peft` makes them, in its order, so that they begin as the reference's do."""
    from peft import LoraConfig, get_peft_model  # two seconds, and rarely needed
    from peft.tuners.lora import LoraLayer

    trainable = [p for p in model.parameters() if p.requires_grad]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # any number: it is divided by r, no more
        target_modules=lora.targets,
    )
    torch.manual_seed(seed)
    with warnings.catch_warnings(category=UserWarning, action="ignore"):
        adapted = get_peft_model(model, config)  # says that GPT-2 stores its weights transposed
    try:
        found = []
        for name, module in model.named_modules():
            if not isinstance(module, LoraLayer):
                continue
            down: Any = module.lora_A["default"].weight
            up: Any = module.lora_B["default"].weight
            scale = module.scaling["default"]
            found.append(Adapter(name, down.detach(), up.detach(), scale))
        return found
    finally:
        adapted.unload()
        for parameter in trainable:
            parameter.requires_grad_()


class _Adapted(torch.autograd.Function):
    """`x W + b` of all rows, plus each document's own `scale * (x down) up`; x is (rows, t, in).

    Gradients of adapters go into the stack at once. `anchor` requires a gradient, so that autograd
    comes by even where `x` does not.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, anchor: torch.Tensor, layer: AdaptedLinear
    ) -> torch.Tensor:
        down, up = layer.stack.value(layer.down), layer.stack.value(layer.up)
        low = torch.bmm(x, down.transpose(1, 2))
        ctx.layer = layer
        ctx.save_for_backward(x, low)
        result = linear(x, layer.matrix, layer.bias)
        return result.baddbmm_(low, up.transpose(1, 2), alpha=layer.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        layer, stack = ctx.layer, ctx.layer.stack
        x, low = ctx.saved_tensors
        gradient = gradient.contiguous()
        stack.add_product(layer.up, gradient.transpose(1, 2), low, layer.scale)
        low_gradient = torch.bmm(gradient, stack.value(layer.up)).mul_(layer.scale)
        stack.add_product(layer.down, low_gradient.transpose(1, 2), x)
        if not ctx.needs_input_grad[0]:
            return None, None, None
        back = torch.matmul(gradient, layer.matrix)
        return back.baddbmm_(low_gradient, stack.value(layer.down)), None, None


class AdaptedLinear(nn.Module):
    """A linear layer with the adapters of the stack's rows; its base stays as it is."""

    def __init__(
        self,
        base: nn.Module,
        stack: Stack,
        anchor: torch.Tensor,
        down: Entry,
        up: Entry,
        scale: float,
    ) -> None:
        super().__init__()
        self.base = base
        self.stack, self.anchor, self.down, self.up, self.scale = stack, anchor, down, up, scale

    @property
    def matrix(self) -> torch.Tensor:
        """(out, in)"""
        weight: Any = self.base.weight
        return weight.T if isinstance(self.base, Conv1D) else weight

    @property
    def weight(self) -> Any:
        """For models that look at a layer's dtype."""
        return self.base.weight

    @property
    def bias(self) -> Any:
        return self.base.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = _Adapted.apply(self.stack.by_document(x), self.anchor, self)
        return result.view(*x.shape[:-1], -1)
