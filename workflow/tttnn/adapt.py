"""Test-time training on nearest neighbours (paper section 4): the reference loop.

For each query: train on its neighbours, nearest first, one gradient step for each window of a
neighbour's text; measure the query's log-likelihood in between; put the model back.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.config.methods import Recipe
from tttnn.likelihood import Size, log_likelihood, prefix_token, rolling_windows, size


@dataclass(frozen=True)
class Query:
    """A text to evaluate, and the texts to train on, in training order."""

    id: int | str
    text: str
    neighbors: Sequence[str]


@dataclass(frozen=True)
class Measurement:
    """The query under the model trained on its first `num_neighbors` neighbours.

    `train_loss` is the mean over the latest neighbour's windows (nats a token, before each step),
    NaN before the first; `steps`, `train_tokens` and `train_seconds` are since the weights were put
    back; `evaluate_seconds` is of this evaluation alone.
    """

    num_neighbors: int
    loglikelihood: float
    train_loss: float
    steps: int
    train_tokens: int
    train_seconds: float
    evaluate_seconds: float


@dataclass(frozen=True)
class Adapted:
    """A query's measurements, ascending in `num_neighbors`, and its size."""

    query: Query
    size: Size
    measurements: list[Measurement]


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _seed(recipe: Recipe, query: Query) -> int:
    """A seed that depends on the query alone, so that neither order nor parts change a result."""
    digest = hashlib.sha256(f"{recipe.seed}:{query.id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _optimizer(parameters: list[torch.nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        parameters,
        lr=recipe.learning_rate,
        betas=recipe.betas,
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Recipe,
    window: int,
) -> Iterator[Adapted]:
    """Adapt `model` to each query in turn and yield what was measured.

    `window` is the model's context length in tokens. `recipe.learning_rate` must be set. After
    each query, and when the generator is closed, the weights are bit for bit what they were.

    With `recipe.as_released` the loop does what the paper's released code does where that differs:
    one optimiser serves all queries, so that its moments and step count leak from one to the next,
    and a window of a single token, which has nothing to predict, still moves the weights by
    momentum and decay.

    Raises `ValueError` if a query has fewer neighbours than the recipe trains on.
    """
    device = model.device
    parameters = [p for p in model.parameters() if p.requires_grad]
    state = [*model.parameters(), *model.buffers()]
    original = [tensor.detach().clone() for tensor in state]
    prefix = prefix_token(tokenizer)
    optimizer = _optimizer(parameters, recipe)

    def step(ids: Sequence[int]) -> float:
        inputs = torch.tensor([ids], device=device)
        optimizer.zero_grad()
        loss = model(input_ids=inputs, labels=inputs, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        optimizer.step()
        return loss.item()

    for query in queries:
        if len(query.neighbors) < recipe.num_neighbors:
            raise ValueError(
                f"query {query.id} has {len(query.neighbors)} neighbours, but the method trains "
                f"on {recipe.num_neighbors}: lower num_neighbors, or look why retrieval found fewer"
            )
        torch.manual_seed(_seed(recipe, query))
        if not recipe.as_released:
            optimizer = _optimizer(parameters, recipe)
        tokens = _tokens(tokenizer, query.text)
        windows = rolling_windows(tokens, prefix, window)
        measurements: list[Measurement] = []
        train_loss, steps, train_tokens, train_seconds = math.nan, 0, 0, 0.0
        try:
            for count in range(recipe.num_neighbors + 1):
                if count > 0:
                    started = _clock(device)
                    ids = _tokens(tokenizer, query.neighbors[count - 1])
                    pieces = [ids[i : i + window] for i in range(0, len(ids), window)]
                    if not recipe.as_released:
                        pieces = [piece for piece in pieces if len(piece) > 1]
                    model.train(recipe.dropout == "as_model")
                    losses = [step(piece) for piece in pieces]
                    losses = [loss for loss in losses if not math.isnan(loss)]
                    train_loss = sum(losses) / len(losses) if losses else math.nan
                    steps += len(pieces)
                    train_tokens += sum(len(piece) for piece in pieces)
                    train_seconds += _clock(device) - started
                if count not in recipe.evaluate_at:
                    continue
                model.eval()
                started = _clock(device)
                loglikelihood = log_likelihood(model, windows)
                seconds = _clock(device) - started
                measurements.append(
                    Measurement(
                        num_neighbors=count,
                        loglikelihood=loglikelihood,
                        train_loss=train_loss,
                        steps=steps,
                        train_tokens=train_tokens,
                        train_seconds=train_seconds,
                        evaluate_seconds=seconds,
                    )
                )
        finally:
            model.eval()
            with torch.no_grad():
                torch._foreach_copy_(state, original)
        yield Adapted(query, size(query.text, tokens), measurements)
