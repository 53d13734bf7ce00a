"""A model's training loss and log-likelihood without the logits of all positions at once.

The model gives hidden states; the head is applied to some rows of them at a time, and the gradient
of a row's loss is taken while its logits are there. Hidden states come from the model itself, whose
head is a function that returns what it is given for as long, so whatever a model does before its
head is done. What one does after it (scaling or capping logits) is found by trying: such a model
keeps its own loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import cross_entropy, linear, log_softmax
from transformers import PreTrainedModel

ELEMENTS = 2**24
"""Logits at once, at most, but for those of one row: 64 MiB in float32."""
ALIGNED = 64  # elements
TRIED = 8  # tokens
AGREES = 1e-4  # relative, of the losses in float32


def _rows(rows: int, vocabulary: int) -> int:
    """How many rows of hidden states are given to the head at once: parts of nearly equal size."""
    parts = -(-rows * vocabulary // ELEMENTS)
    return max(1, -(-rows // parts))


class _HeadLoss(torch.autograd.Function):
    """Sum of weighted losses of rows; it must be what `backward` is called on.

    `hidden` is (n, d), `weight` (v, d), `bias` (v,) or None, `targets` (n,), -100 where nothing is
    predicted, `scale` (n,) the weight of a row's loss.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        scale: torch.Tensor,
    ) -> torch.Tensor:
        by_hidden, by_weight, by_bias = ctx.needs_input_grad[:3]
        to_hidden = torch.empty_like(hidden) if by_hidden else None
        to_weight = to_bias = None
        scale = torch.where(targets == -100, 0.0, scale)
        wanted = targets.clamp(min=0)[:, None]
        weighted = hidden * scale[:, None].to(hidden.dtype)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        size = _rows(len(hidden), len(weight))
        for start in range(0, len(hidden), size):
            part = slice(start, start + size)
            logits = _logits(hidden[part], weight, bias)
            losses = log_softmax(logits, -1, dtype=torch.float32)
            total -= losses.gather(1, wanted[part]).squeeze(1).mul(scale[part]).sum()
            # of the loss by the logits: probabilities, less 1 at the target
            slope = losses.exp_().scatter_add_(1, wanted[part], _minus_one(wanted[part]))
            slope = slope if slope.dtype == logits.dtype else logits.copy_(slope)
            if to_hidden is not None:
                to_hidden[part] = slope @ weight
            if by_weight:
                if to_weight is None:
                    to_weight = slope.T @ weighted[part]
                else:
                    to_weight.addmm_(slope.T, weighted[part])
            if by_bias:
                here = scale[part].to(slope.dtype) @ slope
                to_bias = here if to_bias is None else to_bias + here
        if to_hidden is not None:
            to_hidden *= scale[:, None].to(hidden.dtype)
        ctx.gradients = to_hidden, to_weight, to_bias
        return total

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> Any:
        gradients, ctx.gradients = ctx.gradients, None
        return *gradients, None, None


def _logits(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """(n, v) of hidden states (n, d).

    On a GPU in low precision each row begins where its matrix units can read it, and vocabularies
    of an odd size, as GPT-2's, are not read element by element.
    """
    if hidden.device.type != "cuda" or hidden.dtype == torch.float32 or bias is not None:
        return linear(hidden, weight, bias)
    width = -(-len(weight) // ALIGNED) * ALIGNED
    room = torch.empty(len(hidden), width, dtype=hidden.dtype, device=hidden.device)
    return torch.mm(hidden, weight.T, out=room[:, : len(weight)])


def _minus_one(like: torch.Tensor) -> torch.Tensor:
    return torch.full(like.shape, -1.0, device=like.device)


def _head(model: PreTrainedModel) -> torch.nn.Linear | None:
    """The linear head that makes logits of hidden states, if the model has such."""
    head = model.get_output_embeddings()
    return head if type(head) is torch.nn.Linear else None


@contextmanager
def _without_head(head: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    """The head hands on what it is given, and lists it."""
    given: list[torch.Tensor] = []

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        given.append(hidden)
        return hidden

    head.forward = forward
    try:
        yield given
    finally:
        del head.forward


class Objective:
    """Loss and log-likelihood of one model; `why` says why it keeps its own head, if it does."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._head = _head(model)
        self.why = None if self._head is not None else "its head is not linear"
        if self._head is not None and not self._agrees(self._head):
            self._head, self.why = None, "its logits are not those of its head"

    @torch.no_grad()
    def _agrees(self, head: torch.nn.Linear) -> bool:
        """Whether the head comes last, and the loss is the model's own, on some tokens."""
        was_training = self._model.training
        self._model.eval()
        vocabulary = head.out_features
        ids = (torch.arange(TRIED, device=self._model.device) * 7 % vocabulary)[None]
        try:
            with _without_head(head) as given:
                last = self._model(input_ids=ids, use_cache=False).logits
            # capped, small logits would hardly differ, but hidden states do
            if len(given) != 1 or not torch.equal(last, given[0]):
                return False
            own = self._model(input_ids=ids, labels=ids, use_cache=False).loss
            ours = self.loss(ids, shifted(ids), 1.0 / (TRIED - 1))
        except (TypeError, ValueError, RuntimeError, AttributeError):
            return False
        finally:
            self._model.train(was_training)
        return bool((ours - own).abs() <= AGREES * own.abs())

    def _hidden(self, inputs: torch.Tensor, head: torch.nn.Linear) -> torch.Tensor:
        """(b * t, d) of inputs (b, t)."""
        with _without_head(head):
            hidden = self._model(input_ids=inputs, use_cache=False).logits
        return hidden.flatten(0, 1)

    def loss(
        self, inputs: torch.Tensor, targets: torch.Tensor, scale: torch.Tensor | float
    ) -> torch.Tensor:
        """Sum of the losses of inputs and targets, (b, t), times `scale`; call `backward` on it."""
        goals = targets.flatten()
        if self._head is None:
            logits = self._model(input_ids=inputs, use_cache=False).logits.float()
            return cross_entropy(logits.flatten(0, 1), goals, reduction="sum") * scale
        hidden = self._hidden(inputs, self._head)
        if not isinstance(scale, torch.Tensor):  # filled there, not copied there, which would wait
            scale = torch.full((), scale, device=hidden.device)
        scales = scale.expand(len(hidden))
        return _HeadLoss.apply(hidden, self._head.weight, self._head.bias, goals, scales)

    @torch.no_grad()
    def log_likelihood(
        self, inputs: torch.Tensor, targets: torch.Tensor, places: torch.Tensor | None
    ) -> torch.Tensor:
        """Sum over targets, in float64, of inputs (b, t).

        `targets` (n,) are at `places` (n,) of the flattened inputs, None for all of these; -100
        counts nothing.
        """
        total = torch.zeros((), dtype=torch.float64, device=inputs.device)
        if self._head is None:
            logits = self._model(input_ids=inputs, use_cache=False).logits.flatten(0, 1)
            return total - _losses(logits if places is None else logits[places], targets)
        hidden = self._hidden(inputs, self._head)
        hidden = hidden if places is None else hidden[places]
        size = _rows(len(hidden), len(self._head.weight))
        for start in range(0, len(hidden), size):
            part = slice(start, start + size)
            logits = _logits(hidden[part], self._head.weight, self._head.bias)
            total -= _losses(logits, targets[part])
        return total


def _losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits.float(), targets, reduction="none").double().sum()


def shifted(ids: torch.Tensor) -> torch.Tensor:
    """Of ids (b, t) what each must predict: the next, and at the end nothing (-100)."""
    return torch.cat([ids[:, 1:], torch.full_like(ids[:, :1], -100)], 1)
