"""AdamW in one pass over memory, on a GPU, where passes use bfloat16 copies of the weights.

It reads gradients in bfloat16 as they are, moves float32 weights and moments, and writes the copy:
28 bytes a weight, where taking gradients to float32, AdamW and renewing the copy one after another
are 42. Written in Triton, which comes with PyTorch for CUDA.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

from tttnn.methods.ttt.precision import Weights
from tttnn.methods.ttt.settings import Recipe

BLOCK = 2048  # elements of a program
CLOSE = 1e-4  # of an update, by which steps may differ from PyTorch's
ROUNDED = 2**-22  # by rounding of the weights: those that are compared are less than 1


@triton.jit
def _adamw(
    used_pointer,
    kept_pointer,
    gradient_pointer,
    first_pointer,
    second_pointer,
    step_pointer,
    scale_pointer,
    size,
    rate: tl.constexpr,
    beta1: tl.constexpr,
    beta2: tl.constexpr,
    log_beta1: tl.constexpr,
    log_beta2: tl.constexpr,
    epsilon: tl.constexpr,
    decay: tl.constexpr,
    block: tl.constexpr,
):
    places = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = places < size
    step = tl.load(step_pointer).to(tl.float64)
    correction1 = (1.0 - tl.exp(step * log_beta1)).to(tl.float32)
    correction2 = tl.sqrt(1.0 - tl.exp(step * log_beta2)).to(tl.float32)
    gradient = tl.load(gradient_pointer + places, mask=inside, other=0.0).to(tl.float32)
    gradient = gradient / tl.load(scale_pointer)
    first = tl.load(first_pointer + places, mask=inside, other=0.0)
    second = tl.load(second_pointer + places, mask=inside, other=0.0)
    kept = tl.load(kept_pointer + places, mask=inside, other=0.0)
    first = beta1 * first + (1.0 - beta1) * gradient
    second = beta2 * second + (1.0 - beta2) * gradient * gradient
    kept = kept - rate * decay * kept
    kept = kept - (rate / correction1) * first / (tl.sqrt(second) / correction2 + epsilon)
    tl.store(first_pointer + places, first, mask=inside)
    tl.store(second_pointer + places, second, mask=inside)
    tl.store(kept_pointer + places, kept, mask=inside)
    tl.store(used_pointer + places, kept.to(tl.bfloat16), mask=inside)


class OnePass:
    """AdamW's state of some weights, and its step; as new after `empty`."""

    def __init__(self, trained: Weights, recipe: Recipe) -> None:
        self._weights = trained
        beta1, beta2 = recipe.betas
        self._settings = {
            "rate": recipe.learning_rate,
            "beta1": beta1,
            "beta2": beta2,
            "log_beta1": math.log(beta1) if beta1 else -1e9,
            "log_beta2": math.log(beta2) if beta2 else -1e9,
            "epsilon": recipe.epsilon,
            "decay": recipe.weight_decay,
        }
        self._first = [torch.zeros_like(kept) for kept in trained.kept]
        self._second = [torch.zeros_like(kept) for kept in trained.kept]
        self._steps = torch.zeros((), device=trained.kept[0].device)

    @torch.no_grad()
    def empty(self) -> None:
        """Forget all steps."""
        torch._foreach_zero_([*self._first, *self._second, self._steps])

    @torch.no_grad()
    def step(self, scale: torch.Tensor) -> None:
        """A step along the gradients of the weights used, divided by `scale`."""
        self._steps += 1
        for used, kept, first, second in zip(
            self._weights.used, self._weights.kept, self._first, self._second, strict=True
        ):
            if used.grad is None:
                continue
            size = used.numel()
            _adamw[(triton.cdiv(size, BLOCK),)](
                used,
                kept,
                used.grad.contiguous(),
                first,
                second,
                self._steps,
                scale,
                size,
                **self._settings,
                block=BLOCK,
            )
            used.grad = None


@torch.no_grad()
def check(recipe: Recipe, device: torch.device) -> None:
    """Compare some steps with PyTorch's; raises `RuntimeError` where they are not the same."""
    generator = torch.Generator().manual_seed(0)

    def drawn(size: float) -> torch.Tensor:
        return (torch.randn(5000, generator=generator) * size).to(device)

    kept = drawn(0.1)
    other = kept.clone()
    used = torch.nn.Parameter(kept.to(torch.bfloat16))
    ours = OnePass(Weights([used], [kept]), recipe)
    theirs = torch.optim.AdamW(
        [other],
        lr=recipe.learning_rate or 0.0,
        betas=recipe.betas,
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
    )
    scale = torch.full((), 1.5, device=device)
    for _ in range(3):
        used.grad = drawn(1e-3).to(torch.bfloat16)
        other.grad = used.grad.float() / scale
        ours.step(scale)
        theirs.step()
    apart = (kept - other).abs().max().item()
    bound = CLOSE * (recipe.learning_rate or 0.0) + ROUNDED
    if not apart <= bound or not torch.equal(used, kept.to(torch.bfloat16)):
        raise RuntimeError(f"steps in one pass differ from PyTorch's by {apart:.1e}")
