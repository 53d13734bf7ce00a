"""Gradients of texts that are among a document's neighbours several times (`reuse` of a recipe).

A repeated text's gradient is computed at every r-th of the steps on it; those between take the
optimiser's step along the gradient as it was; to clip it again changes nothing. The idea is of
HullFT (Khamis and Maalouf 2026, arXiv 2605.30337), whose picks have copies next to each other.

Only a text of a single step is reused: one of a window, or of any length with `step: neighbor`. A
gradient is held from the step that computes it until the last that reuses it, and is as large as
the trained weights. Where copies are next to each other one is held at a time, and never more than
`HELD`: a text that comes again while there is no room is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from tttnn.methods.ttt.settings import HELD


class Use(NamedTuple):
    """A step on a text: the first place of the text, and what becomes of the gradient."""

    text: int
    is_computed: bool
    is_used_again: bool


ONCE = Use(0, is_computed=True, is_used_again=False)
"""A step on a text that is no other step's."""


def use_of(texts: Sequence[object], place: int, every: int) -> Use:
    """Of the step on `texts[place]`, where each text's is computed at every `every`-th step."""
    text = texts[place]
    before = texts[:place].count(text)
    return Use(
        texts.index(text),
        before % every == 0,
        text in texts[place + 1 :] and (before + 1) % every != 0,
    )


class Gradients:
    """What is held of a document's gradients: of the weights used in passes.

    They are the tensors of the step that computed them, not copies: no optimiser changes them but
    for clipping, after which the norm is within the bound and clipping is done.
    """

    def __init__(self, weights: Sequence[torch.Tensor]) -> None:
        self._weights = weights
        self._held: dict[int, list[torch.Tensor | None]] = {}

    def empty(self) -> None:
        """Forget all, for the next document."""
        self._held.clear()

    def take(self, use: Use) -> bool:
        """Give the weights the text's gradient as it was; false if it is to be computed."""
        if use.is_computed or use.text not in self._held:
            return False
        held = self._held[use.text] if use.is_used_again else self._held.pop(use.text)
        for weight, gradient in zip(self._weights, held, strict=True):
            weight.grad = gradient
        return True

    def hold(self, use: Use) -> None:
        """Keep what was just computed, if it is used again and there is room."""
        if use.is_used_again and len(self._held) < HELD:
            self._held[use.text] = [weight.grad for weight in self._weights]

    def kept(self) -> dict[str, torch.Tensor]:
        """By name, for a document that is saved half done; the tensors themselves."""
        return {
            f"reuse.{text}.{place}": gradient
            for text, gradients in self._held.items()
            for place, gradient in enumerate(gradients)
            if gradient is not None
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Hold what `kept` named."""
        self.empty()
        for name, gradient in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "reuse":
                text, place = map(int, rest.split("."))
                held = self._held.setdefault(text, [None] * len(self._weights))
                held[place] = gradient.to(self._weights[place].device)
