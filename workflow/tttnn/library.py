"""What a notebook needs, and `import tttnn` gives: adapt a model, ask runs, choose neighbours.

Texts and folders are given as they are; what a stage of the workflow reads of files and of the
configuration is an argument here, with the paper's defaults. Nothing is downloaded and nothing is
written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
from tttnn.methods.measure import Query
from tttnn.methods.ttt.engine import Trainee, seed_of, steps_of, use_in
from tttnn.methods.ttt.engines.lean import Lean
from tttnn.methods.ttt.engines.objective import Objective
from tttnn.methods.ttt.parts import only_trained
from tttnn.methods.ttt.precision import weights
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import choose_window, load_causal
from tttnn.models.tokens import tokens
from tttnn.reading import read_csv, read_parquet
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

    Raises `ValueError` with a remedy where the folder holds none; nothing is downloaded.
    """
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
    points = list(range(num_neighbors + 1) if evaluate_at is None else evaluate_at)
    given = {"num_neighbors": num_neighbors, "learning_rate": learning_rate, "evaluate_at": points}
    try:
        return Recipe(**given, **settings)
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
    lines = [f"{place}: {message}" if place else message for place, message in faults]
    raise ValueError("; ".join(lines).replace("Value error, ", ""))


def _windows(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, window: int | None
) -> list[likelihood.Window]:
    ids = tokens(tokenizer, text)
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
    neighbors: Sequence[str],
    recipe: Recipe | None = None,
) -> pd.DataFrame:
    """Train on each neighbour in turn, nearest first, and measure the text after each; put back.

    A row a number of neighbours: `num_neighbors`, `log_likelihood` (natural), `bits_per_byte`,
    `train_loss` (nats a token, before the step; NaN before the first), `seconds` of training so
    far. `recipe` is what `recipe_for` gives; None: all the neighbours, the paper's settings. The
    weights are then bit for bit what they were.

    Source: Hardt and Sun 2024, arXiv 2305.18466, section 4.
    """
    chosen = recipe or recipe_for(len(neighbors))
    window = choose_window(model, chosen.window, "the recipe's window")
    _, engine = choose("auto", model, chosen, model.device.type)
    (found,) = engine(model, tokenizer, [Query(0, text, neighbors)], chosen, window)
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
    neighbors: Sequence[str],
    recipe: Recipe | None = None,
    document: int | str = 0,
) -> Iterator[PreTrainedModel]:
    """The model as it is after training on the neighbours, within the `with`; then put back.

    `with adapted(model, tokenizer, neighbors): …` evaluates, generates or saves. `recipe` is as for
    `adapt`, and so are the weights within, but for rounding. Dropout, if the model has any, is
    drawn by `document`, the id of the document that is adapted to; `adapt` has 0. Afterwards the
    weights are bit for bit what they were.
    """
    chosen = recipe or recipe_for(len(neighbors))
    if chosen.train_on != "neighbors":
        raise ValueError(f"train_on: {chosen.train_on} is of documents: set train_on: neighbors")
    window = choose_window(model, chosen.window, "the recipe's window")
    query = Query(document, "", neighbors)
    with ExitStack() as undo:
        undo.callback(only_trained(model, chosen))
        undo.callback(model.eval)
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
        for count in range(1, min(chosen.num_neighbors, len(neighbors)) + 1):
            steps = steps_of(query, trainee, count)
            use = use_in(query, chosen, count, steps)
            for pieces in steps:
                machine.step_on_repeated(pieces, use)
        model.eval()
        with trained.in_float32():
            yield model


def opened_run(run: str | Path, index: str | None = None) -> Run:
    """A run by its name in the current folder, or by the path of its `results/NAME`."""
    path = Path(run)
    is_name = len(path.parts) == 1
    return Run(path.name, index, folder=None if is_name else path.resolve().parent.parent)


def search(text: str, run: str | Path, k: int = 20, index: str | None = None) -> pd.DataFrame:
    """The k passages of a finished run that are nearest to a text, nearest first.

    `run` is the name of a run in the current folder, or the path of its `results/NAME`; `index` one
    of its indexes, None: its first. Columns: `rank`, `passage_id`, `distance` (squared Euclidean),
    `subset`, `text`. Raises `ValueError` where the run has no embeddings yet.
    """
    return pd.DataFrame(neighbors_of(opened_run(run, index), text, k))


def read_tables(run: str | Path) -> Mapping[str, pd.DataFrame]:
    """A run's tables as data frames, by name: `scores`, `differences`, `costs`, …

    `run` is as for `search`. Raises `ValueError` where the run has none yet.
    """
    path = Path(run)
    folder = (Path("results") / path if len(path.parts) == 1 else path) / "tables"
    files = sorted([*folder.glob("*.csv"), *folder.glob("*.parquet")])
    if not files:
        raise ValueError(f"{folder} holds no tables: run the workflow, or name another run")
    return {
        file.stem: read_csv(file) if file.suffix == ".csv" else read_parquet(file) for file in files
    }
