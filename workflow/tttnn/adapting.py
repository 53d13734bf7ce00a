"""A model adapted to neighbours, and put back; how well it predicts a text before and after.

These are the functions of the library that train; `tttnn.library` has them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pandas as pd
import torch
from pydantic import ValidationError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.arguments import (
    check_model,
    check_recipe,
    check_trainable,
    checked_text,
    checked_texts,
    positive,
    whole,
)
from tttnn.methods import likelihood
from tttnn.methods.engines import choose
from tttnn.methods.measure import Query
from tttnn.methods.ttt.engine import Trainee, seed_of, steps_of, use_in
from tttnn.methods.ttt.engines.lean import Lean
from tttnn.methods.ttt.engines.objective import Objective
from tttnn.methods.ttt.parts import only_trained
from tttnn.methods.ttt.precision import weights
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import choose_window
from tttnn.models.tokens import tokens

LEARNING_RATE = 2e-5
"""The paper's for GPT-2 and GPT-2-Large (appendices A and B); GPT-Neo's is a quarter of it."""


def recipe_for(
    num_neighbors: int = 20,
    learning_rate: float = LEARNING_RATE,
    evaluate_at: Sequence[int] | None = None,
    **settings: Any,
) -> Recipe:
    """How to adapt: the settings of a method of kind `ttt`, which docs/methods.md explains.

    `learning_rate` is the model's own matter: the paper's, which is the default, is for GPT-2 of
    117 and 774 million weights. Smaller models want a larger one, and bigger ones a smaller one; a
    run has what suits its models as `adapt_learning_rate`. `evaluate_at` are the numbers of
    neighbours after which the text is measured, all of them if it is None. Raises `ValueError` in
    one line for a setting that is not known or does not fit.
    """
    count = whole(num_neighbors, "num_neighbors")
    points: Any = range(count + 1) if evaluate_at is None else evaluate_at
    if isinstance(points, Iterable) and not isinstance(points, str):
        points = [whole(point, "a number of evaluate_at") for point in points]
    rate = positive(learning_rate, "learning_rate")
    try:
        return Recipe(num_neighbors=count, learning_rate=rate, evaluate_at=points, **settings)
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
    lines = [f"{place}: {message}" if place else message for place, message in faults]
    raise ValueError("; ".join(lines).replace("Value error, ", ""))


def _chosen(model: PreTrainedModel, neighbors: list[str], recipe: Any) -> Recipe:
    """The recipe, or that of all the neighbours; raises `ValueError` where it does not apply."""
    chosen = check_recipe(recipe_for(len(neighbors)) if recipe is None else recipe, neighbors)
    check_trainable(model, chosen)
    return chosen


@contextmanager
def _as_found(model: PreTrainedModel) -> Iterator[None]:
    """Each module's mode, and gradients, are afterwards what they were; within there are none."""
    modes = [(module, module.training) for module in model.modules()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, gradient in gradients:
            parameter.grad = gradient


def _diverged(recipe: Recipe) -> str:
    return f"lower the learning rate, with which training diverged ({recipe.learning_rate:g})"


@contextmanager
def _training(model: PreTrainedModel) -> Iterator[None]:
    """Gradients are taken whatever the caller's mode, and the caller's random numbers go on."""
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        yield


def _windows(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, window: int | None
) -> list[likelihood.Window]:
    check_model(model, tokenizer)
    ids = tokens(tokenizer, checked_text(text))
    if not ids:
        raise ValueError(f"the tokenizer has no token for {text[:40]!r}: give a text with some")
    length = choose_window(model, None if window is None else whole(window, "window", 1), "window")
    return likelihood.rolling_windows(ids, likelihood.prefix_token(tokenizer), length)


def log_likelihood(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    window: int | None = None,
) -> float:
    """Natural-log likelihood of a text, in windows of `window` tokens; None: the model's context.

    The text follows an end-of-text token, as in the evaluation harness, and dropout is off. Raises
    `ValueError` for a text without tokens, and where the model's likelihood of it is NaN.
    """
    windows = _windows(model, tokenizer, text, window)
    with _as_found(model):
        model.eval()
        found = likelihood.log_likelihood(model, windows)
    if math.isnan(found):
        raise ValueError(
            "the model's likelihood of the text is NaN: lower the learning rate if the model was "
            "trained here, else load it again, in float32"
        )
    return found


def bits_per_byte(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    window: int | None = None,
) -> float:
    """Bits that the model needs for a byte of the text's UTF-8; see `log_likelihood`."""
    total = log_likelihood(model, tokenizer, text, window)
    return -total / math.log(2) / len(text.encode("utf-8"))


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    neighbors: Iterable[str],
    recipe: Recipe | None = None,
) -> pd.DataFrame:
    """Train on each neighbour in turn, nearest first, and measure the text after each; put back.

    A row a number of neighbours: `num_neighbors`, `log_likelihood` (natural), `bits_per_byte`,
    `train_loss` (nats a token, before the step; NaN before the first), `seconds` of training so
    far. `recipe` is what `recipe_for` gives; None: all the neighbours, the paper's settings. The
    weights are then bit for bit what they were, and so are their gradients and each module's mode.
    Weights on which `requires_grad` is off are not trained. Raises `ValueError` for fewer
    neighbours than the recipe has, for a text without tokens, for weights in half precision, and
    where training diverges.

    Source: Hardt and Sun 2024, arXiv 2305.18466, section 4.
    """
    check_model(model, tokenizer)
    texts = checked_texts(neighbors)
    chosen = _chosen(model, texts, recipe)
    _windows(model, tokenizer, text, chosen.window)  # which says where there is nothing to measure
    window = choose_window(model, chosen.window, "the recipe's window")
    _, engine = choose("auto", model, chosen, model.device.type)
    with _as_found(model), _training(model):
        (found,) = engine(model, tokenizer, [Query(0, text, texts)], chosen, window)
    for each in found.measurements:
        if not math.isfinite(each.loglikelihood):
            raise ValueError(
                f"the log-likelihood after {each.num_neighbors} neighbours is "
                f"{each.loglikelihood}: {_diverged(chosen)}"
            )
    return pd.DataFrame(
        {
            "num_neighbors": each.num_neighbors,
            "log_likelihood": each.loglikelihood,
            "bits_per_byte": -each.loglikelihood / math.log(2) / found.size.bytes,
            "train_loss": each.train_loss,
            "seconds": each.train_seconds,
        }
        for each in found.measurements
    )


@contextmanager
def adapted(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    neighbors: Iterable[str],
    recipe: Recipe | None = None,
    document: int | str = 0,
) -> Iterator[PreTrainedModel]:
    """The model as it is after training on the neighbours, within the `with`; then put back.

    `with adapted(model, tokenizer, neighbors): …` evaluates, generates or saves. `recipe` is as for
    `adapt`, and so are the weights within, but for rounding. Dropout, if the model has any, is
    drawn by `document`, the id of the document that is adapted to; `adapt` has 0. Afterwards the
    weights are bit for bit what they were, and so are their gradients and each module's mode.
    Raises `ValueError` as `adapt` does, before the `with` is entered.
    """
    check_model(model, tokenizer)
    texts = checked_texts(neighbors)
    chosen = _chosen(model, texts, recipe)
    if chosen.as_released:
        raise ValueError("as_released is of a run over documents in turn: leave it out")
    window = choose_window(model, chosen.window, "the recipe's window")
    query = Query(document, "", texts)
    with ExitStack() as undo:
        undo.enter_context(_as_found(model))
        with _training(model):
            undo.callback(only_trained(model, chosen))
            parameters = [p for p in model.parameters() if p.requires_grad]
            trained, give_back = weights(model, parameters, chosen.precision)
            undo.callback(give_back)
            machine = Lean(model, trained, chosen, Objective(model))
            undo.callback(machine.put_back)
            trainee = Trainee(
                model, trained, machine.gradients, machine.state, tokenizer, chosen, window
            )
            machine.start()
            torch.manual_seed(seed_of(chosen, query))
            for count in range(1, chosen.num_neighbors + 1):
                steps = steps_of(query, trainee, count)
                use = use_in(query, trainee, count, steps)
                for pieces in steps:
                    machine.step_on_repeated(pieces, use)
        if not all(bool(torch.isfinite(weight).all()) for weight in trained.kept):
            raise ValueError(
                f"after {chosen.num_neighbors} neighbours weights of the model are not finite: "
                f"{_diverged(chosen)}"
            )
        model.eval()
        with trained.in_float32():
            yield model
