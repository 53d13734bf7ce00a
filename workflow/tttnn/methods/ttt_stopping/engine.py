"""Test-time training that stops when the document's first half becomes no likelier.

The first half finds the neighbours, and the second is evaluated. What training on neighbours does
to the first is known without looking at the second: after each neighbour its log-likelihood is
taken, and once `patience` neighbours in a row have not made it better than it was at its best,
training ends. (Early stopping: Prechelt 1998, doi:10.1007/3-540-49430-8_3.)

What is reported after n neighbours is of the weights as they were at the best of the first n, or
before training if that is best, and what it cost is all that was trained, the looks at the first
half included: nobody knows which is the best one without going on for a while.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

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
from tttnn.methods.ttt.engine import (
    Progress,
    Trainee,
    measure,
    optimizer_of,
    put_back,
    seed_of,
    train,
)
from tttnn.methods.ttt.parts import only_trained
from tttnn.methods.ttt.precision import weights
from tttnn.methods.ttt.reuse import Gradients
from tttnn.methods.ttt_stopping.settings import Stopping
from tttnn.models.tokens import tokens


def _windows(text: str, trainee: Trainee) -> list[Window]:
    ids = tokens(trainee.tokenizer, text)
    return rolling_windows(ids, prefix_token(trainee.tokenizer), trainee.window)


def _look(trainee: Trainee, windows: list[Window], before: Progress) -> tuple[float, Progress]:
    """Log-likelihood of the first half, whose seconds are training's."""
    started = clock(trainee.model.device)
    trainee.model.eval()
    with trainee.weights.in_float32():
        found = log_likelihood(trainee.model, windows)
    seconds = before.train_seconds + clock(trainee.model.device) - started
    return found, before._replace(train_seconds=seconds)


def _measured(
    trainee: Trainee, optimizer: torch.optim.Optimizer, query: Query, recipe: Stopping
) -> list[Measurement]:
    """Train on the query's neighbours in turn until it is to stop; measure where it is best."""
    if query.context is None:
        raise ValueError(
            f"document {query.id} is not split, and kind ttt_stopping stops by its first half: "
            "give its context"
        )
    looked_at, evaluated = _windows(query.context, trainee), _windows(query.text, trainee)
    best, progress = _look(trainee, looked_at, Progress())
    with trainee.weights.in_float32():
        at_best = measure(trainee.model, 0, evaluated, progress)
    measured, since = [at_best], 0
    for count in range(1, recipe.num_neighbors + 1):
        if since < recipe.patience and count <= len(query.neighbors):
            progress = train(trainee, optimizer, query, count, progress)
            found, progress = _look(trainee, looked_at, progress)
            since += 1
            if found > best:
                best, since = found, 0
                with trainee.weights.in_float32():
                    at_best = measure(trainee.model, count, evaluated, progress)
        if count in recipe.evaluate_at:
            measured.append(replace(at_best, num_neighbors=count, **progress._asdict()))
    return measured


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Stopping,
    window: int,
) -> Iterator[Adapted]:
    """Adapt `model` to each query in turn and yield what was measured.

    As `tttnn.methods.ttt.engine.adapt` does, as long as a query's training lasts. Only with
    `step: batch` it is of all neighbours at once, and stops after so many steps.

    Raises `ValueError` as that does, and for a query without a context.
    """
    undo = only_trained(model, recipe)
    parameters = [p for p in model.parameters() if p.requires_grad]
    trained, give_back = weights(model, parameters, recipe.precision)
    state = [*trained.kept, *model.buffers()]
    gradients = Gradients(trained.used)
    trainee = Trainee(model, trained, gradients, state, tokenizer, recipe, window)
    original = [tensor.detach().clone() for tensor in state]
    try:
        for query in queries:
            check_neighbors(query, recipe.num_neighbors)
            torch.manual_seed(seed_of(recipe, query))
            gradients.empty()
            measurements = _measured(trainee, optimizer_of(trained.kept, recipe), query, recipe)
            model.eval()
            put_back(state, original)
            trained.renew()
            yield Adapted(query, size(query.text, tokens(tokenizer, query.text)), measurements)
    finally:
        model.eval()
        put_back(state, original)
        give_back()
        undo()
