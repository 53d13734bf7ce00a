"""Rooms of the package import those before them, and never one that comes after."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "workflow/tttnn"
ORDER = [
    "sections",
    "needs",
    "demo",
    "corpus",
    "models",
    "retrieval",
    "methods",
    "scores",
    "published",
    "figures",
    "records",
    "findings",
    "report",
    "config",
    "live",
    "arguments",
    "adapting",
    "library",
    "generate",
    "harness",
    "stages",
    "command",
    "__main__",
    "operations",
]
LAST = {
    "figures": {"records", "operations"},
    "records": {"findings", "report", "operations", "library"},
    "findings": {"report"},
    "report": {"operations"},
    "config": {"live", "stages", "operations"},
    "live": {"library", "generate", "harness"},
    "arguments": {"adapting", "library", "generate", "harness"},
    "adapting": {"library", "generate", "harness"},
    "library": {"generate", "harness"},
    "generate": set(),
    "harness": set(),
}
"""Rooms that only these may import."""


def room(parts: tuple[str, ...]) -> str:
    """The first part of a module's name that is a room or has a place of its own."""
    return parts[0] if parts and parts[0] in ORDER else ""


def imports(path: Path) -> Iterator[str]:
    """The rooms that a module imports when it is loaded, or later in a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            first, *rest = node.module.split(".")
            if first == "tttnn":
                names = [rest] if rest else [[alias.name] for alias in node.names]
                yield from filter(None, (room(tuple(name)) for name in names))
        elif isinstance(node, ast.Import):
            names = (alias.name.split(".") for alias in node.names)
            yield from filter(None, (room(tuple(n[1:])) for n in names if n[0] == "tttnn"))


def modules() -> list[tuple[str, Path]]:
    files = sorted(PACKAGE.rglob("*.py"))
    return [(room(file.relative_to(PACKAGE).with_suffix("").parts), file) for file in files]


def test_every_folder_has_its_place():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == {name for name in ORDER if not (PACKAGE / f"{name}.py").is_file()}


@pytest.mark.parametrize("place", ["", *ORDER])
def test_a_room_imports_only_those_before_it(place):
    before = ORDER[: ORDER.index(place)] if place else ["sections"]
    for owner, path in modules():
        if owner == place:
            for found in set(imports(path)) - {place}:
                assert found in before, f"{path.relative_to(PACKAGE)} imports {found}"
                assert place in LAST.get(found, {place}), f"{path.relative_to(PACKAGE)}: {found}"
