"""What the engines do alike: documents in turn, without waiting for the device before each ends.

Steps and evaluations are handed to a machine, whose numbers stay on the device until a document is
done. Texts are tokenised a neighbour ahead, by a thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

import torch

from tttnn.methods.likelihood import Window, prefix_token, rolling_windows, size
from tttnn.methods.measure import Adapted, Measurement, Query, check_neighbors
from tttnn.methods.progress import note_trained
from tttnn.methods.snapshot import Snapshot
from tttnn.methods.ttt.engine import Pieces, Trainee, seed_of, steps_of, tokens_read, use_in
from tttnn.methods.ttt.precision import Weights
from tttnn.methods.ttt.reuse import ONCE, Use
from tttnn.models.tokens import tokens


class Machine(Protocol):
    """Trains and measures one model; what it returns may not be known yet."""

    weights: Weights

    def start(self) -> None:
        """Begin a document: the weights as they were, and no step taken."""

    def step(self, pieces: Pieces) -> list[torch.Tensor]:
        """Take a step on the mean of the pieces' losses; what each of these was before it."""

    def step_on_repeated(self, pieces: Pieces, use: Use) -> list[torch.Tensor]:
        """As `step`, on a text that comes again; no losses where its gradient is used again."""

    def log_likelihood(self, windows: list[Window]) -> torch.Tensor:
        """Of the windows' targets, in float64."""

    def kept(self) -> dict[str, torch.Tensor] | None:
        """What training goes on from, as `restore` takes it; None if that cannot be had."""

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from what was kept."""


class Marks:
    """Points in time of the work given to a device, and the seconds between them."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"

    def __call__(self) -> torch.cuda.Event | float:
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    @staticmethod
    def between(first: torch.cuda.Event | float, last: torch.cuda.Event | float) -> float:
        """Seconds; the device must have passed both."""
        if isinstance(first, float) or isinstance(last, float):
            return float(last) - float(first)  # type: ignore[arg-type]
        return first.elapsed_time(last) / 1000


class _Trained(NamedTuple):
    """What was trained on between two measurements: sizes, and numbers to come."""

    steps: int
    tokens: int
    losses: list[torch.Tensor]
    began: torch.cuda.Event | float
    ended: torch.cuda.Event | float


class _Evaluated(NamedTuple):
    """An evaluation: a number to come, and when it was computed."""

    total: torch.Tensor
    began: torch.cuda.Event | float
    ended: torch.cuda.Event | float


def _train(machine: Machine, steps: list[Pieces], use: Use, mark: Marks) -> _Trained:
    began = mark()
    found = []
    for pieces in steps:
        if use == ONCE:
            found.append(machine.step(pieces))
        else:
            found.append(machine.step_on_repeated(pieces, use))
        note_trained(sum(map(len, pieces)))
    losses = [loss for step in found for loss in step]
    return _Trained(len(steps), tokens_read(steps, found), losses, began, mark())


def _evaluate(machine: Machine, windows: list[Window], mark: Marks) -> _Evaluated:
    began = mark()
    with machine.weights.in_float32():
        total = machine.log_likelihood(windows)
    return _Evaluated(total, began, mark())


Done = list[tuple[int, list[_Trained], _Evaluated | None]]
"""For each measurement: its number of neighbours, what was trained on since the one before, and the
evaluation, None where no step was taken since."""


def _run(
    machine: Machine,
    trainee: Trainee,
    query: Query,
    windows: list[Window],
    ahead: ThreadPoolExecutor,
    resume: Snapshot | None,
) -> list[Measurement]:
    """Give the device all that a document takes, and wait for its numbers.

    Where an earlier job saved the query after one of its measurements, it goes on from there.
    """
    mark, recipe = Marks(trainee.model.device), trainee.recipe
    before: list[Measurement] = []
    if resume is not None and (saved := resume.saved(query.id)) is not None:
        machine.restore(saved.tensors)
        before = saved.measurements
    begin = before[-1].num_neighbors + 1 if before else 0
    done: Done = []
    since: list[_Trained] = []
    ready: Future[list[Pieces]] | None = None
    if begin:
        ready = ahead.submit(steps_of, query, trainee, begin)
    for count in range(begin, recipe.num_neighbors + 1):
        todo = ready.result() if ready else []
        if count < recipe.num_neighbors:
            ready = ahead.submit(steps_of, query, trainee, count + 1)
        if count > 0:
            use = use_in(query, trainee, count, todo)
            since.append(_train(machine, todo, use, mark))
        if count in recipe.evaluate_at:
            changed = not (done or before) or any(part.steps for part in since)
            done.append((count, since, _evaluate(machine, windows, mark) if changed else None))
            since = []
            if resume is not None and count < recipe.evaluate_at[-1]:
                _save(machine, query, before, done, resume)
    return _measurements(before, done, trainee.model.device)


def _save(
    machine: Machine,
    query: Query,
    before: list[Measurement],
    done: Done,
    resume: Snapshot,
) -> None:
    """Save the document, if that is worth it: only then is a GPU waited for."""
    tensors = machine.kept()
    if tensors is None:
        return
    device = next(iter(tensors.values())).device
    if device.type == "cuda" and not resume.wants(sum(t.nbytes for t in tensors.values())):
        return
    found = _measurements(before, done, device)
    resume.save(query.id, found, tensors if found[-1].steps else {})


def _measurements(before: list[Measurement], done: Done, device: torch.device) -> list[Measurement]:
    """Those that an earlier job made, and those to come, when they are there."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    found = list(before)
    steps, trained_tokens, seconds = 0, 0, 0.0
    loss, total, evaluate = math.nan, math.nan, 0.0
    if before:
        last = before[-1]
        steps, trained_tokens, seconds = last.steps, last.train_tokens, last.train_seconds
        loss, total, evaluate = last.train_loss, last.loglikelihood, last.evaluate_seconds
    for count, since, evaluated in done:
        for part in since:
            steps += part.steps
            trained_tokens += part.tokens
            seconds += Marks.between(part.began, part.ended)
        if since:
            losses = torch.stack(since[-1].losses).tolist() if since[-1].losses else []
            losses = [value for value in losses if not math.isnan(value)]
            loss = sum(losses) / len(losses) if losses else math.nan
        if evaluated is not None:
            total = evaluated.total.item()
            evaluate = Marks.between(evaluated.began, evaluated.ended)
        found.append(Measurement(count, total, loss, steps, trained_tokens, seconds, evaluate))
    return found


def adapted(
    machine: Machine, trainee: Trainee, queries: Iterable[Query], resume: Snapshot | None = None
) -> Iterator[Adapted]:
    """Adapt to each query in turn, as the reference loop does, and yield what was measured."""
    prefix = prefix_token(trainee.tokenizer)
    recipe = trainee.recipe
    with ThreadPoolExecutor(1, "tokens") as ahead:
        for query in queries:
            if recipe.train_on != "query":
                check_neighbors(query, recipe.num_neighbors)
            torch.manual_seed(seed_of(recipe, query))
            ids = tokens(trainee.tokenizer, query.text)
            windows = rolling_windows(ids, prefix, trainee.window)
            machine.start()
            measurements = _run(machine, trainee, query, windows, ahead, resume)
            yield Adapted(query, size(query.text, ids), measurements)
