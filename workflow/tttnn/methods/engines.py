"""Which engine of a kind of method serves a recipe here: *where* it is computed, not *what*.

A kind's engines lie in its folder `engines`; each gives the rows of the kind's `adapt`, its
reference, to the last digits. This module and they are loaded by name, so that they are in no
stage's fingerprint: another engine reruns nothing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from tttnn.methods.measure import Adapted
from tttnn.sections.base import nearest
from tttnn.sections.kinds import METHODS, engine
from tttnn.sections.method import Method

Adapt = Callable[..., Iterator[Adapted]]

AUTO, REFERENCE = "auto", "reference"
PREFERRED = {"cuda": ("adapters", "graphs", "lean"), "cpu": ("lean",)}
"""Those that `auto` tries, in this order, before the reference. On a CPU not those with several
documents in flight: there they gain less, and what is killed loses all of them."""


def _package(kind: str) -> str:
    """The package that holds a kind's engines, whether or not it has any."""
    return f"{engine(METHODS, kind).rpartition('.')[0]}.engines"


def engines(kind: str) -> list[str]:
    """Names of a kind's engines: modules of its folder that say what fits."""
    folder = Path(__file__).parents[1].joinpath(*_package(kind).split(".")[1:])
    files = sorted(folder.glob("*.py"))
    return [file.stem for file in files if "\ndef fits(" in file.read_text(encoding="utf-8")]


def _load(kind: str, name: str) -> Any:
    return importlib.import_module(f"{_package(kind)}.{name}")


def choose(wanted: str, model: PreTrainedModel, recipe: Method, device: str) -> tuple[str, Adapt]:
    """The engine's name, and its `adapt`; what was chosen, and why, goes to the standard error.

    `wanted` is `auto`, `reference`, or one of the kind's engines; one that cannot serve the recipe
    gives way to the next that can. Raises `ValueError` for a name that is none of these.
    """
    there = engines(recipe.kind)
    if wanted not in (AUTO, REFERENCE, *there) and there:
        known = nearest(wanted, [AUTO, REFERENCE, *there])
        raise ValueError(
            f"engine {wanted!r} is not known: set the job's resource engine, as in "
            f"--set-resources evaluate_part:engine=auto.{known}"
        )
    asked = [] if wanted in (AUTO, REFERENCE) else [wanted]
    rest = [] if wanted == REFERENCE else [name for name in PREFERRED[device] if name not in asked]
    passed_over: list[str] = []
    for name in (name for name in [*asked, *rest] if name in there):
        module = _load(recipe.kind, name)
        why = module.fits(model, recipe, device)
        if why is None:
            _say(name, passed_over)
            return name, module.adapt
        passed_over.append(f"not {name}: {why}")
    if there:
        _say(REFERENCE, passed_over)
    return REFERENCE, importlib.import_module(engine(METHODS, recipe.kind)).adapt


def _say(name: str, passed_over: list[str]) -> None:
    because = f" ({'; '.join(passed_over)})" if passed_over else ""
    print(f"engine: {name}{because}", file=sys.stderr)
