"""Writes docs/reference.md: every command, and every key of the configuration.

    PYTHONPATH=workflow python docs/reference.py

Commands are told by their docstrings, keys by config.yaml, whose comments say why. A test holds the
page to both.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from tttnn.command import COMMANDS, function_of
from tttnn.pile import TASKS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reference.md"
KEY = re.compile(r"^( *)([\w.-]+):(?: +(?!# )(.*?))?(?:(?:^| +)# (.*))?$")
MORE = re.compile(r"^ *# (.*)$")
CAPTIONS = ROOT / "workflow/report"


def keys(text: str) -> Iterator[tuple[str, str, str]]:
    """Path, value and comment of each key of a commented YAML file, in its order.

    A comment goes on in the lines below it that hold nothing else, if they are indented further
    than the key.
    """
    path: list[tuple[int, str]] = []
    found: list[list[str]] = []
    at = 0
    for line in text.splitlines():
        if (more := MORE.match(line)) and found and line.index("#") > at + 2:
            found[-1][2] = f"{found[-1][2]} {more[1]}".strip()
        elif (key := KEY.match(line)) and not line.lstrip().startswith("#"):
            at = len(key[1])
            path = [*(step for step in path if step[0] < at), (at, key[2])]
            found.append([".".join(name for _, name in path), key[3] or "", key[4] or ""])
    yield from (tuple(each) for each in found)  # type: ignore[misc]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _commands() -> Iterator[str]:
    for name, module in COMMANDS.items():
        function = getattr(importlib.import_module(module), function_of(name))
        yield f"### tttnn {name}\n\n```text\n{inspect.getdoc(function)}\n```\n"


def _configuration() -> Iterator[str]:
    yield "| key | default | |\n|---|---|---|"
    for path, value, comment in keys((ROOT / "config.yaml").read_text(encoding="utf-8")):
        default = f"`{_cell(value)}`" if value else ""
        yield f"| `{path}` | {default} | {_cell(comment)} |"


def _tables() -> Iterator[str]:
    for file in sorted(CAPTIONS.glob("*.rst")):
        if file.stem not in ("figure", "workflow"):
            text = " ".join(file.read_text(encoding="utf-8").replace("``", "`").split())
            yield f"**{file.stem}**: {text}\n"


def page() -> str:
    """The page, of the commands and the configuration as they are now."""
    tasks = "\n".join(f"| {subset.pile_set_name} | `{task}` |" for task, subset in TASKS.items())
    return "\n".join(
        [
            "# Reference",
            "",
            "Made by `docs/reference.py` from the commands' docstrings, `config.yaml` and the "
            "report's captions.",
            "",
            "## Commands",
            "",
            *_commands(),
            "## Configuration",
            "",
            "Every key of `config.yaml`, with the default run's value and why.",
            "",
            *_configuration(),
            "",
            "## Tables",
            "",
            *_tables(),
            "## Subsets and tasks",
            "",
            "| subset, in a record's `pile_set_name` | task |",
            "|---|---|",
            tasks,
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
