"""What the library is given, looked at before anything is done with it.

Whatever is of no use ends in a `ValueError` of one line, with the remedy: what Python, PyTorch and
numpy would take in silence, too.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from tttnn.methods.measure import Query, check_neighbors
from tttnn.methods.ttt.settings import Recipe

Vectors = npt.NDArray[np.float64]


def whole(value: Any, what: str, least: int = 0) -> int:
    """A whole number, numpy's or Python's, of `least` or more; True is none, and 2.0 is none."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise ValueError(f"{what} is {value!r}: give a whole number")
    if number < least:
        raise ValueError(f"{what} is {number}: it must be {least} or more")
    return number


def positive(value: Any, what: str) -> float:
    """A number above 0, and not infinite."""
    try:
        number = float("nan") if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not (isfinite(number) and number > 0):
        raise ValueError(f"{what} is {value!r}: give a number above 0")
    return number


def checked_path(path: Any, what: str) -> Path:
    """Raises `ValueError` for what names no file or folder."""
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"{what} is {path!r}: give its name or its path")
    return Path(path)


def checked_text(text: Any, what: str = "the text") -> str:
    """Raises `ValueError` for what is no text, or cannot be written as UTF-8."""
    if not isinstance(text, str):
        raise ValueError(f"{what} is of type {type(text).__name__}: give a string")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} has a lone surrogate, which is no character: {error}") from None
    return text


def checked_texts(neighbors: Any) -> list[str]:
    """Raises `ValueError` for what is no list of texts: a string and a data frame are lists, too.

    One has its characters in it and the other its columns' names, and both can be trained on.
    """
    if isinstance(neighbors, str | pd.DataFrame) or not isinstance(neighbors, Iterable):
        raise ValueError(
            f"the neighbours are of type {type(neighbors).__name__}: give a list of texts, such as "
            "search(…)['text']"
        )
    return [checked_text(text, f"neighbour {place}") for place, text in enumerate(neighbors)]


def checked_vectors(candidates: Any, query: Any) -> tuple[Vectors, Vectors]:
    """Vectors (K, d), K at least 1, and one (d,), as float64; all of them finite."""
    try:
        rows, one = np.asarray(candidates, np.float64), np.asarray(query, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the vectors are not numbers ({error}): give arrays of floats") from None
    if rows.ndim != 2 or not len(rows) or one.shape != rows.shape[1:]:
        raise ValueError(
            f"the candidates are of shape {rows.shape} and the query of {one.shape}: give (K, d), "
            "K at least 1, and (d,)"
        )
    if not (np.isfinite(rows).all() and np.isfinite(one).all()):
        raise ValueError("a vector has a number that is not finite: leave out what has no vector")
    return rows, one


def check_model(model: Any, tokenizer: Any) -> None:
    """Raises `ValueError` for what is no model with weights, or no tokenizer with an end of text.

    The first token of every text is conditioned on that token, or on a beginning-of-text one.
    """
    if not isinstance(model, torch.nn.Module):
        raise ValueError(f"the model is of type {type(model).__name__}: give what load_model gives")
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        said = type(tokenizer).__name__
        raise ValueError(f"the tokenizer is of type {said}: give what load_model gives")
    if any(tensor.is_meta for tensor in chain(model.parameters(), model.buffers())):
        raise ValueError(
            "the model has weights on the device meta, which holds none: load all of them to one "
            "device, as load_model does"
        )
    if tokenizer.eos_token_id is None and tokenizer.bos_token_id is None:
        raise ValueError(
            "the tokenizer has neither a beginning-of-text nor an end-of-text token: set its "
            "eos_token to the one that separated documents in the model's training"
        )


def check_trainable(model: torch.nn.Module, recipe: Recipe) -> None:
    """Raises `ValueError` for a model with weights that a recipe cannot train as they are."""
    devices = {parameter.device.type for parameter in model.parameters()}
    if others := devices - {"cpu", "cuda"}:
        raise ValueError(f"the model is on {min(others)}: move it to cpu or cuda, model.to('cpu')")
    trained = {str(p.dtype).removeprefix("torch.") for p in model.parameters() if p.requires_grad}
    if recipe.lora is not None:
        if any(".lora_" in name for name, _ in model.named_parameters()):
            raise ValueError(
                "the model has adapters already: leave their `with` first, or merge them"
            )
    elif not trained:
        raise ValueError(
            "no weight of the model takes gradients, so none can be trained: call "
            "model.requires_grad_(True), or give a recipe with lora"
        )
    elif others := trained - {"float32"}:
        raise ValueError(
            f"the model has weights in {min(others)}, and those that are trained must be in "
            "float32, or small steps are lost: call model.float() first (precision='bfloat16' of a "
            "recipe is of steps)"
        )


def check_recipe(recipe: Any, neighbors: list[str]) -> Recipe:
    """The recipe; raises `ValueError` for what is none, or is not for a text and its neighbours."""
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
    return recipe
