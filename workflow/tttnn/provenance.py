"""The two params that make Snakemake's cache right: what a stage reads, and what it runs.

Snakemake reruns a job when the set of its param values changes; it sees neither a change in an
imported module nor two values that swap places. So each rule has one string for the config
(`canonical`) and one for the code (`fingerprint`).
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

PACKAGE = Path(__file__).parent


def canonical(value: Any) -> str:
    """JSON in which equal settings are equal strings, however a file ordered or spelt them."""
    return json.dumps(
        value,
        default=lambda section: section.model_dump(mode="json"),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def merged(section: BaseModel, **values: Any) -> dict[str, Any]:
    """A section's values with others put in or over."""
    return section.model_dump(mode="json") | values


def _file(module: str, package: Path) -> Path | None:
    """The source of a module of the package; None for a package's folder or a foreign module."""
    name, *rest = module.split(".")
    if name != PACKAGE.name or not rest:
        return None
    file = package.joinpath(*rest).with_suffix(".py")
    return file if file.is_file() else None


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_text(node: Any) -> bool:
    """Whether it is a statement that is only a string, such as a docstring."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def dumped(node: Any) -> str:
    """A syntax tree as text that is the same on every Python.

    Versions differ in which empty fields they print, and add new ones (3.12 `type_params`), so
    what is empty is left out, empty pieces of an f-string too (3.12 has one behind a nested
    format); so are the kind of a string's prefix and statements that are only a string.
    """
    if isinstance(node, list):
        return f"[{','.join(dumped(item) for item in node if not _is_text(item))}]"
    if isinstance(node, ast.JoinedStr):
        node.values = [part for part in node.values if getattr(part, "value", None) != ""]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if name != "kind")
    written = (f"{name}={dumped(value)}" for name, value in fields if value not in (None, []))
    is_none = isinstance(node, ast.Constant) and node.value is None
    return f"{type(node).__name__}({'None' if is_none else ','.join(written)})"


@cache
def _read(file: Path) -> tuple[str, tuple[str, ...]]:
    """A module's syntax without comments, docstrings and places, and the names it imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    return dumped(tree), tuple(_imports(tree))


def reached(module: str, package: Path = PACKAGE) -> dict[str, str]:
    """A module of the package and everything that it imports from the package, as `dumped`.

    Raises `ValueError` for a name that is no module of the package.
    """
    found: dict[str, str] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        file = _file(name, package)
        if file is None or name in found:
            continue
        found[name], imports = _read(file)
        todo.extend(imports)
    if module not in found:
        raise ValueError(f"{module} is no module of {package}")
    return found


@cache
def fingerprint(module: str, package: Path = PACKAGE) -> str:
    """Digest of a module of the package and of everything it imports from the package.

    Taken from the syntax trees, without importing anything: a comment or a docstring changes
    nothing, an edited statement changes every stage that can reach it, and the version of Python
    changes nothing. Libraries are not covered: `tttnn.environment` records which were used.
    """
    trees = reached(module, package)
    joined = "\n".join(trees[name] for name in sorted(trees))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]
