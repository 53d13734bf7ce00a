"""The rolling log-likelihood, by hand and against the harness's published definition."""

from __future__ import annotations

import math

import pytest
import torch

from tiny import CAUSAL, save_causal
from tttnn.methods.likelihood import log_likelihood, rolling_windows, size, token_log_probabilities
from tttnn.models.folder import load_causal


def harness_windows(tokens, prefix, length):
    """lm-evaluation-harness's definition (EleutherAI, get_rolling_token_windows, context_len 1),
    written out from its documentation: yields (context + continuation, continuation)."""
    first = min(length, len(tokens))
    yield [prefix, *tokens[: first - 1]], tokens[:first]
    predicted = first
    while predicted < len(tokens):
        count = min(len(tokens) - predicted, length)
        end = predicted + count
        yield tokens[end - length - 1 : end - 1], tokens[end - count : end]
        predicted += count


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 15, 16, 17, 40, 41])
def test_windows_are_the_harness_windows(count):
    tokens = list(range(100, 100 + count))
    windows = rolling_windows(tokens, prefix=0, length=8)
    assert [tuple(window) for window in windows] == list(harness_windows(tokens, 0, 8))
    assert [token for window in windows for token in window.targets] == tokens


def test_windows_by_hand():
    assert [tuple(window) for window in rolling_windows([1, 2, 3, 4, 5], 0, 4)] == [
        ([0, 1, 2, 3], [1, 2, 3, 4]),
        ([1, 2, 3, 4], [5]),  # the last token, with full left context
    ]


def test_no_tokens_no_windows():
    assert rolling_windows([], 0, 4) == []


def test_size_counts_bytes_and_words_of_the_text():
    assert size("zwei Wörter", [1, 2, 3]) == (12, 2, 3)
    assert size(" a\n", [1]).words == 3  # re.split keeps what is before and after white space


@pytest.mark.parametrize("kind", CAUSAL)
def test_sum_over_tokens_one_by_one(kind, tmp_path):
    """The same number as asking the model for each token on its own."""
    model, _ = load_causal(save_causal(tmp_path, kind))
    tokens = torch.randint(1, 257, (29,), generator=torch.Generator().manual_seed(1)).tolist()
    length = 8
    expected = 0.0
    sequence = [0, *tokens]
    for position, token in enumerate(tokens):
        window = position // length
        last = window * length + length >= len(tokens)
        start = max(0, len(tokens) - length) if last and window else window * length
        context = torch.tensor([sequence[start : position + 1]])
        with torch.no_grad():
            logits = model(context).logits[0, -1]
        expected += torch.log_softmax(logits.double(), -1)[token].item()
    windows = rolling_windows(tokens, 0, length)
    assert log_likelihood(model, windows) == pytest.approx(expected, rel=1e-6)
    one_by_one = log_likelihood(model, windows, batch_tokens=1)
    assert log_likelihood(model, windows) == pytest.approx(one_by_one, rel=1e-6)


def test_uniform_model_has_the_entropy_of_its_vocabulary(tmp_path):
    model, _ = load_causal(save_causal(tmp_path))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    windows = rolling_windows(list(range(1, 100)), 0, 16)
    assert log_likelihood(model, windows) == pytest.approx(-99 * math.log(257), rel=1e-6)


@pytest.mark.parametrize("batch_tokens", [1, 16, 8192])
def test_each_tokens_part_in_the_order_of_the_text(batch_tokens, tmp_path):
    model, _ = load_causal(save_causal(tmp_path))
    tokens = torch.randint(1, 257, (29,), generator=torch.Generator().manual_seed(1)).tolist()
    # a shorter text beside it is padded in their common batch
    windows = rolling_windows(tokens, 0, 8) + rolling_windows([5, 6, 7], 0, 8)
    expected = []
    for inputs, targets in windows:
        with torch.no_grad():
            log_p = model(torch.tensor([inputs])).logits[0].double().log_softmax(-1)
        chosen = log_p[-len(targets) :].gather(1, torch.tensor(targets)[:, None])
        expected += chosen.flatten().tolist()
    found = token_log_probabilities(model, windows, batch_tokens)
    assert found.tokens.tolist() == pytest.approx(expected, rel=1e-5)
    assert found.total == log_likelihood(model, windows, batch_tokens)
    assert found.total == pytest.approx(sum(expected), rel=1e-6)
