"""`like: name`: an entry of a catalogue that is another one but for what it says itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from tttnn.sections.base import nearest


def inherited(
    catalogue: dict[str, Any], where: str, keys: Callable[[Any], Collection[str] | None]
) -> dict[str, Any]:
    """The catalogue with every `like` replaced by what it stands for.

    What an entry says itself replaces what it inherits, whole mappings included. An entry of
    another kind than the one it is like inherits what both have: `keys` gives the keys that a kind
    may have, or None. Raises `ValueError` for a name that is not there and for entries that are
    like each other.
    """

    def resolve(name: str, path: tuple[str, ...]) -> Any:
        entry = catalogue[name]
        if not isinstance(entry, dict) or "like" not in entry:
            return entry
        other = entry["like"]
        if not isinstance(other, str) or other not in catalogue:
            raise ValueError(
                f"{where}.{name}.like: {other!r} is not known.{nearest(str(other), catalogue)}"
            )
        if other in path:
            raise ValueError(
                f"{where}.{name}.like: {' is like '.join((*path, other))}, in a circle"
            )
        own = {key: value for key, value in entry.items() if key != "like"}
        origin = resolve(other, (*path, other))
        if not isinstance(origin, dict):
            raise ValueError(f"{where}.{name}.like: {other!r} has no settings to be like")
        if own.get("kind", origin.get("kind")) != origin.get("kind"):
            shared = keys(own["kind"])
            origin = {k: v for k, v in origin.items() if shared is None or k in shared}
        return origin | own

    return {name: resolve(name, (name,)) for name in catalogue}
