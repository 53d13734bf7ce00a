"""Windows of many documents as batches on a device, and what a model makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.nn.functional import cross_entropy, pad
from transformers import PreTrainedModel

from tttnn.methods.likelihood import Window, padded

BATCH_TOKENS = {"cpu": 2048, "cuda": 16384}
"""At most in a forward pass, if not one window; with more, products are no faster."""
WIDTHS = 32  # on CUDA, lengths are padded to multiples of it, so that few graphs do
UNSEEN = -100  # a target that is none, as in `padded`


def _on(device: torch.device, batch: torch.Tensor, longest: int, filler: int) -> torch.Tensor:
    """A batch on the device; for CUDA padded to a multiple of `WIDTHS`, and nobody waits for it."""
    if device.type != "cuda":
        return batch.to(device)
    width = min(-(-batch.shape[1] // WIDTHS) * WIDTHS, longest)
    return (
        pad(batch, (0, width - batch.shape[1]), value=filler)
        .pin_memory()
        .to(device, non_blocking=True)
    )


def batches(
    windows: Sequence[Window], device: torch.device, longest: int
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Which of the windows, with their inputs and targets, (rows, t), on the device.

    `longest` is what a model reads at once. Batches without any target are left out.
    """
    start = 0
    for inputs, targets in padded(windows, BATCH_TOKENS[device.type]):
        rows = slice(start, start + len(inputs))
        start += len(inputs)
        if any(window.targets for window in windows[rows]):
            yield (
                rows,
                _on(device, inputs, longest, 0),
                _on(device, targets, longest, UNSEEN),
            )


def losses(model: PreTrainedModel, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(rows, t): of each position, 0 without a target."""
    logits = model(input_ids=inputs, use_cache=False).logits.float()
    found = cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=UNSEEN, reduction="none"
    )
    return found.view_as(targets)
