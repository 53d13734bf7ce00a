"""In what runs agree and differ, said before their numbers are held against one another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from tttnn.records.beside import Entries, Entry
from tttnn.records.runs import Run
from tttnn.wording import counted

SECTIONS = ("chunk", "embed", "search", "gather", "select", "split")
"""Sections of the configuration that decide what is retrieved for which documents."""

APART = {"models", "parts", "kind"}
"""Keys of a method that change no number of a document; its kind is said as a whole."""

SAID = 6
"""Keys that a line names, at most."""


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested objects, each with its keys joined by dots."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else name)
    else:
        yield key, value


def _unequal(one: Any, other: Any) -> list[str]:
    """The leaves that two objects do not have in common: `key: value / value`."""
    left, right = dict(_flat(one)), dict(_flat(other))
    keys = [key for key in dict.fromkeys([*left, *right]) if left.get(key) != right.get(key)]
    words = [f"{key}: {left.get(key)} / {right.get(key)}" for key in keys[:SAID]]
    return [*words, f"and {len(keys) - SAID} more"] if len(keys) > SAID else words


def lines(
    runs: list[Run], shared: dict[str, list[str]], other_text: dict[Entry, list[str]]
) -> Iterator[str]:
    """What is comparable and what is not, a line each; of every pair of runs."""
    for run in runs:
        own, of = counted(len(run.selected), "document"), counted(len(shared), "task")
        found = sum(map(len, shared.values()))
        yield f"{run.name}: {found} of its {own} are in all runs ({of})"
    for one, other in combinations(runs, 2):
        for line in _pair(one, other):
            yield f"{one.name} / {other.name}: {line}"
    for entry, tasks in other_text.items():
        yield (
            f"{entry}: left out, for it scored other text of these documents (such as second "
            f"halves) in {', '.join(tasks[:SAID])}"
        )


def _pair(one: Run, other: Run) -> Iterator[str]:
    yield _corpus(one, other)
    for section in SECTIONS:
        if unequal := _unequal(one.config.get(section), other.config.get(section)):
            yield f"other {section} ({'; '.join(unequal)})"
    yield from _models(one, other)
    yield from _methods(one, other)
    devices = [sorted({made["device"] for made in run.made_with}) for run in (one, other)]
    if devices[0] != devices[1]:
        names = " / ".join(", ".join(some) or "unknown" for some in devices)
        yield f"seconds are of other machines ({names})"


def _corpus(one: Run, other: Run) -> str:
    left, right = (
        {name: shard.sha256 for name, shard in run.corpus.items() if shard.sha256}
        for run in (one, other)
    )
    if not left or not right:
        return "no digests of the corpus, so nobody knows whether it is the same"
    if set(left.values()) == set(right.values()):
        return f"the same corpus ({counted(len(left), 'file')})"
    same = len(set(left.values()) & set(right.values()))
    return f"other corpora ({same} of {len(left)} / {len(right)} files are the same)"


def _models(one: Run, other: Run) -> Iterator[str]:
    for name in one.models:
        if name not in other.models:
            continue
        if one.models[name].files != other.models[name].files:
            yield f"other files of model {name}"


def _methods(one: Run, other: Run) -> Iterator[str]:
    """Methods of the same name that do not do the same."""
    for name in dict.fromkeys(cell.method for cell in one.cells):
        if name not in {cell.method for cell in other.cells}:
            continue
        left, right = (
            {
                key: value
                for key, value in run.config.get("methods", {}).get(name, {}).items()
                if key not in APART
            }
            for run in (one, other)
        )
        if unequal := _unequal(left, right):
            yield f"method {name} differs ({'; '.join(unequal)})"


def points_in_common(found: Entries) -> list[int]:
    """The numbers of neighbours at which all entries were evaluated."""
    points = [
        set(part.estimate.points.tolist()) for tasks in found.values() for part in tasks.values()
    ]
    return sorted(set.intersection(*points)) if points else []
