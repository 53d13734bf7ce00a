"""Many documents in flight: what the engines that train them in one batch have in common.

Documents of about the same work make a group. From one measurement to the next, each of them
presents its next piece in every step of the batch. Those with the most steps to go are the first
rows, so that the batch shrinks as documents are done, and none that is done moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.clock import clock
from tttnn.methods.likelihood import Window
from tttnn.methods.measure import Adapted, Measurement, Query
from tttnn.methods.progress import note_trained
from tttnn.methods.ttt.engine import Progress, Trainee
from tttnn.methods.ttt.engines.batches import BATCH_TOKENS, UNSEEN, batches, losses
from tttnn.methods.ttt.engines.captured import Captured, Step
from tttnn.methods.ttt.engines.plan import Document, planned
from tttnn.methods.ttt.engines.stacked_adamw import Stack
from tttnn.methods.ttt.precision import Weights
from tttnn.methods.ttt.reuse import Gradients
from tttnn.methods.ttt.settings import Recipe

GROUPS = {"cpu": 1, "cuda": 4}
"""So many groups' documents are looked at together, to find those of equal work.

On a CPU a batch that shrinks costs little, and after a kill nobody wants four groups again.
"""
NOTHING = Window([], [])


class Fleet(NamedTuple):
    """A model whose modules read the stack's rows, and how it is trained."""

    model: PreTrainedModel
    base: Weights
    """The model's own, in the recipe's precision, which nothing trains."""
    stack: Stack
    recipe: Recipe
    window: int


def _backward(
    fleet: Fleet, rows: slice, inputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Gradients of each row's mean loss times its weight, (rows,), and these means, (rows,).

    It is their sum that is taken backward: each row's weights have a part in its own loss alone.
    """
    fleet.stack.rows = rows
    counts = (targets != UNSEEN).sum(1).clamp_(min=1)
    means = losses(fleet.model, inputs, targets).sum(1) / counts
    (means * weights).sum().backward()
    return means.detach()


def _one_pass(
    fleet: Fleet, count: int, inputs: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """A step of the first `count` documents, each of one piece, all in one batch; their losses."""
    fleet.stack.begin(count, 1)
    weights = torch.ones(count, device=inputs.device)
    means = _backward(fleet, slice(0, count), inputs, targets, weights)
    fleet.stack.step(count, fleet.recipe)
    return means


def _step(fleet: Fleet, step: Step, steps: Sequence[list[Window]]) -> list[torch.Tensor]:
    """One step of the first `len(steps)` documents; of each pass, the rows' losses (rows,)."""
    passes = max(map(len, steps))
    count = len(steps)
    device = fleet.model.device
    if passes == 1:
        whole = list(batches([window for (window,) in steps], device, fleet.window))
        if len(whole) == 1:
            return [step(count, *whole[0][1:])]
    fleet.stack.begin(count, passes)
    weights = torch.tensor([1 / len(pieces) for pieces in steps]).to(device)
    means = []
    for number in range(passes):
        windows = [pieces[number] if number < len(pieces) else NOTHING for pieces in steps]
        found = torch.full((count,), math.nan, device=device)
        for rows, inputs, targets in batches(windows, device, fleet.window):
            found[rows] = _backward(fleet, rows, inputs, targets, weights[rows])
        means.append(found)
    fleet.stack.step(count, fleet.recipe)
    return means


def _sort(fleet: Fleet, documents: list[Document], many: Callable[[Document], int]) -> None:
    """Those with many of something become the first rows."""
    order = sorted(range(len(documents)), key=lambda row: -many(documents[row]))
    fleet.stack.reorder(order)
    documents[:] = [documents[row] for row in order]


def _train(fleet: Fleet, step: Step, documents: list[Document], number: int) -> None:
    """Train on what lies before measurement `number`; documents and rows change their order."""
    _sort(fleet, documents, lambda document: len(document.segments[number].steps))
    todo = [document.segments[number] for document in documents]
    device = fleet.model.device
    started = clock(device)
    means = []
    for index in range(len(todo[0].steps)):
        active = [segment.steps[index] for segment in todo if index < len(segment.steps)]
        means.append(_step(fleet, step, active))
        note_trained(sum(len(piece.inputs) + 1 for pieces in active for piece in pieces))
    seconds = clock(device) - started
    values = [[found.tolist() for found in passes] for passes in means]
    trained = sum(segment.tokens for segment in todo)
    for row, (document, segment) in enumerate(zip(documents, todo, strict=True)):
        steps = range(len(segment.steps) - segment.last, len(segment.steps))
        own = [values[i][j][row] for i in steps for j in range(len(segment.steps[i]))]
        own = [loss for loss in own if not math.isnan(loss)]
        before = document.progress
        document.progress = Progress(
            sum(own) / len(own) if own else math.nan,
            before.steps + len(segment.steps),
            before.train_tokens + segment.tokens,
            before.train_seconds + seconds * segment.tokens / max(trained, 1),
        )


@torch.inference_mode()
def _evaluate(fleet: Fleet, texts: Sequence[Sequence[Window]]) -> list[float]:
    """The log-likelihoods of texts, the longest first, each under the weights of its own row."""
    device = fleet.model.device
    totals = torch.zeros(len(texts), dtype=torch.float64, device=device)
    number = 0
    while active := [text for text in texts if len(text) > number]:
        count = len(active)
        longest = max(len(text[number].inputs) for text in active)
        fit = max(1, BATCH_TOKENS[device.type] // (longest * count))
        each = min(fit, len(active[-1]) - number)
        windows = [window for text in active for window in text[number : number + each]]
        for rows, inputs, targets in batches(windows, device, fleet.window):
            # windows of more than one each are of one batch
            fleet.stack.rows, fleet.stack.each = rows if each == 1 else slice(0, count), each
            found = losses(fleet.model, inputs, targets).double()
            totals[fleet.stack.rows] -= found.view(-1, each * found.shape[1]).sum(1)
        fleet.stack.each = 1
        number += each
    return totals.tolist()


def _measure(fleet: Fleet, documents: list[Document], count: int) -> None:
    """Measure all documents after `count` neighbours; they and rows change their order."""
    started = clock(fleet.model.device)
    moved = [document for document in documents if document.has_moved]
    _sort(fleet, documents, lambda document: len(document.windows) * document.has_moved)
    with fleet.base.in_float32(), fleet.stack.in_float32():
        totals = _evaluate(fleet, [document.windows for document in documents[: len(moved)]])
    seconds = clock(fleet.model.device) - started
    evaluated = sum(document.size.tokens for document in moved)
    for document, total in zip(documents, totals, strict=False):
        share = seconds * document.size.tokens / max(evaluated, 1)
        progress = document.progress._asdict()
        document.measurements.append(
            Measurement(count, loglikelihood=total, **progress, evaluate_seconds=share)
        )
    for document in documents[len(moved) :]:  # the same weights, the same number
        last = document.measurements[-1]
        progress = document.progress._asdict()
        document.measurements.append(replace(last, num_neighbors=count, **progress))


def _fly(fleet: Fleet, step: Step, group: list[Document]) -> None:
    """Adapt a group of documents, each in its own row."""
    documents = list(group)
    fleet.stack.reset()
    for number, count in enumerate(fleet.recipe.evaluate_at):
        if any(document.segments[number].steps for document in documents):
            _train(fleet, step, documents, number)
        else:
            for document in documents:
                document.progress = document.progress._replace(train_loss=math.nan)
        _measure(fleet, documents, count)


def fly(
    fleet: Fleet,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    in_flight: int,
) -> Iterator[Adapted]:
    """Adapt the model to queries, `in_flight` of them at a time, and yield them in their order.

    Seconds are a document's share of its group's, by tokens.
    """
    trainee = Trainee(
        fleet.model, fleet.base, Gradients([]), [], tokenizer, fleet.recipe, fleet.window
    )
    step: Step = partial(_one_pass, fleet)
    if fleet.model.device.type == "cuda":
        step = Captured(step)
    queue = iter(queries)
    read_ahead = in_flight * GROUPS[fleet.model.device.type]
    while documents := [planned(query, trainee) for query in islice(queue, read_ahead)]:
        ready = 0
        alike = sorted(documents, key=lambda document: document.work)
        for start in range(0, len(alike), in_flight):
            _fly(fleet, step, alike[start : start + in_flight])
            while ready < len(documents) and documents[ready].measurements:
                document = documents[ready]
                ready += 1
                yield Adapted(document.query, document.size, document.measurements)
