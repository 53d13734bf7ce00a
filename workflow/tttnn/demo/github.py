"""Github: functions and classes of the standard library of the Python that runs this."""

from __future__ import annotations

import ast
import sysconfig
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random

_SKIPPED = {"test", "tests", "site-packages", "dist-packages", "idlelib", "distutils"}
_SIZE = (35_000, 110_000)  # bytes: quick to parse
_WINDOW = (600, 2_400)  # characters
FILES = 24  # a latent topic each
_LEAST_WINDOWS = 16  # in a file, to have some for every split
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def standard_library() -> Path:
    """The folder of the standard library's source files."""
    return Path(sysconfig.get_paths()["stdlib"])


def _spans(body: list[ast.stmt]) -> Iterator[tuple[int, int]]:
    """First and last line of each definition in `body`; inside classes too long for a window."""
    for node in body:
        if not isinstance(node, _DEFINITIONS):
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        last = node.end_lineno or first
        # A line has about 30 characters.
        if isinstance(node, ast.ClassDef) and (last - first) * 30 > _WINDOW[1]:
            yield from _spans(node.body)
        else:
            yield first, last


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


@cache
def _windows(path: Path) -> tuple[str, ...]:
    """Whole definitions that follow each other in the file, joined to windows."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    windows = []
    start = None
    for first, last in _spans(ast.parse(source).body):
        window = textwrap.dedent("".join(lines[(start or first) - 1 : last]))
        # Definitions of two classes make no window together: it would not parse.
        if len(window) > _WINDOW[1] or not _parses(window):
            start, window = first, textwrap.dedent("".join(lines[first - 1 : last]))
        start = start or first
        if _WINDOW[0] <= len(window) <= _WINDOW[1] and _parses(window):
            windows.append(window.strip())
            start = None
    return tuple(windows)


@cache
def files(seed: int) -> tuple[Path, ...]:
    """The files whose code is used, `FILES` of them.

    Raises FileNotFoundError where the library lacks its source files.
    """
    root = standard_library()
    candidates = [
        path
        for path in sorted([*root.glob("*.py"), *root.glob("*/*.py")])
        # Names with an underscore are generated tables, or twins of other modules.
        if path.parent.name not in _SKIPPED
        and not path.name.startswith("_")
        and _SIZE[0] <= path.stat().st_size <= _SIZE[1]
    ]
    Random(f"{seed} files").shuffle(candidates)
    enough = (path for path in candidates if len(_windows(path)) >= _LEAST_WINDOWS)
    found = tuple(islice(enough, FILES))
    if len(found) < FILES:
        raise FileNotFoundError(
            f"{root}: {len(found)} source files of the standard library, {FILES} needed; run the "
            "demo with a Python that is installed with its source files"
        )
    return found


def write(seed: int, file: int, split: str, rank: int) -> str:
    """The `rank`-th window that `split` (test, val or train) takes from a file.

    A quarter of a file's windows are for test, an eighth for val, the rest for train: no window is
    in two splits. Past the last one they come again from the first.
    """
    found = _windows(files(seed)[file])
    windows = Random(f"{seed} windows {file}").sample(found, len(found))
    for_test, for_val = len(windows) // 4, len(windows) // 8
    share = {
        "test": windows[:for_test],
        "val": windows[for_test : for_test + for_val],
        "train": windows[for_test + for_val :],
    }[split]
    return share[rank % len(share)]
