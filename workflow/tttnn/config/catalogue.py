"""Entries of the configuration's catalogues: each is checked by the settings of its own kind.

Nothing but the configuration's root imports this, and nothing here names a kind: see
`tttnn.sections.kinds`.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from tttnn.sections.index import Index
from tttnn.sections.kinds import INDEXES, METHODS, MODELS, SELECTIONS, SOURCES, checked, kinds
from tttnn.sections.kinds import settings as settings_of
from tttnn.sections.method import Method
from tttnn.sections.model import Model
from tttnn.sections.pool import POOLS, Pool
from tttnn.sections.selection import Selection
from tttnn.sections.source import Source

PLACES = {
    "sources": SOURCES,
    "models": MODELS,
    "indexes": INDEXES,
    "pools": POOLS,
    "selections": SELECTIONS,
    "methods": METHODS,
}
"""By catalogue: where its kinds are."""


def _index(kind: str) -> type[Index]:
    section = settings_of(INDEXES, kind)
    if not issubclass(section, Index):
        raise TypeError(f"{section.__module__}.{section.__name__} does not inherit from Index")
    return section


def with_index_kind(entry: Any) -> Any:
    """An index's entry with its kind, which follows from the index string."""
    if not isinstance(entry, dict) or "kind" in entry or "factory" not in entry:
        return entry
    types = {kind: _index(kind) for kind in kinds(INDEXES)}
    for kind, section in types.items():
        if section.accepts(entry["factory"]):
            return {**entry, "kind": kind}
    forms = ", ".join(repr(form) for section in types.values() for form in section.FORMS)
    raise ValueError(f"index type {entry['factory']!r} is not supported: use one of {forms}")


def keys(catalogue: str, kind: Any) -> set[str] | None:
    """The keys that an entry of this kind may have; None if there is no such kind."""
    where = PLACES[catalogue]
    return set(settings_of(where, kind).model_fields) if kind in kinds(where) else None


def _entry(catalogue: str) -> BeforeValidator:
    return BeforeValidator(partial(checked, PLACES[catalogue]))


AnySource = SerializeAsAny[Annotated[Source, _entry("sources")]]
AnyModel = SerializeAsAny[Annotated[Model, _entry("models")]]
AnyIndex = SerializeAsAny[Annotated[Index, _entry("indexes"), BeforeValidator(with_index_kind)]]
AnyPool = SerializeAsAny[Annotated[Pool, _entry("pools")]]
AnySelection = SerializeAsAny[Annotated[Selection, _entry("selections")]]
AnyMethod = SerializeAsAny[Annotated[Method, _entry("methods")]]
