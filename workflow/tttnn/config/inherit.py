"""`like: name`: an entry of a catalogue that is another one but for what it says itself."""

from __future__ import annotations

from typing import Any

from tttnn.config.base import nearest


def inherited(catalogue: dict[str, Any], where: str) -> dict[str, Any]:
    """The catalogue with every `like` replaced by what it stands for.

    What an entry says itself replaces what it inherits, whole mappings included. Raises
    `ValueError` for a name that is not there and for entries that are like each other.
    """

    def resolve(name: str, path: tuple[str, ...]) -> Any:
        entry = catalogue[name]
        if not isinstance(entry, dict) or "like" not in entry:
            return entry
        other = entry["like"]
        if other not in catalogue:
            raise ValueError(
                f"{where}.{name}.like: {other!r} is not known.{nearest(str(other), catalogue)}"
            )
        if other in path:
            raise ValueError(
                f"{where}.{name}.like: {' is like '.join((*path, other))}, in a circle"
            )
        own = {key: value for key, value in entry.items() if key != "like"}
        return resolve(other, (*path, other)) | own

    return {name: resolve(name, (name,)) for name in catalogue}
