"""Layers whose weights are stacked, one copy for each document: row b of a batch meets copy b.

Gradients of weights go into the stack as soon as they are known, so that autograd keeps none. Each
function takes an `anchor` that requires a gradient, so that autograd comes by even where its input
does not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import layer_norm
from transformers.pytorch_utils import Conv1D

from tttnn.methods.ttt.engines.stacked_adamw import Entry, Stack

RMS_NORMS = {"LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm"}
"""Classes that multiply `x / sqrt(mean(x²) + variance_epsilon)` by their weight."""

Entries = dict[str, Entry]


class _Product(torch.autograd.Function):
    """`x W + b` with each row's own W and b; x is (rows, t, in)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, anchor: torch.Tensor, layer: StackedLayer) -> Any:
        ctx.layer = layer
        ctx.save_for_backward(x)
        weight = layer.matrix()
        bias = layer.entries.get("bias")
        if bias is None:
            return torch.bmm(x, weight)
        return torch.baddbmm(layer.stack.value(bias)[:, None], x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        (x,) = ctx.saved_tensors
        layer, stack = ctx.layer, ctx.layer.stack
        if layer.is_transposed:
            stack.add_product(layer.entries["weight"], x.transpose(1, 2), gradient)
        else:
            stack.add_product(layer.entries["weight"], gradient.transpose(1, 2), x)
        if "bias" in layer.entries:
            stack.add(layer.entries["bias"], gradient.sum(1))
        if not ctx.needs_input_grad[0]:
            return None, None, None
        return torch.bmm(gradient, layer.matrix().transpose(1, 2)), None, None


class _Lookup(torch.autograd.Function):
    """(rows, t, d): each row's own embeddings of `ids`, (rows, t)."""

    @staticmethod
    def forward(ctx: Any, ids: torch.Tensor, anchor: torch.Tensor, layer: StackedLayer) -> Any:
        table = layer.stack.value(layer.entries["weight"])
        ctx.layer = layer
        ctx.save_for_backward(ids)
        rows = torch.arange(len(table), device=ids.device)[:, None]
        return table[rows, ids]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (ids,) = ctx.saved_tensors
        gradient = gradients[0]
        padding = ctx.layer.base.padding_idx
        if padding is not None:  # whose embedding is not trained
            gradient = gradient.masked_fill((ids == padding)[..., None], 0)
        into = ctx.layer.stack.gradient(ctx.layer.entries["weight"])
        rows = torch.arange(len(into), device=ids.device)[:, None]
        into.index_put_((rows, ids), gradient.to(into.dtype), accumulate=True)
        return None, None, None


class _Scaled(torch.autograd.Function):
    """`x * w + b` with each row's own w and b, (d,); x is (rows, t, d)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, anchor: torch.Tensor, layer: StackedLayer) -> Any:
        ctx.layer = layer
        ctx.save_for_backward(x)
        weight = layer.stack.value(layer.entries["weight"])[:, None]
        bias = layer.entries.get("bias")
        return x * weight if bias is None else layer.stack.value(bias)[:, None] + x * weight

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        (x,) = ctx.saved_tensors
        entries, stack = ctx.layer.entries, ctx.layer.stack
        stack.add(entries["weight"], (gradient * x).sum(1))
        if "bias" in entries:
            stack.add(entries["bias"], gradient.sum(1))
        return gradient * stack.value(entries["weight"])[:, None], None, None


class StackedLayer(nn.Module):
    """Stands in for `base`, and computes with its copies in the stack: `entries`, by their names.

    `base` is kept for what models ask of their layers besides a result.
    """

    def __init__(self, base: nn.Module, stack: Stack, anchor: torch.Tensor, entries: Entries):
        super().__init__()
        self.base, self.stack, self.anchor, self.entries = base, stack, anchor, entries
        self.is_transposed = isinstance(base, Conv1D)

    @property
    def weight(self) -> Any:
        return self.base.weight

    def matrix(self) -> torch.Tensor:
        """(rows, in, out)"""
        weight = self.stack.value(self.entries["weight"])
        return weight if self.is_transposed else weight.transpose(1, 2)

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        """A norm's last part."""
        return _Scaled.apply(self.stack.by_document(x), self.anchor, self).view_as(x)


class StackedLinear(StackedLayer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = _Product.apply(self.stack.by_document(x), self.anchor, self)
        return result.view(*x.shape[:-1], -1)


class StackedEmbedding(StackedLayer):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        documents, each = self.stack.rows.stop - self.stack.rows.start, self.stack.each
        ids = ids.expand(documents * each, -1)  # positions come once for all texts
        found = _Lookup.apply(ids.reshape(documents, -1), self.anchor, self)
        return found.view(*ids.shape, -1)


class StackedLayerNorm(StackedLayer):
    base: nn.LayerNorm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normal = layer_norm(x, self.base.normalized_shape, eps=self.base.eps)
        return self.scaled(normal)


class StackedRMSNorm(StackedLayer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        epsilon: Any = self.base.variance_epsilon
        normal = wide * torch.rsqrt(wide.square().mean(-1, True) + epsilon)
        return self.scaled(normal.to(x.dtype))


def stacked(module: nn.Module) -> type[StackedLayer] | None:
    """What stands in for a module that holds weights itself; None if nothing is known to."""
    if isinstance(module, nn.Linear | Conv1D):
        return StackedLinear
    if type(module) is nn.Embedding and module.max_norm is None:
        return StackedEmbedding
    if isinstance(module, nn.LayerNorm) and module.elementwise_affine:
        return StackedLayerNorm
    if type(module).__name__ in RMS_NORMS:
        return StackedRMSNorm
    return None
