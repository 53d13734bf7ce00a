"""What a notebook needs, and `import tttnn` gives: adapt a model, ask runs, choose neighbours.

Texts and folders are given as they are; what a stage of the workflow reads of files and of the
configuration is an argument here, with the paper's defaults. Nothing is downloaded and nothing is
written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pydantic import ValidationError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.live.query import neighbors_of
from tttnn.live.shard import Run
from tttnn.methods import likelihood
from tttnn.methods.engines import choose
from tttnn.methods.measure import Query, check_neighbors
from tttnn.methods.ttt.engine import Trainee, seed_of, steps_of, use_in
from tttnn.methods.ttt.engines.lean import Lean
from tttnn.methods.ttt.engines.objective import Objective
from tttnn.methods.ttt.parts import only_trained
from tttnn.methods.ttt.precision import weights
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import choose_window, load_causal
from tttnn.models.tokens import tokens
from tttnn.places import run_folder
from tttnn.reading import one_line, read_csv, read_parquet
from tttnn.retrieval.selections.hull import hull
from tttnn.retrieval.selections.sift import sift

__all__ = [
    "Query",
    "Recipe",
    "adapt",
    "adapted",
    "bits_per_byte",
    "hull",
    "load_model",
    "log_likelihood",
    "read_tables",
    "recipe_for",
    "search",
    "sift",
]

LEARNING_RATE = 2e-5
"""The paper's for GPT-2 and GPT-2-Large (appendices A and B); GPT-Neo's is a quarter of it."""


def load_model(
    folder: str | Path, device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model from a folder in Hugging Face format, in float32, and its tokenizer.

    Raises `ValueError` with a remedy where the folder holds none, and for a device that is not
    there; nothing is downloaded.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a name that is none; none of that name here
        said = f"device {device!r} cannot be used ({one_line(error)}): take cpu"
        raise ValueError(said) from error
    return load_causal(Path(folder), device=device)


def recipe_for(
    num_neighbors: int = 20,
    learning_rate: float = LEARNING_RATE,
    evaluate_at: Sequence[int] | None = None,
    **settings: Any,
) -> Recipe:
    """How to adapt: the settings of a method of kind `ttt`, which docs/methods.md explains.

    `evaluate_at` are the numbers of neighbours after which the text is measured, all of them if it
    is None. Raises `ValueError` in one line for a setting that is not known or does not fit.
    """
    points: Any = evaluate_at
    if isinstance(num_neighbors, int) and evaluate_at is None:
        points = list(range(num_neighbors + 1))
    given = {"num_neighbors": num_neighbors, "learning_rate": learning_rate, "evaluate_at": points}
    try:
        return Recipe(**given, **settings)
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
    lines = [f"{place}: {message}" if place else message for place, message in faults]
    raise ValueError("; ".join(lines).replace("Value error, ", ""))


def _checked(text: Any, what: str = "the text") -> str:
    """Raises `ValueError` for what is no text, or cannot be written as UTF-8."""
    if not isinstance(text, str):
        raise ValueError(f"{what} is of type {type(text).__name__}: give a string")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} has a lone surrogate, which is no character: {error}") from None
    return text


def _texts(neighbors: Any) -> list[str]:
    """Raises `ValueError` for what is no list of texts: a string and a data frame are lists, too.

    One has its characters in it and the other its columns' names, and both can be trained on.
    """
    if isinstance(neighbors, str | pd.DataFrame) or not isinstance(neighbors, Iterable):
        raise ValueError(
            f"the neighbours are of type {type(neighbors).__name__}: give a list of texts, such as "
            "search(…)['text']"
        )
    return [_checked(text, f"neighbour {place}") for place, text in enumerate(neighbors)]


def _chosen(model: PreTrainedModel, neighbors: list[str], recipe: Any) -> Recipe:
    """The recipe, or that of all the neighbours; raises `ValueError` where it does not apply."""
    if recipe is None:
        recipe = recipe_for(len(neighbors))
    if not isinstance(recipe, Recipe):
        raise ValueError(f"the recipe is of type {type(recipe).__name__}: give recipe_for(…)")
    for key, is_set in (
        ("text: split", recipe.evaluates_halves),
        ("max_overlap", recipe.max_overlap is not None),
        ("budget", recipe.budget is not None),
    ):
        if is_set:
            raise ValueError(
                f"{key} of a recipe is for documents that the workflow splits or whose neighbours "
                "it chooses: leave it out, and give the text and neighbours that are meant"
            )
    check_neighbors(Query(0, "", neighbors), recipe.num_neighbors)
    if recipe.lora is not None and any(".lora_" in name for name, _ in model.named_parameters()):
        raise ValueError("the model has adapters already: leave their `with` first, or merge them")
    if recipe.lora is None and not any(p.requires_grad for p in model.parameters()):
        raise ValueError(
            "no weight of the model takes gradients, so none can be trained: call "
            "model.requires_grad_(True), or give a recipe with lora"
        )
    return recipe


@contextmanager
def _training(model: PreTrainedModel) -> Iterator[None]:
    """Gradients are taken whatever the caller's mode, and the caller's random numbers go on."""
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        yield


def _windows(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, window: int | None
) -> list[likelihood.Window]:
    ids = tokens(tokenizer, _checked(text))
    if not ids:
        raise ValueError(f"the tokenizer has no token for {text[:40]!r}: there is no likelihood")
    length = choose_window(model, window, "window")
    return likelihood.rolling_windows(ids, likelihood.prefix_token(tokenizer), length)


def log_likelihood(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    window: int | None = None,
) -> float:
    """Natural-log likelihood of a text, in windows of `window` tokens; None: the model's context.

    The text follows an end-of-text token, as in the evaluation harness. Raises `ValueError` for a
    text without tokens.
    """
    return likelihood.log_likelihood(model, _windows(model, tokenizer, text, window))


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
    weights are then bit for bit what they were. Those on which `requires_grad` is off are not
    trained. Raises `ValueError` for fewer neighbours than the recipe has, and for a text without
    tokens.

    Source: Hardt and Sun 2024, arXiv 2305.18466, section 4.
    """
    texts = _texts(neighbors)
    chosen = _chosen(model, texts, recipe)
    _windows(model, tokenizer, text, chosen.window)  # which says where there is nothing to measure
    window = choose_window(model, chosen.window, "the recipe's window")
    _, engine = choose("auto", model, chosen, model.device.type)
    was_training = model.training
    try:
        with _training(model):
            (found,) = engine(model, tokenizer, [Query(0, text, texts)], chosen, window)
    finally:
        model.train(was_training)
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
    weights are bit for bit what they were.
    """
    texts = _texts(neighbors)
    chosen = _chosen(model, texts, recipe)
    if chosen.as_released:
        raise ValueError("as_released is of a run over documents in turn: leave it out")
    window = choose_window(model, chosen.window, "the recipe's window")
    query = Query(document, "", texts)
    with ExitStack() as undo:
        undo.callback(model.train, model.training)
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
        model.eval()
        with trained.in_float32():
            yield model


def search(text: str, run: str | Path, k: int = 20, index: str | None = None) -> pd.DataFrame:
    """The k passages of a finished run that are nearest to a text, nearest first.

    `run` is the name of a run in the current folder, or the path of its `results/NAME`; `index` one
    of its indexes, None: its first. Columns: `rank`, `passage_id`, `distance` (squared Euclidean),
    `subset`, `text`. Raises `ValueError` where the run has no embeddings yet, and for a text of
    white space alone.
    """
    if not _checked(text).strip():
        raise ValueError("the text is empty")
    return pd.DataFrame(neighbors_of(Run(run, index), text, k))


def read_tables(run: str | Path) -> Mapping[str, pd.DataFrame]:
    """A run's tables as data frames, by name: `scores`, `differences`, `costs`, …

    `run` is as for `search`. Raises `ValueError` where the run has none yet.
    """
    folder = run_folder(run) / "tables"
    files = sorted([*folder.glob("*.csv"), *folder.glob("*.parquet")])
    if not files:
        raise ValueError(f"{folder} holds no tables: run the workflow, or name another run")
    return {
        file.stem: read_csv(file) if file.suffix == ".csv" else read_parquet(file) for file in files
    }
