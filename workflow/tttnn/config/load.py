"""The one entry point to the configuration: `load`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from tttnn.config.root import Config
from tttnn.sections.plain import check_printable


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the key and the remedy."""


Place = tuple[str, ...]
"""Keys, from the root of the configuration."""


def _origins(catalogue: dict[str, Any], name: str) -> Iterator[str]:
    """The entries that an entry of a catalogue is like, the nearest first, as far as there are."""
    seen = {name}
    entry = catalogue.get(name)
    while isinstance(entry, dict):
        other = entry.get("like")
        if not isinstance(other, str) or other in seen:
            return
        seen.add(other)
        entry = catalogue.get(other)
        if isinstance(entry, dict):
            yield other


def _place(values: Any, fault: Any) -> Place:
    """Where a fault is, as it stands in the file: without the kinds that Pydantic adds.

    A key that an entry takes from another one is its own, too.
    """
    place: list[Any] = []
    where = fault["loc"]
    if where[:1] == ("tune",) and "tune" not in values:  # see `Config._inherit`
        where = ("methods", *where[1:2], "tune", *where[2:])
    for part in where:
        try:
            value = values[part]
        except (KeyError, IndexError, TypeError):
            continue
        if len(place) == 1 and isinstance(values, dict) and isinstance(value, dict):
            for origin in _origins(values, part):
                value = values[origin] | value
        place.append(part)
        values = value
    if fault["type"] == "missing":
        place.append(fault["loc"][-1])
    return tuple(map(str, place))


def _is_inherited(place: Place, message: str, said: set[tuple[Place, str]], values: Any) -> bool:
    """Whether all of this is said of an entry that this one is like, where it is to be mended.

    Not so of a key that the entry has itself, whatever the other one's is.
    """
    if len(place) < 2 or not isinstance(values[place[0]], dict):
        return False
    section, name, *key = place
    entry = values[section].get(name)
    if not isinstance(entry, dict) or (key and key[0] in entry):
        return False
    origins = _origins(values[section], name)
    return any(((section, origin, *key), message) in said for origin in origins)


def _faults(error: ValidationError) -> Iterator[dict[str, Any]]:
    """The faults of a configuration; those that an entry's own class found stand one by one."""
    for fault in error.errors(include_url=False):
        inner = fault.get("ctx", {}).get("error")
        if isinstance(inner, ValidationError):
            for own in _faults(inner):
                yield own | {"loc": (*fault["loc"], *own["loc"])}
        else:
            yield dict(fault)


def load(values: dict[str, Any]) -> Config:
    """Check a merged configuration.

    Raises `ConfigError`: one line for each fault, with the key's full path.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"the configuration is a {type(values).__name__}: it must be a mapping")
    for key, value in values.items():  # before any message repeats it
        try:
            check_printable([key, value])
        except ValueError as error:
            where = key if isinstance(key, str) and key.isprintable() else ascii(key)
            raise ConfigError(f"the configuration cannot be used:\n  {where}: {error}") from None
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        faults = [
            (_place(values, fault), fault["msg"].removeprefix("Value error, "))
            for fault in _faults(error)
        ]
    lines = [
        f"{'.'.join(place)}: {message}" if place else message
        for place, message in faults
        if not _is_inherited(place, message, set(faults), values)
    ]
    # one line each, whatever names in it hold
    lines = ["  " + "\\n".join(line.splitlines()) for line in lines]
    raise ConfigError("the configuration cannot be used:\n" + "\n".join(lines))
