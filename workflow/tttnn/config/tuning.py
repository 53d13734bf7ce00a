"""Methods with `tune`: each point of a method's grid is a method of its own, beside it.

Such a variant is evaluated on validation documents alone, by the same rules and the same code as
any method, and its name says its settings, so that a grid that grows keeps what was evaluated. How
many neighbours are used needs no variants: one evaluation measures all numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from tttnn.sections.base import Section
from tttnn.sections.method import Method
from tttnn.sections.mixture import Mixture
from tttnn.sections.selection import Selection
from tttnn.sections.tune import Tune

OF_RECIPE = ("learning_rate",)
OF_SELECTION = ("noise", "stop")

Settings = dict[str, float | None]


class Variant(NamedTuple):
    """A point of a grid: a method's name, and the settings that tell it from the others."""

    method: str
    candidates: str | None
    settings: Settings


def taken_off(methods: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of methods without their key `tune`; and what that said, by method."""
    said = {
        name: entry["tune"]
        for name, entry in methods.items()
        if isinstance(entry, dict) and entry.get("tune") is not None
    }
    plain = {
        name: {key: value for key, value in entry.items() if key != "tune"}
        if isinstance(entry, dict)
        else entry
        for name, entry in methods.items()
    }
    return plain, said


def _named(name: str, settings: Settings) -> str:
    parts = (f"{key}-{'none' if value is None else repr(value)}" for key, value in settings.items())
    return ".".join([name, *parts])


def _combinations(tune: Tune, keys: tuple[str, ...]) -> Iterator[Settings]:
    chosen = [key for key in keys if getattr(tune, key) is not None]
    for values in product(*(getattr(tune, key) for key in chosen)):
        yield dict(zip(chosen, values, strict=True))


def _selection(candidates: str | None, settings: Settings, there: dict[str, Selection]) -> str:
    """The selection with these settings: the method's own one if it has them, or a variant."""
    assert candidates is not None  # it was looked at by `_check`
    own = there[candidates]
    same = all(getattr(own, key) == value for key, value in settings.items())
    return candidates if same else _named(candidates, settings)


def variants(
    name: str, tune: Tune, method: Method, selections: dict[str, Selection]
) -> list[Variant]:
    """Of one method, in the order of the grid."""
    return [
        Variant(
            _named(name, recipe | drawn),
            _selection(method.candidates, drawn, selections) if drawn else method.candidates,
            recipe | drawn,
        )
        for recipe in _combinations(tune, OF_RECIPE)
        for drawn in _combinations(tune, OF_SELECTION)
    ]


def _check(where: str, tune: Tune, method: Method, selections: dict[str, Selection]) -> None:
    """Raise `ValueError` for a grid of what the method does not have."""
    fields = type(method).model_fields
    if isinstance(method, Mixture):
        raise ValueError(
            f"{where}: kind {method.kind} chooses alpha on validation documents already, at its "
            "own num_neighbors: leave tune out"
        )
    if method.kind in ("windows", "experts"):
        raise ValueError(
            f"{where}: kind {method.kind} is evaluated on test documents alone: tune a method of "
            "kind ttt, and give its choice here"
        )
    if tune.learning_rate is not None and "learning_rate" not in fields:
        raise ValueError(f"{where}.learning_rate: kind {method.kind} has none: leave it out")
    for key in OF_SELECTION:
        if getattr(tune, key) is not None and method.candidates not in selections:
            raise ValueError(
                f"{where}.{key} is of a selection, and the method's candidates are "
                f"{method.candidates}: draw on one of selections, or leave it out"
            )


def check_numbers(where: str, tune: Tune, method: Method) -> None:
    """Raise `ValueError` for numbers of neighbours that one evaluation does not measure."""
    if tune.num_neighbors is None:
        return
    if getattr(method, "step", None) == "batch":
        raise ValueError(
            f"{where}.num_neighbors: with step: batch each step is of all num_neighbors, so that "
            "one evaluation does not measure fewer: leave it out"
        )
    for number in tune.num_neighbors:
        if number not in method.evaluate_at:
            raise ValueError(
                f"{where}.num_neighbors: {number} is not measured: add it to evaluate_at "
                f"{method.evaluate_at}, or leave it out"
            )


def _with(entry: Section, settings: dict[str, Any]) -> Section:
    """An entry with those of the settings that are its own."""
    own = {key: value for key, value in settings.items() if key in type(entry).model_fields}
    return type(entry).model_validate(entry.model_dump() | own)


def _added(catalogue: dict[str, Any], name: str, entry: Section, where: str) -> None:
    if catalogue.setdefault(name, entry) != entry:
        raise ValueError(f"{where}: {name!r} is what a variant is called: choose another name")


def add_variants(
    methods: dict[str, Method], selections: dict[str, Selection], tunes: dict[str, Tune]
) -> None:
    """Add the variants of all methods with `tune`, and of the selections that they draw on.

    Raises `ValueError` for a grid that a method cannot have, and for names that are taken.
    """
    for name, tune in tunes.items():
        where = f"methods.{name}.tune"
        if name not in methods:
            raise ValueError(f"tune.{name}: no method has that name: write tune into its entry")
        method = methods[name]
        _check(where, tune, method, selections)
        for variant in variants(name, tune, method, selections):
            if variant.candidates is not None and variant.candidates != method.candidates:
                own = selections[method.candidates or ""]
                _added(selections, variant.candidates, _with(own, variant.settings), where)
            entry = _with(method, variant.settings | {"candidates": variant.candidates})
            _added(methods, variant.method, entry, where)
