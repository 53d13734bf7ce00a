"""The precision of training and evaluation: float32, or bfloat16 over float32 weights.

In bfloat16 a step's forward and backward run with a low-precision copy of the weights; gradients
are taken to float32, where they are clipped and AdamW, whose moments are float32 too, moves weights
that are kept in float32. After each step the copy is renewed from those. What is no weight, such as
the frequencies of rotary positions, stays as it is, and logits are taken to float32 before the
log-softmax.

Evaluation is in float32, with the weights that are kept: a few steps move a weight by less than
bfloat16 can tell, above all where a model was published in bfloat16, so that with the copy half of
what training brings would not be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from transformers import PreTrainedModel


class Weights(NamedTuple):
    """The weights that are trained: `used` in passes, and `kept`, which the optimiser moves.

    In float32 both are the model's own parameters. In bfloat16 `kept` are float32 tensors in the
    same order.
    """

    used: list[torch.nn.Parameter]
    kept: list[torch.Tensor]
    lowered: tuple[tuple[torch.nn.Parameter, torch.Tensor, torch.Tensor], ...] = ()
    """All parameters that have copies, trained or not: the copy, and the weights in float32."""

    @property
    def are_copies(self) -> bool:
        """Whether passes use copies of the weights that are kept."""
        return self.used is not self.kept

    def take_gradients(self) -> None:
        """Hand the gradients of a pass to the weights that are kept, in float32."""
        if self.are_copies:
            for used, kept in zip(self.used, self.kept, strict=True):
                kept.grad = None if used.grad is None else used.grad.float()
                used.grad = None

    @contextmanager
    def in_float32(self) -> Iterator[None]:
        """The model has its weights in float32 for a while, as they are now; not to train on."""
        for parameter, _, whole in self.lowered:
            parameter.data = whole
        try:
            yield
        finally:
            for parameter, copy, _ in self.lowered:
                parameter.data = copy

    @torch.no_grad()
    def renew(self) -> None:
        """Copy the weights that are kept into those that are used."""
        if self.are_copies:
            torch._foreach_copy_(list[torch.Tensor](self.used), self.kept)


def weights(
    model: PreTrainedModel, parameters: list[torch.nn.Parameter], precision: str
) -> tuple[Weights, Callable[[], None]]:
    """The weights to train; and what gives the model its own back, after it was given copies.

    The model's own weights, in float32, are not written to while it has copies.
    """
    if precision == "float32":
        return Weights(parameters, parameters), lambda: None  # type: ignore[arg-type]
    own = [(parameter, parameter.data) for parameter in model.parameters()]
    kept = [parameter.detach().clone() for parameter in parameters]
    moved = dict(zip(map(id, parameters), kept, strict=True))
    lowered = tuple((p, data.to(torch.bfloat16), moved.get(id(p), data)) for p, data in own)
    for parameter, copy, _ in lowered:
        parameter.data = copy

    def give_back() -> None:
        for parameter, data in own:
            parameter.grad = None
            parameter.data = data

    return Weights(parameters, kept, lowered), give_back
