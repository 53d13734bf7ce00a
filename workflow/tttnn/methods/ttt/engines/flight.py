"""Many documents in flight: what the engines that train them in one batch have in common.

Documents of about the same work make a group. From one measurement to the next, each of them
presents its next piece in every step of the batch. Those with the most steps to go are the first
rows, so that the batch shrinks as documents are done, and none that is done moves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy, pad
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.clock import clock
from tttnn.methods.likelihood import (
    Size,
    Window,
    padded,
    prefix_token,
    rolling_windows,
    size,
)
from tttnn.methods.measure import Adapted, Measurement, Query, check_neighbors
from tttnn.methods.ttt.engine import Pieces, _Progress, _steps, _Trainee
from tttnn.methods.ttt.engines.captured import Captured, Step
from tttnn.methods.ttt.engines.stacked_adamw import Stack
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.tokens import tokens

GROUPS = 4  # so many groups' documents are looked at together, to find those of equal work
BATCH_TOKENS = 8192  # at most in a forward pass, as in `log_likelihood`; or one row
WIDTHS = 32  # on CUDA, lengths are padded to multiples of it, so that few graphs do
UNSEEN = -100  # a target that is none, as in `padded`
NOTHING = Window([], [])


@dataclass(frozen=True)
class Segment:
    """What a document does before a measurement: its steps, each the windows it is of."""

    steps: list[list[Window]]
    last: int
    """How many of the steps, at the end, are of the last neighbour."""
    tokens: int


@dataclass
class Document:
    """A query under way."""

    query: Query
    windows: list[Window]
    size: Size
    segments: list[Segment]
    progress: _Progress = field(default_factory=_Progress)
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def work(self) -> tuple[int, int]:
        """What is alike in documents of a group: steps, and tokens to train on."""
        return sum(len(s.steps) for s in self.segments), sum(s.tokens for s in self.segments)


class Fleet(NamedTuple):
    """A model whose modules read the stack's rows, and how it is trained."""

    model: PreTrainedModel
    stack: Stack
    recipe: Recipe
    window: int


def why_not(model: PreTrainedModel, recipe: Recipe) -> str | None:
    """Why documents cannot be trained side by side under this recipe, if they cannot."""
    if key := recipe.depends_on_order:
        return f"{key}: a document's result depends on those before it"
    if recipe.dropout == "as_model" and (name := _dropout(model)):
        return (
            f"dropout: as_model, and {name} is above 0: its masks come from one stream of random "
            "numbers for each document; set dropout: none"
        )
    if getattr(recipe, "optimizer", "adamw") != "adamw":
        return "optimizer: documents in flight are trained with adamw"
    if getattr(recipe, "reuse", 1) != 1:
        return "reuse: gradients are not reused with documents in flight"
    return None


def _dropout(model: PreTrainedModel) -> str | None:
    """The first place where the model drops something while it is trained."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and module.p > 0:
            return name
        for key, value in vars(module).items():
            if "drop" in key and isinstance(value, float) and value > 0:
                return f"{name}.{key}"
    return None


def _window(piece: list[int]) -> Window:
    """A piece to train on, without the last token, after which nothing is predicted."""
    return Window(piece[:-1], piece[1:])


def _segments(query: Query, trainee: _Trainee) -> Iterator[Segment]:
    steps: list[Pieces] = []
    last: list[Pieces] = []
    for count in range(trainee.recipe.evaluate_at[-1] + 1):
        if count > 0:
            last = _steps(query, trainee, count)
            steps += last
        if count in trainee.recipe.evaluate_at:
            windows = [[_window(piece) for piece in step] for step in steps]
            trained = sum(len(piece) for step in steps for piece in step)
            yield Segment(windows, len(last), trained)
            steps = []


def _planned(query: Query, trainee: _Trainee) -> Document:
    if trainee.recipe.train_on != "query":
        check_neighbors(query, trainee.recipe.num_neighbors)
    ids = tokens(trainee.tokenizer, query.text)
    windows = rolling_windows(ids, prefix_token(trainee.tokenizer), trainee.window)
    return Document(query, windows, size(query.text, ids), list(_segments(query, trainee)))


def _on(device: torch.device, batch: torch.Tensor, window: int, filler: int) -> torch.Tensor:
    """A batch on the device; for CUDA padded to a multiple of `WIDTHS`, and nobody waits for it."""
    if device.type != "cuda":
        return batch.to(device)
    width = min(-(-batch.shape[1] // WIDTHS) * WIDTHS, window)
    return (
        pad(batch, (0, width - batch.shape[1]), value=filler)
        .pin_memory()
        .to(device, non_blocking=True)
    )


def _batches(
    windows: Sequence[Window], fleet: Fleet
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Rows of the stack with their inputs and targets, (rows, t), on the device."""
    start = 0
    device = fleet.model.device
    for inputs, targets in padded(windows, BATCH_TOKENS):
        rows = slice(start, start + len(inputs))
        start += len(inputs)
        if any(window.targets for window in windows[rows]):
            yield (
                rows,
                _on(device, inputs, fleet.window, 0),
                _on(device, targets, fleet.window, UNSEEN),
            )


def _losses(fleet: Fleet, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(rows, t): of each position, 0 without a target."""
    logits = fleet.model(input_ids=inputs, use_cache=False).logits.float()
    losses = cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=UNSEEN, reduction="none"
    )
    return losses.view_as(targets)


def _backward(
    fleet: Fleet, rows: slice, inputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Gradients of each row's mean loss times its weight, (rows,), and these means, (rows,).

    It is their sum that is taken backward: each row's weights have a part in its own loss alone.
    """
    fleet.stack.rows = rows
    counts = (targets != UNSEEN).sum(1).clamp_(min=1)
    means = _losses(fleet, inputs, targets).sum(1) / counts
    (means * weights).sum().backward()
    return means.detach()


def _one_pass(
    fleet: Fleet, count: int, inputs: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """A step of the first `count` documents, each of one piece, all in one batch; their losses."""
    fleet.stack.begin(count, 1)
    weights = torch.ones(count, device=inputs.device)
    losses = _backward(fleet, slice(0, count), inputs, targets, weights)
    fleet.stack.step(count, fleet.recipe)
    return losses


def _step(fleet: Fleet, step: Step, steps: Sequence[list[Window]]) -> list[torch.Tensor]:
    """One step of the first `len(steps)` documents; of each pass, the rows' losses (rows,)."""
    passes = max(map(len, steps))
    count = len(steps)
    device = fleet.model.device
    if passes == 1:
        batches = list(_batches([window for (window,) in steps], fleet))
        if len(batches) == 1:
            return [step(count, *batches[0][1:])]
    fleet.stack.begin(count, passes)
    weights = torch.tensor([1 / len(pieces) for pieces in steps]).to(device)
    losses = []
    for number in range(passes):
        windows = [pieces[number] if number < len(pieces) else NOTHING for pieces in steps]
        found = torch.full((count,), math.nan, device=device)
        for rows, inputs, targets in _batches(windows, fleet):
            found[rows] = _backward(fleet, rows, inputs, targets, weights[rows])
        losses.append(found)
    fleet.stack.step(count, fleet.recipe)
    return losses


def _train(fleet: Fleet, step: Step, documents: list[Document], number: int) -> None:
    """Train on what lies before measurement `number`; documents and rows change their order."""
    todo = [document.segments[number] for document in documents]
    order = sorted(range(len(todo)), key=lambda row: -len(todo[row].steps))
    fleet.stack.reorder(order)
    documents[:] = [documents[row] for row in order]
    todo = [todo[row] for row in order]
    device = fleet.model.device
    started = clock(device)
    losses = []
    for index in range(len(todo[0].steps)):
        active = [segment.steps[index] for segment in todo if index < len(segment.steps)]
        losses.append(_step(fleet, step, active))
    seconds = clock(device) - started
    values = [[found.tolist() for found in passes] for passes in losses]
    trained = sum(segment.tokens for segment in todo)
    for row, (document, segment) in enumerate(zip(documents, todo, strict=True)):
        steps = range(len(segment.steps) - segment.last, len(segment.steps))
        own = [values[i][j][row] for i in steps for j in range(len(segment.steps[i]))]
        own = [loss for loss in own if not math.isnan(loss)]
        before = document.progress
        document.progress = _Progress(
            sum(own) / len(own) if own else math.nan,
            before.steps + len(segment.steps),
            before.train_tokens + segment.tokens,
            before.train_seconds + seconds * segment.tokens / max(trained, 1),
        )


@torch.inference_mode()
def _evaluate(fleet: Fleet, documents: Sequence[Document]) -> list[float]:
    """The log-likelihoods of the texts, document by document, under their own weights as they are.

    Those whose weights did not move since they were measured last are left out: 0.
    """
    texts = [
        []
        if document.measurements and document.measurements[-1].steps == document.progress.steps
        else document.windows
        for document in documents
    ]
    totals = torch.zeros(len(texts), dtype=torch.float64, device=fleet.model.device)
    for number in range(max(map(len, texts))):
        windows = [text[number] if number < len(text) else NOTHING for text in texts]
        for rows, inputs, targets in _batches(windows, fleet):
            fleet.stack.rows = rows
            totals[rows] -= _losses(fleet, inputs, targets).double().sum(1)
    return totals.tolist()


def _measure(fleet: Fleet, documents: Sequence[Document], count: int) -> None:
    """Measure all documents after `count` neighbours."""
    started = clock(fleet.model.device)
    totals = _evaluate(fleet, documents)
    seconds = clock(fleet.model.device) - started
    evaluated = sum(document.size.tokens for document in documents)
    for document, total in zip(documents, totals, strict=True):
        last = document.measurements[-1] if document.measurements else None
        progress = document.progress._asdict()
        if last is not None and last.steps == document.progress.steps:  # the same weights
            document.measurements.append(replace(last, num_neighbors=count, **progress))
            continue
        share = seconds * document.size.tokens / max(evaluated, 1)
        document.measurements.append(
            Measurement(count, loglikelihood=total, **progress, evaluate_seconds=share)
        )


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
    trainee = _Trainee(fleet.model, [], tokenizer, fleet.recipe, fleet.window)
    step: Step = partial(_one_pass, fleet)
    if fleet.model.device.type == "cuda":
        step = Captured(step)
    queue = iter(queries)
    while planned := [_planned(query, trainee) for query in islice(queue, GROUPS * in_flight)]:
        ready = 0
        alike = sorted(range(len(planned)), key=lambda i: planned[i].work)
        for start in range(0, len(alike), in_flight):
            _fly(fleet, step, [planned[i] for i in alike[start : start + in_flight]])
            while ready < len(planned) and planned[ready].measurements:
                document = planned[ready]
                ready += 1
                yield Adapted(document.query, document.size, document.measurements)
