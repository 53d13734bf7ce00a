"""Test-time training on a long document, window by window.

Windows are scored in their order. Before one is, the model may be trained on neighbours; once it
is, on the window itself. Nothing of a window is trained on before it is scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.clock import clock
from tttnn.methods.likelihood import Size, Window, log_likelihood, prefix_token, size
from tttnn.methods.measure import Measurement, Query, check_neighbors
from tttnn.methods.progress import note_trained
from tttnn.methods.ttt.engine import Trainee, optimizer_of, seed_of, steps_of
from tttnn.methods.ttt.parts import only_trained
from tttnn.methods.ttt.precision import weights
from tttnn.methods.ttt.reuse import Gradients
from tttnn.methods.windows.settings import WindowRecipe
from tttnn.methods.windows.stretches import Step, Stretch, stretches, tokens_by_window


@dataclass(frozen=True)
class Document:
    """Texts of windows, which together are what is evaluated, and what was found for it.

    `found` is one query, whose neighbours are for all windows (`query: document`), one for each
    window, or empty where there are no neighbours (`query: none`).
    """

    id: int
    windows: Sequence[str]
    found: Sequence[Query]


class Measured(NamedTuple):
    """A document's windows: the size of each, and its measurements, ascending in `num_neighbors`.

    What a measurement counts of training is what was done since the window before was measured, so
    that the windows' sums are the document's.
    """

    document: Document
    sizes: list[Size]
    measurements: list[list[Measurement]]


class _Done(NamedTuple):
    """Training since the weights were those of the model."""

    steps: int = 0
    train_tokens: int = 0
    train_seconds: float = 0.0

    def since(self, before: _Done) -> _Done:
        return _Done(
            self.steps - before.steps,
            self.train_tokens - before.train_tokens,
            self.train_seconds - before.train_seconds,
        )


class _Reader:
    """A model that reads documents: scores windows, and is trained in between."""

    def __init__(self, trainee: Trainee, recipe: WindowRecipe) -> None:
        self._trainee, self._recipe = trainee, recipe
        self._original = self._copied()
        self._optimizer = partial(optimizer_of, trainee.weights.kept, trainee.recipe)
        self._begin()

    def _begin(self) -> None:
        self._done, self._train_loss = _Done(), math.nan

    def _copied(self) -> list[torch.Tensor]:
        return [tensor.detach().clone() for tensor in self._trainee.state]

    def _put(self, state: list[torch.Tensor]) -> None:
        """Copied, so that the weights are bit for bit what they were."""
        with torch.no_grad():
            torch._foreach_copy_(self._trainee.state, state)
        self._trainee.weights.renew()

    def put_back(self) -> None:
        """Make the weights what they were before the first document."""
        self._put(self._original)

    def _train(self, steps: Iterable[Step], optimizer: torch.optim.Optimizer) -> None:
        """Take the steps in turn, each on the mean loss of its targets."""
        trainee, recipe, losses = self._trainee, self._trainee.recipe, []
        device = trainee.model.device
        started = clock(device)
        read = 0
        trainee.model.train(recipe.dropout == "as_model")
        for inputs, targets in steps:
            optimizer.zero_grad()
            fed, goals = (torch.tensor(ids, device=device) for ids in (inputs, targets))
            logits = trainee.model(input_ids=fed[None], use_cache=False).logits[0, : len(goals)]
            loss = cross_entropy(logits.float(), goals)
            loss.backward()
            trainee.weights.take_gradients()
            if recipe.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(trainee.weights.kept, recipe.clip_norm)
            optimizer.step()
            trainee.weights.renew()
            losses.append(loss.item())
            read += len(inputs)
            note_trained(len(inputs))
        trainee.model.eval()
        if losses:
            self._train_loss = sum(losses) / len(losses)
        self._done = _Done(
            self._done.steps + len(losses),
            self._done.train_tokens + read,
            self._done.train_seconds + clock(device) - started,
        )

    def _neighbor(self, query: Query, count: int) -> list[Step]:
        """What is trained on of a query's neighbour of rank `count`, from 1.

        Its first token is not predicted, unless the recipe puts a prefix token before it.
        """
        steps = steps_of(query, self._trainee, count)
        return [Step(piece, piece[1:]) for pieces in steps for piece in pieces]

    def measure(self, windows: list[Window], count: int, before: _Done) -> Measurement:
        """The log-likelihood of a window under the weights as they are now."""
        device = self._trainee.model.device
        started = clock(device)
        total = 0.0
        if windows:
            with self._trainee.weights.in_float32():
                total = log_likelihood(self._trainee.model, windows)
        spent = clock(device) - started
        done = self._done.since(before)
        return Measurement(count, total, self._train_loss, *done, evaluate_seconds=spent)

    def plain(self, parts: list[Stretch]) -> list[list[Measurement]]:
        """Each window under the model as it was."""
        self._begin()
        return [[self.measure(part.scored, 0, self._done)] for part in parts]

    def course(
        self, document: Document, parts: list[Stretch], points: Sequence[int]
    ) -> list[list[Measurement]]:
        """Through the document once, from the model as it was: each window at the `points`.

        Where weights are put back, each window's neighbours have an optimiser of their own, and the
        scored windows one for the document; otherwise one for the document serves all. Random
        numbers start again with each text that has neighbours, so that what does not depend on
        other windows does not by these either.
        """
        recipe, last = self._recipe, points[-1]
        puts_back, learns = recipe.puts_back, recipe.score_first is not None
        base, learner = self._original, self._optimizer()
        measured: list[list[Measurement]] = [[] for _ in parts]
        self._begin()
        before = self._done
        for query, members in _units(document, recipe):
            torch.manual_seed(seed_of(self._trainee.recipe, query))
            optimizer = self._optimizer() if puts_back else learner
            for count in range(1, last + 1):
                self._train(self._neighbor(query, count), optimizer)
                if count not in points:
                    continue
                since = before
                for place in members:
                    measured[place].append(self.measure(parts[place].scored, count, since))
                    since = self._done
                    if learns and count == last and place < len(parts) - 1:
                        if puts_back:
                            self._put(base)
                            torch.manual_seed(seed_of(self._trainee.recipe, query))
                        for _ in range(recipe.times or count):
                            self._train(parts[place].learnt, learner)
                        if puts_back:
                            base = self._copied()
            before = since
            if puts_back:
                self._put(base)
        self.put_back()
        return measured


def _units(document: Document, recipe: WindowRecipe) -> Iterator[tuple[Query, Sequence[int]]]:
    """Queries in their order, each with the windows that are scored after its neighbours."""
    if recipe.query == "document":
        yield document.found[0], range(len(document.windows))
    elif recipe.query == "none":
        yield Query(document.id, "", [], stopped=True), range(len(document.windows))
    else:
        yield from ((query, [place]) for place, query in enumerate(document.found))


def _courses(recipe: WindowRecipe) -> list[list[int]]:
    """The numbers of neighbours that one way through a document can be measured at.

    All, where a window's weights do not depend on how many neighbours those before it had.
    """
    points = recipe.evaluate_at[1:]
    alone = recipe.query == "document" and recipe.score_first is None
    return [points] if points and (alone or recipe.puts_back) else [[point] for point in points]


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Iterable[Document],
    recipe: WindowRecipe,
    window: int,
) -> Iterator[Measured]:
    """Read each document in turn, and yield what was measured of its windows.

    `window` is how many tokens the model reads at once, at most: with as many tokens a window of
    the document, and no neighbours, the document is evaluated as by every other method. At 0
    neighbours it is always the model as it was. With `query: none` the number of neighbours is
    how often each scored window is trained on; otherwise that is once, after so many neighbours.

    After each document, and when the generator is closed, the weights are bit for bit what they
    were. Raises `ValueError` if there is no learning rate, if a query has fewer neighbours than the
    recipe trains on, for a tokenizer without offsets, and for chunks of more tokens than `window`.
    """
    chunk = None if recipe.score_first is None else recipe.score_first.chunk_tokens
    if chunk is not None and chunk > window:
        raise ValueError(
            f"score_first.chunk_tokens ({chunk}) is above the {window} tokens that the model "
            "reads at once: lower chunk_tokens"
        )
    training = recipe.training()
    prefix = prefix_token(tokenizer)
    undo = only_trained(model, training)
    parameters = [p for p in model.parameters() if p.requires_grad]
    trained, give_back = weights(model, parameters, recipe.precision)
    state = [*trained.kept, *model.buffers()]
    trainee = Trainee(model, trained, Gradients(trained.used), state, tokenizer, training, window)
    reader = _Reader(trainee, recipe)
    model.eval()
    try:
        for document in documents:
            for query in document.found:
                check_neighbors(query, recipe.num_neighbors)
            ids, borders = tokens_by_window(tokenizer, document.windows)
            parts = stretches([prefix, *ids], borders, window, chunk)
            measured = reader.plain(parts)
            for points in _courses(recipe):
                for own, found in zip(
                    measured, reader.course(document, parts, points), strict=True
                ):
                    own += found
            counts = (end - start for start, end in pairwise([0, *borders]))
            sizes = [
                size(text, range(count))
                for text, count in zip(document.windows, counts, strict=True)
            ]
            yield Measured(document, sizes, measured)
    finally:
        model.eval()
        reader.put_back()
        give_back()
        undo()
