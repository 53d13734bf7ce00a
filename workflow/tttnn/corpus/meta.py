"""What stands beside a document's text: `meta` in its many forms, and the Pile's subset."""

from __future__ import annotations

import ast
import json
import warnings
from typing import Any

from tttnn.corpus.records import RecordError
from tttnn.pile import TASK_OF_SUBSET
from tttnn.sections.base import nearest

CERTAIN = ("pile_set_name", "meta.pile_set_name", "meta_pile_set_name")
"""Where a record or its meta says the subset: the Pile's own name, and that of a flattened meta."""

POSSIBLE = ("set_name", "subset", "domain", "meta.set_name", "meta.subset", "meta.domain")
"""Where some copies say it and others something else: it counts if it is a subset's name."""

PLACES = frozenset((*CERTAIN, *POSSIBLE))
COLUMNS = ("meta", *CERTAIN, *POSSIBLE)

CONTAINERS = frozenset((dict, list))
DEEPEST = 100  # containers in each other, far below what JSON's own reader and writer bear
LONGEST_LITERAL = 1 << 16  # characters of a meta in Python's notation
SHOWN = 100  # characters of a name in a message


def plain(value: Any) -> Any:
    """Bytes that are UTF-8 as strings, at any depth."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    if isinstance(value, dict):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)


def _parsed(text: str) -> Any:
    """A meta that was written out as text: JSON, or Python's notation, which `str` gives."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if len(text) > LONGEST_LITERAL:
        return text
    try:
        with warnings.catch_warnings():  # of what is no Python, such as odd escapes
            warnings.simplefilter("ignore")
            return plain(ast.literal_eval(text.strip()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def is_the_piles(meta: Any) -> bool:
    """Whether `meta` is as in the Pile: an object that names a subset, and has nothing else."""
    if type(meta) is not dict or len(meta) != 1:
        return False
    name = meta.get("pile_set_name")
    return type(name) is str and name in TASK_OF_SUBSET


def _unpacked(meta: Any) -> dict[Any, Any]:
    """The object that null, pairs or text stand for; raises `RecordError` for anything else."""
    if isinstance(meta, str):
        meta = _parsed(meta) if meta.strip() else None
    if meta is None:
        return {}
    if isinstance(meta, list) and all(
        isinstance(pair, dict) and pair.keys() == {"key", "value"} for pair in meta
    ):
        meta = {pair["key"]: pair["value"] for pair in meta}
    if not isinstance(meta, dict):
        raise RecordError("meta is not an object")
    return meta


def as_mapping(meta: Any) -> dict[str, Any]:
    """`meta` as an object: it may be null, an object, pairs of keys and values, or such as text.

    Pairs come from Arrow's maps, lists of `key` and `value` from libraries that have none.
    Raises `RecordError` for anything else.
    """
    if not isinstance(meta, dict):
        meta = _unpacked(meta)
    if not all(isinstance(key, str) for key in meta):
        raise RecordError("meta has a key that is not a string")
    if not CONTAINERS.isdisjoint(map(type, meta.values())) and _is_deeper(meta, DEEPEST):
        raise RecordError(
            "meta is too deep", f"more than {DEEPEST} objects and lists in each other"
        )
    return meta


def _unknown(name: str) -> str:
    shown = name if len(name) <= SHOWN else f"{name[:SHOWN]}…"
    return f"{shown!r}.{nearest(name[:SHOWN], TASK_OF_SUBSET)}"


def _stated(names: tuple[str, ...], meta: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """What stands in these places, by place."""
    return {
        f"{prefix}{name}": value
        for prefix, values in (("meta.", meta), ("", record))
        for name, value in values.items()
        if name in names and value is not None
    }


def subset_of(record: dict[str, Any], meta: dict[str, Any], needed: bool) -> str | None:
    """The subset that a record or its `meta` names, wherever; None where there is none.

    Raises `RecordError` if it is no subset of the Pile's, if two places name different ones, or
    if there is none and one is needed.
    """
    name = meta.get("pile_set_name")
    if (
        isinstance(name, str)
        and name in TASK_OF_SUBSET
        and PLACES.isdisjoint(record)
        and len(PLACES.intersection(meta)) == 1
    ):
        return name  # most often: no other place says anything
    certain = _stated(CERTAIN, meta, record)
    for place, name in certain.items():
        if not isinstance(name, str):
            raise RecordError("subset is not a string", f"{place} is a {type(name).__name__}")
        if name not in TASK_OF_SUBSET:
            raise RecordError("unknown subset", _unknown(name))
    possible = _stated(POSSIBLE, meta, record)
    names = [(place, name) for place, name in possible.items() if isinstance(name, str)]
    stated = [*certain.items(), *(found for found in names if found[1] in TASK_OF_SUBSET)]
    for place, name in stated[1:]:
        if name != stated[0][1]:
            (first, other) = stated[0]
            raise RecordError("two subsets", f"{first} says {other!r}, {place} says {name!r}")
    if stated:
        return stated[0][1]
    if needed and names:
        place, name = names[0]
        raise RecordError("unknown subset", f"{place} says {_unknown(name)}")
    if needed:
        raise RecordError("no subset", "meta.pile_set_name is missing")
    return None
