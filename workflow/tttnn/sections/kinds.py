"""Kinds by name: a source, a selection, an index type, a kind of method.

A kind is a room: a module, or a folder of a few, that holds its settings and its function. What a
stage imports may name one kind and never the list of them, because the fingerprint of a stage's
code covers what it imports: whoever adds a kind must not make anyone's work be done again. So the
configuration and the stages load a kind by the name in its settings, and the list of kinds is what
lies in the folder.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from tttnn.sections.base import Section, nearest

PACKAGE = Path(__file__).parent.parent

SOURCES = "tttnn.corpus.sources.*"
MODELS = "tttnn.models.kinds.*"
INDEXES = "tttnn.retrieval.indexes.*.settings"
SELECTIONS = "tttnn.retrieval.selections.*"
METHODS = "tttnn.methods.*.settings"
"""Where the kinds of something have their settings; the star is the kind's name."""


def kinds(where: str) -> list[str]:
    """Names of the kinds that there are, in alphabetical order."""
    before, after = where.removeprefix(f"{PACKAGE.name}.").split("*")
    pattern = f"{before.replace('.', '/')}*{after.replace('.', '/')}.py"
    files = (file.relative_to(PACKAGE) for file in PACKAGE.glob(pattern))
    names = (file.parts[before.count(".")].removesuffix(".py") for file in files)
    return sorted(name for name in names if not name.startswith("_"))


def load(where: str, kind: str) -> ModuleType:
    """The module that holds a kind's settings; raises `ValueError` where there is no such kind."""
    if kind not in kinds(where):
        raise ValueError(f"kind {kind!r} is not known.{nearest(str(kind), kinds(where))}")
    return importlib.import_module(where.replace("*", kind))


def engine(where: str, kind: str) -> str:
    """Name of the module that holds a kind's function: the one of its settings, or beside it."""
    module = where.replace("*", kind)
    return f"{module.removesuffix('.settings')}.engine" if module.endswith(".settings") else module


def settings(where: str, kind: str) -> type[Section]:
    """The kind's settings: the section of its module whose `kind` is this one."""
    module = load(where, kind)
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Section):
            field = value.model_fields.get("kind")
            if field is not None and get_args(field.annotation) == (kind,):
                return value
    raise TypeError(f"{module.__name__} has no section with `kind: Literal[{kind!r}]`")


def checked(where: str, values: Any) -> Any:
    """Settings of any kind, checked by the kind's own class; what is checked stays as it is."""
    if isinstance(values, Section):
        return values
    if not isinstance(values, dict) or "kind" not in values:
        raise ValueError("settings of a kind are a mapping with the key kind")
    return settings(where, values["kind"]).model_validate(values)
