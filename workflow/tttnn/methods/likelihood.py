"""The log-likelihood of a text under a causal language model, window by window.

The definition is lm-evaluation-harness's `loglikelihood_rolling`, which the paper uses: the text is
preceded by one prefix token; windows of the model's context length predict disjoint stretches of
tokens; the last window, which may predict fewer, is given as much left context as fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Window(NamedTuple):
    """Token ids fed to the model, and those its last `len(targets)` positions must predict."""

    inputs: list[int]
    targets: list[int]


class Size(NamedTuple):
    """What a log-likelihood is divided by: of the evaluated text, UTF-8 bytes, words, tokens."""

    bytes: int
    words: int
    tokens: int


class TokenLogProbabilities(NamedTuple):
    """`total` is bit for bit `log_likelihood`; `tokens`, (n,) float64, sums to it but for rounding.

    In the order of the text, natural logarithms.
    """

    total: float
    tokens: npt.NDArray[np.float64]


def rolling_windows(tokens: Sequence[int], prefix: int, length: int) -> list[Window]:
    """Cut `tokens` into windows of at most `length` inputs; each token is a target exactly once."""
    sequence = [prefix, *tokens]
    windows = []
    for start in range(0, len(tokens), length):
        end = min(start + length, len(tokens))
        first = 0 if start == 0 else end - length
        windows.append(Window(sequence[first:end], sequence[start + 1 : end + 1]))
    return windows


def prefix_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token a text starts after: beginning-of-text if there is one, else end-of-text.

    A causal model is only loaded where its tokenizer has one of them.
    """
    if tokenizer.bos_token_id is not None:
        return tokenizer.bos_token_id
    return tokenizer.eos_token_id


def size(text: str, tokens: Sequence[int]) -> Size:
    """Count as the harness does: words are what `\\s+` separates."""
    return Size(len(text.encode("utf-8")), len(re.split(r"\s+", text)), len(tokens))


def padded(
    windows: Sequence[Window], batch_tokens: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of windows as (inputs, targets), both (b, t), of at most `batch_tokens` inputs.

    Windows are padded on the right, which a causal model cannot see from the left, so no attention
    mask is needed and a batch gives what single windows give. Targets are -100 where nothing is
    predicted.
    """
    longest = max(len(window.inputs) for window in windows)
    per_batch = max(1, batch_tokens // longest)
    for start in range(0, len(windows), per_batch):
        batch = windows[start : start + per_batch]
        width = max(len(window.inputs) for window in batch)
        inputs = torch.zeros(len(batch), width, dtype=torch.long)
        targets = torch.full((len(batch), width), -100)
        for row, window in enumerate(batch):
            end = len(window.inputs)
            inputs[row, :end] = torch.tensor(window.inputs)
            targets[row, end - len(window.targets) : end] = torch.tensor(window.targets)
        yield inputs, targets


def _losses(
    model: PreTrainedModel, windows: Sequence[Window], batch_tokens: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """A batch at a time, of each position: its loss, 0 without a target; and has it a target."""
    for inputs, targets in padded(windows, batch_tokens):
        logits = model(input_ids=inputs.to(model.device), use_cache=False).logits.float()
        goals = targets.to(model.device).flatten()
        losses = cross_entropy(logits.flatten(0, 1), goals, ignore_index=-100, reduction="none")
        yield losses, goals != -100


@torch.inference_mode()
def log_likelihood(
    model: PreTrainedModel, windows: Sequence[Window], batch_tokens: int = 8192
) -> float:
    """Natural-log likelihood summed over the windows' targets; the log-softmax is in float32."""
    total = torch.zeros((), dtype=torch.float64, device=model.device)
    for losses, _ in _losses(model, windows, batch_tokens):
        total -= losses.double().sum()
    return total.item()


@torch.inference_mode()
def token_log_probabilities(
    model: PreTrainedModel, windows: Sequence[Window], batch_tokens: int = 8192
) -> TokenLogProbabilities:
    """The log-likelihood and its part in each of the windows' targets, from the same one pass."""
    total = torch.zeros((), dtype=torch.float64, device=model.device)
    parts = []
    for losses, predicted in _losses(model, windows, batch_tokens):
        total -= losses.double().sum()
        parts.append(-losses[predicted].double())
    return TokenLogProbabilities(total.item(), torch.cat(parts).cpu().numpy())
