"""Test-time training on nearest neighbours (paper section 4): the reference loop.

For each query: train on its neighbours, nearest first, one gradient step for each window of a
neighbour's text; measure the query's log-likelihood in between; put the model back.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.clock import clock
from tttnn.methods.likelihood import log_likelihood, prefix_token, rolling_windows, size
from tttnn.methods.measure import Adapted, Measurement, Query, check_neighbors
from tttnn.methods.ttt.settings import Lora, Recipe
from tttnn.models.tokens import tokens


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


def _add_adapters(model: PreTrainedModel, lora: Lora, seed: int) -> Callable[[], object]:
    """Freeze the weights and put low-rank adapters beside them; returns what takes them off.

    Adapters start at zero effect, so the model is still the same function.
    """
    from peft import LoraConfig, get_peft_model  # two seconds, and rarely needed

    trainable = [p for p in model.parameters() if p.requires_grad]
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=lora.targets)
    torch.manual_seed(seed)
    with warnings.catch_warnings(category=UserWarning, action="ignore"):
        adapted = get_peft_model(model, config)  # says that GPT-2 stores its weights transposed

    def take_off() -> None:
        adapted.unload()
        for parameter in trainable:
            parameter.requires_grad_()

    return take_off


def _texts(query: Query, recipe: Recipe, count: int) -> Sequence[str]:
    """What is trained on between measurements `count - 1` and `count`."""
    if recipe.train_on == "query":
        return [query.context]
    neighbor = query.neighbors[count - 1 : count]
    if recipe.train_on == "query_then_neighbors" and count == 1:
        return [query.context, *neighbor]
    return neighbor


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Recipe,
    window: int,
) -> Iterator[Adapted]:
    """Adapt `model` to each query in turn and yield what was measured.

    `window` is the model's context length in tokens. `recipe.learning_rate` must be set. After
    each query, and when the generator is closed, the weights are bit for bit what they were; with
    `recipe.accumulate` only at the end.

    `recipe.step` says what a gradient step is of: a window; all windows of a neighbour, with equal
    weights; or, `batch`, of all neighbours, as many steps as there are neighbours.

    With `recipe.as_released` the loop does what the paper's released code does where that differs:
    one optimiser serves all queries, so that its moments and step count leak from one to the next,
    and a window of a single token, which has nothing to predict, still moves the weights by
    momentum and decay.

    Raises `ValueError` if a query has fewer neighbours than the recipe trains on.
    """
    device = model.device
    take_off = _add_adapters(model, recipe.lora, recipe.seed) if recipe.lora else None
    parameters = [p for p in model.parameters() if p.requires_grad]
    state = [*parameters, *model.buffers()]
    original = [tensor.detach().clone() for tensor in state]
    prefix = prefix_token(tokenizer)
    optimizer = _optimizer(parameters, recipe)

    def put_back() -> None:
        with torch.no_grad():
            torch._foreach_copy_(state, original)

    def pieces(text: str) -> list[list[int]]:
        ids = [*([prefix] if recipe.prefix else []), *tokens(tokenizer, text)]
        cut = [ids[i : i + window] for i in range(0, len(ids), window)]
        return cut if recipe.as_released else [piece for piece in cut if len(piece) > 1]

    def step(batch: Sequence[list[int]]) -> list[float]:
        losses = []
        optimizer.zero_grad()
        for ids in batch:
            inputs = torch.tensor([ids], device=device)
            loss = model(input_ids=inputs, labels=inputs, use_cache=False).loss
            (loss / len(batch)).backward()
            losses.append(loss.item())
        if recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        optimizer.step()
        return losses

    def batches(query: Query, count: int) -> list[list[list[int]]]:
        """The steps between two measurements, each a list of windows."""
        if recipe.step == "batch":
            texts = query.neighbors if count <= len(query.neighbors) else []
            whole = [piece for text in texts for piece in pieces(text)]
            return [whole] if whole else []
        cut = [pieces(text) for text in _texts(query, recipe, count)]
        if recipe.step == "neighbor":
            return [windows for windows in cut if windows]
        return [[piece] for windows in cut for piece in windows]

    def measured(query: Query, windows: list) -> Iterator[Measurement]:
        train_loss, steps, train_tokens, train_seconds = math.nan, 0, 0, 0.0
        last: Measurement | None = None
        for count in range(recipe.num_neighbors + 1):
            if count > 0:
                started = clock(device)
                todo = batches(query, count)
                model.train(recipe.dropout == "as_model")
                losses = [loss for batch in todo for loss in step(batch)]
                losses = [loss for loss in losses if not math.isnan(loss)]
                train_loss = sum(losses) / len(losses) if losses else math.nan
                steps += len(todo)
                train_tokens += sum(len(piece) for batch in todo for piece in batch)
                train_seconds += clock(device) - started
            if count not in recipe.evaluate_at:
                continue
            if last is not None and last.steps == steps:  # the same weights
                last = replace(
                    last,
                    num_neighbors=count,
                    train_loss=train_loss,
                    train_seconds=train_seconds,
                )
            else:
                model.eval()
                started = clock(device)
                loglikelihood = log_likelihood(model, windows)
                last = Measurement(
                    num_neighbors=count,
                    loglikelihood=loglikelihood,
                    train_loss=train_loss,
                    steps=steps,
                    train_tokens=train_tokens,
                    train_seconds=train_seconds,
                    evaluate_seconds=clock(device) - started,
                )
            yield last

    try:
        for query in queries:
            if recipe.train_on != "query":
                check_neighbors(query, recipe.num_neighbors)
            torch.manual_seed(_seed(recipe, query))
            if not recipe.as_released:
                optimizer = _optimizer(parameters, recipe)
            ids = tokens(tokenizer, query.text)
            measurements = list(measured(query, rolling_windows(ids, prefix, window)))
            model.eval()
            if not recipe.accumulate:
                put_back()
            yield Adapted(query, size(query.text, ids), measurements)
    finally:
        model.eval()
        put_back()
        if take_off is not None:
            take_off()
