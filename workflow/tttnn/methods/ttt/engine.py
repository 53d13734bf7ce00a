"""Test-time training on nearest neighbours (paper section 4): the reference loop.

For each query: train on its neighbours, nearest first, one gradient step for each window of a
neighbour's text; measure the query's log-likelihood in between; put the model back.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.clock import clock
from tttnn.methods.likelihood import (
    Window,
    log_likelihood,
    prefix_token,
    rolling_windows,
    size,
)
from tttnn.methods.measure import Adapted, Measurement, Query, check_neighbors
from tttnn.methods.progress import note_trained
from tttnn.methods.snapshot import Snapshot
from tttnn.methods.ttt.parts import only_trained
from tttnn.methods.ttt.precision import Weights, weights
from tttnn.methods.ttt.reuse import ONCE, Gradients, Use, use_of
from tttnn.methods.ttt.settings import Recipe
from tttnn.methods.ttt.state import kept, restore
from tttnn.models.tokens import tokens

Pieces = list[list[int]]
"""Windows of texts to train on: token ids, at most a model's context length of them in each."""


class Trainee(NamedTuple):
    """A model, and how it is trained: all that stays the same from query to query."""

    model: PreTrainedModel
    weights: Weights
    """Those that are trained: all of the model's, some, or its adapters'."""
    gradients: Gradients
    state: list[torch.Tensor]
    """What training changes: these and the buffers."""
    tokenizer: PreTrainedTokenizerBase
    recipe: Recipe
    window: int


class Progress(NamedTuple):
    """What training did since the weights were put back, as `Measurement` has it."""

    train_loss: float = math.nan
    steps: int = 0
    train_tokens: int = 0
    train_seconds: float = 0.0


def seed_of(recipe: Recipe, query: Query) -> int:
    """A seed that depends on the query alone, so that neither order nor parts change a result."""
    digest = hashlib.sha256(f"{recipe.seed}:{query.id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def optimizer_of(parameters: list[torch.Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.learning_rate is None:
        raise ValueError(
            "the recipe has no learning_rate: set it, or take the model's adapt_learning_rate"
        )
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    return torch.optim.AdamW(
        parameters,
        lr=recipe.learning_rate,
        betas=recipe.betas,
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def _neighbor_tokens(query: Query, trainee: Trainee, first: int, last: int) -> list[list[int]]:
    """Token ids of the neighbours of ranks `first` to `last`, from 1: what the recipe's caps leave.

    Where a document's neighbours have reached their cap together there are no further ones.
    """
    recipe = trainee.recipe
    left, found = recipe.max_total_neighbor_tokens, list[list[int]]()
    start = first if left is None else 1
    for rank, text in enumerate(query.neighbors[start - 1 : last], start):
        ids = tokens(trainee.tokenizer, text)[: recipe.max_neighbor_tokens]
        if left is not None:
            if left == 0:
                break
            ids = ids[:left]
            left -= len(ids)
        if rank >= first:
            found.append(ids)
    return found


def _texts(query: Query, trainee: Trainee, count: int) -> list[list[int]]:
    """Token ids of what is trained on between measurements `count - 1` and `count`.

    Neighbours come nearest first, as they were ranked, so that what is measured after k of them is
    of the k nearest.
    """
    recipe = trainee.recipe
    neighbor = _neighbor_tokens(query, trainee, count, count)  # none where a query was stopped
    if recipe.train_on == "neighbors":
        return neighbor
    if query.context is None:
        raise ValueError(
            f"document {query.id} is not split, and train_on: {recipe.train_on} trains on what "
            "comes before the evaluated text: give its context, or set train_on: neighbors"
        )
    context = tokens(trainee.tokenizer, query.context)
    if recipe.train_on == "query":
        return [context]
    return [context, *neighbor] if count == 1 else neighbor


def _pieces(ids: list[int], trainee: Trainee) -> Pieces:
    """A text to train on, cut into windows that do not overlap."""
    recipe, window = trainee.recipe, trainee.window
    if recipe.prefix:
        # The evaluated text follows this token; in the released code texts to train on do not, so
        # that their first token is never predicted (eval_tttlm.py:229).
        ids = [prefix_token(trainee.tokenizer), *ids]
    cut = [ids[i : i + window] for i in range(0, len(ids), window)]
    if recipe.as_released:
        return cut
    # A single token has nothing to predict: a step on it would follow no gradient, and yet move the
    # weights by momentum and decay.
    return [piece for piece in cut if len(piece) > 1]


def steps_of(query: Query, trainee: Trainee, count: int) -> list[Pieces]:
    """The steps between measurements `count - 1` and `count`, each the pieces it is of."""
    step = trainee.recipe.step
    if step == "batch":
        # each step is of all neighbours, and there are as many steps as neighbours
        most = len(query.neighbors)
        texts = _neighbor_tokens(query, trainee, 1, most) if count <= most else []
        whole = [piece for ids in texts for piece in _pieces(ids, trainee)]
        return [whole] if whole else []
    cut = [_pieces(ids, trainee) for ids in _texts(query, trainee, count)]
    if step == "neighbor":
        return [pieces for pieces in cut if pieces]
    # One for each window, as in the released code (eval_tttlm.py:242-252): no gradient is of more
    # text than the model reads at once, and a long neighbour takes more steps than a short one.
    return [[piece] for pieces in cut for piece in pieces]


def tokens_read(steps: list[Pieces], losses: Sequence[Sequence[object]]) -> int:
    """Of steps that gave these losses: one along a gradient that is used again reads nothing."""
    read = (pieces for pieces, given in zip(steps, losses, strict=True) if given)
    return sum(len(piece) for pieces in read for piece in pieces)


def use_in(query: Query, trainee: Trainee, count: int, steps: list[Pieces]) -> Use:
    """Of the gradient of the steps before measurement `count`: `ONCE` where they are several."""
    recipe = trainee.recipe
    if recipe.reuse == 1 or len(steps) != 1:
        return ONCE
    texts: Sequence[object] = query.neighbors[: recipe.num_neighbors]
    if recipe.max_total_neighbor_tokens is not None:  # the last of a text may be cut shorter
        texts = _neighbor_tokens(query, trainee, 1, recipe.num_neighbors)
    return use_of(texts, count - 1, recipe.reuse)


def _step(
    trainee: Trainee, optimizer: torch.optim.Optimizer, pieces: Pieces, use: Use
) -> list[float]:
    """One gradient step on the mean of the pieces' losses; what each of these was before it.

    None was computed where the gradient is one that is used again.
    """
    losses = []
    optimizer.zero_grad()
    if not trainee.gradients.take(use):
        for piece in pieces:  # one at a time: gradients add up, activations need not
            inputs = torch.tensor([piece], device=trainee.model.device)
            loss = trainee.model(input_ids=inputs, labels=inputs, use_cache=False).loss
            (loss / len(pieces)).backward()
            losses.append(loss.item())
            note_trained(len(piece))
        trainee.gradients.hold(use)
    trainee.weights.take_gradients()
    if trainee.recipe.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(trainee.weights.kept, trainee.recipe.clip_norm)
    optimizer.step()
    trainee.weights.renew()
    return losses


def train(
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    query: Query,
    count: int,
    before: Progress,
) -> Progress:
    """Train on what lies between measurements `count - 1` and `count`."""
    model = trainee.model
    started = clock(model.device)
    todo = steps_of(query, trainee, count)
    model.train(trainee.recipe.dropout == "as_model")
    use = use_in(query, trainee, count, todo)
    found = [_step(trainee, optimizer, pieces, use) for pieces in todo]
    losses = [loss for step in found for loss in step if not math.isnan(loss)]  # a single token's
    return Progress(
        sum(losses) / len(losses) if losses else math.nan,
        before.steps + len(todo),
        before.train_tokens + tokens_read(todo, found),
        before.train_seconds + clock(model.device) - started,
    )


def measure(
    model: PreTrainedModel, count: int, windows: list[Window], progress: Progress
) -> Measurement:
    """The log-likelihood of the evaluated text under the weights as they are now."""
    model.eval()
    started = clock(model.device)
    total = log_likelihood(model, windows)
    return Measurement(
        num_neighbors=count,
        loglikelihood=total,
        **progress._asdict(),
        evaluate_seconds=clock(model.device) - started,
    )


def _measured(
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    query: Query,
    windows: list[Window],
    resume: Snapshot | None,
) -> list[Measurement]:
    """Train on the query's neighbours in turn, and measure at `recipe.evaluate_at`.

    Where an earlier job saved the query after one of these, it goes on from there.
    """
    progress, measured, begin = Progress(), list[Measurement](), 0
    if resume is not None and (before := resume.saved(query.id)) is not None:
        restore(before.tensors, trainee.state, trainee.weights.kept, optimizer)
        trainee.gradients.restore(before.tensors)
        trainee.weights.renew()
        measured = list(before.measurements)
        last = measured[-1]
        progress = Progress(last.train_loss, last.steps, last.train_tokens, last.train_seconds)
        begin = last.num_neighbors + 1
    recipe = trainee.recipe
    for count in range(begin, recipe.num_neighbors + 1):
        if count > 0:
            progress = train(trainee, optimizer, query, count, progress)
        if count not in recipe.evaluate_at:
            continue
        if measured and measured[-1].steps == progress.steps:  # the same weights, the same number
            again = replace(measured[-1], num_neighbors=count, **progress._asdict())
        else:
            with trainee.weights.in_float32():
                again = measure(trainee.model, count, windows, progress)
        measured.append(again)
        if resume is not None and count < recipe.evaluate_at[-1]:
            tensors = {}
            if progress.steps:
                tensors = kept(trainee.state, trainee.weights.kept, optimizer)
                tensors |= trainee.gradients.kept()
            resume.save(query.id, measured, tensors)
    return measured


def put_back(state: list[torch.Tensor], original: list[torch.Tensor]) -> None:
    """Copied, not trained back or reloaded, so that the weights are bit for bit what they were."""
    with torch.no_grad():
        torch._foreach_copy_(state, original)


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Recipe,
    window: int,
    resume: Snapshot | None = None,
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

    `resume` is where a query that is being measured is saved, and gone on with after a kill. With a
    recipe whose results depend on the queries before, leave it out.

    Raises `ValueError` if there is no learning rate, and if a query has fewer neighbours than the
    recipe trains on, or no context where that is trained on, and `PartError` for a model without
    the part that is trained.
    """
    prefix = prefix_token(tokenizer)
    undo = only_trained(model, recipe)
    parameters = [p for p in model.parameters() if p.requires_grad]
    trained, give_back = weights(model, parameters, recipe.precision)
    state = [*trained.kept, *model.buffers()]
    gradients = Gradients(trained.used)
    trainee = Trainee(model, trained, gradients, state, tokenizer, recipe, window)
    original = [tensor.detach().clone() for tensor in state]
    try:
        shared = optimizer_of(trained.kept, recipe)
        for query in queries:
            if recipe.train_on != "query":
                check_neighbors(query, recipe.num_neighbors)
            torch.manual_seed(seed_of(recipe, query))
            gradients.empty()
            # A fresh one for each query: moments and step count start again, as the weights do,
            # or a result would depend on the queries before it, as in the released code, where
            # one serves all (eval_tttlm.py:82, 114-116).
            optimizer = shared if recipe.as_released else optimizer_of(trained.kept, recipe)
            ids = tokens(tokenizer, query.text)
            windows = rolling_windows(ids, prefix, window)
            measurements = _measured(trainee, optimizer, query, windows, resume)
            model.eval()
            if not recipe.accumulate:
                put_back(state, original)
                trained.renew()
            yield Adapted(query, size(query.text, ids), measurements)
    finally:
        model.eval()
        put_back(state, original)
        give_back()
        undo()
