"""The one entry point to the configuration: `load`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from tttnn.config.root import Config
from tttnn.sections.plain import values_in


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the key and the remedy."""


def _key(values: Any, fault: Any) -> str:
    """The key a fault is at, as it stands in the file: without the kinds that Pydantic adds."""
    path = []
    for part in fault["loc"]:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    if fault["type"] == "missing":
        path.append(fault["loc"][-1])
    return ".".join(map(str, path))


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
            for _ in values_in(value):
                pass
        except ValueError as error:
            raise ConfigError(f"the configuration cannot be used:\n  {key}: {error}") from None
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = []
        seen = set()
        for fault in _faults(error):
            path = _key(values, fault)
            message = fault["msg"].removeprefix("Value error, ")
            catalogue, *name = path.split(".")
            entry = values.get(catalogue)
            entry = entry.get(name[0]) if name and isinstance(entry, dict) else None
            inherits = isinstance(entry, dict) and "like" in entry
            if inherits and (catalogue, tuple(name[1:]), message) in seen:
                continue  # said of the entry that this one is like
            seen.add((catalogue, tuple(name[1:]), message))
            lines.append(f"  {path + ': ' if path else ''}{message}")
        raise ConfigError("the configuration cannot be used:\n" + "\n".join(lines)) from None
