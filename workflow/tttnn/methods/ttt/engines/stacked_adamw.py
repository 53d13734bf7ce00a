"""Trained tensors of many documents in one buffer, and AdamW on each document's by itself.

A document is a row: all that is trained for it, one tensor after another, so that its gradient's
norm is one reduction over the row, and its step of AdamW one tensor's in a fused call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch.optim.adamw import adamw

from tttnn.methods.ttt.settings import Recipe

ALIGNED = 64  # elements: products are fastest from addresses that are multiples of 128 bytes
TINY = 1e-6  # what torch.nn.utils.clip_grad_norm_ adds to a norm


class Entry(NamedTuple):
    """One of the stacked tensors: where it begins in a row, its shape for one document."""

    start: int
    shape: tuple[int, ...]
    shared: bool
    """Whether several modules use it, so that its gradient is a sum."""


class Stack:
    """Copies of `initial`, one for each document, with gradients, moments and steps.

    `dtype` is what the model trains in: if that is not float32, a copy in it is renewed in each
    step. Modules read and write the rows `self.rows` alone: those of the batch that is computed, in
    which each document has `self.each` texts, one after another.
    """

    def __init__(
        self,
        initial: Sequence[torch.Tensor],
        shared: Sequence[bool],
        documents: int,
        dtype: torch.dtype,
    ) -> None:
        self.entries = []
        start = 0
        for tensor, is_shared in zip(initial, shared, strict=True):
            self.entries.append(Entry(start, tuple(tensor.shape), is_shared))
            start += -(-tensor.numel() // ALIGNED) * ALIGNED
        device = initial[0].device
        self.initial = torch.zeros(start, device=device)
        for entry, tensor in zip(self.entries, initial, strict=True):
            self.initial[entry.start : entry.start + tensor.numel()] = tensor.detach().flatten()
        self.values = torch.empty(documents, start, device=device)
        self.gradients = torch.zeros_like(self.values)
        self.means = torch.empty_like(self.values)
        self.squares = torch.empty_like(self.values)
        self.steps = torch.zeros(documents, device=device)
        self.computed = self.values if dtype == torch.float32 else self.values.to(dtype)
        self.rows = slice(0, documents)
        self.each = 1
        self._adds = True
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Every document as it begins: the initial values, no moments, no steps."""
        self.values.copy_(self.initial.expand_as(self.values))
        for tensor in (self.gradients, self.means, self.squares, self.steps):
            tensor.zero_()
        self._renew(len(self.values))

    def _renew(self, count: int) -> None:
        if self.computed is not self.values:
            self.computed[:count].copy_(self.values[:count])

    @contextmanager
    def in_float32(self) -> Iterator[None]:
        """Values are read in float32 for a while, as they are now; not to train on."""
        computed, self.computed = self.computed, self.values
        try:
            yield
        finally:
            self.computed = computed

    def _part(self, buffer: torch.Tensor, entry: Entry) -> torch.Tensor:
        end = entry.start + math.prod(entry.shape)
        rows = buffer[self.rows]
        return rows[:, entry.start : end].view(len(rows), *entry.shape)

    def by_document(self, x: torch.Tensor) -> torch.Tensor:
        """What a layer is given, texts or tokens in a row, as (rows, t, size)."""
        return x.reshape(self.rows.stop - self.rows.start, -1, x.shape[-1])

    def value(self, entry: Entry) -> torch.Tensor:
        """(rows, *shape), in what the model computes in."""
        return self._part(self.computed, entry)

    def gradient(self, entry: Entry) -> torch.Tensor:
        """(rows, *shape), float32: to add to."""
        return self._part(self.gradients, entry)

    def add(self, entry: Entry, gradient: torch.Tensor) -> None:
        """Add (rows, *shape) to the gradient of an entry."""
        into = self.gradient(entry)
        if self._adds or entry.shared:
            into.add_(gradient)
        else:
            into.copy_(gradient)

    def add_product(
        self, entry: Entry, left: torch.Tensor, right: torch.Tensor, scale: float = 1.0
    ) -> None:
        """Add `scale * left @ right`, a matrix for each row, to the gradient of an entry."""
        if left.dtype == torch.float32:
            beta = 1 if self._adds or entry.shared else 0
            self.gradient(entry).baddbmm_(left, right, beta=beta, alpha=scale)
        else:
            self.add(entry, torch.bmm(left, right) * scale)

    def begin(self, count: int, passes: int) -> None:
        """Before the backward passes of a step of the first `count` documents.

        A step of one pass overwrites gradients; one of several begins with zeros and adds.
        """
        self._adds = passes > 1
        if self._adds:
            self.gradients[:count].zero_()
            return
        for entry in self.entries:
            if entry.shared:
                end = entry.start + math.prod(entry.shape)
                self.gradients[:count, entry.start : end].zero_()

    @torch.no_grad()
    def step(self, count: int, recipe: Recipe) -> None:
        """Clip and step the first `count` documents, each by its own norm and number of steps.

        The others stay as they are: their weights do not decay, nor do their moments.
        """
        gradients = self.gradients[:count]
        if recipe.clip_norm is not None:
            norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
            gradients.mul_((recipe.clip_norm / (norms + TINY)).clamp_(max=1))
        assert recipe.learning_rate is not None
        adamw(
            list(self.values[:count].unbind()),
            list(gradients.unbind()),
            list(self.means[:count].unbind()),
            list(self.squares[:count].unbind()),
            [],
            list(self.steps[:count].unbind()),
            fused=True,
            amsgrad=False,
            beta1=recipe.betas[0],
            beta2=recipe.betas[1],
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            eps=recipe.epsilon,
            maximize=False,
        )
        self._renew(count)

    @torch.no_grad()
    def reorder(self, order: Sequence[int]) -> None:
        """Row i becomes what row `order[i]` was, by way of one spare row."""
        # gradients too: what no module overwrites is 0, or NaN where a document diverged
        for tensor in (self.values, self.gradients, self.means, self.squares, self.steps):
            _permute(tensor, order)
        if self.computed is not self.values:
            _permute(self.computed, order)


def _permute(tensor: torch.Tensor, order: Sequence[int]) -> None:
    moved: set[int] = set()
    for first, source in enumerate(order):
        if first in moved or source == first:
            continue
        spare = tensor[first].clone()
        row = first
        while order[row] != first:
            tensor[row].copy_(tensor[order[row]])
            moved.add(row)
            row = order[row]
        tensor[row].copy_(spare)
        moved.add(row)
