"""What README and the pages of docs/ say: the commands to give, and the columns of tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```bash\n(.*?)^```", re.M | re.S)
HEREDOC = re.compile(r"^cat > (\S+) <<'END'\n(.*?)^END$", re.M | re.S)
IN_TABLES = ("docs/howto.md",)
"""Pages whose tables have commands, between backticks."""
INLINE = re.compile(r"`((?:snakemake|tttnn|python -m tttnn\.\w+|make) [^`]+)`")
NEEDS = re.compile(r"#.*\bneeds? (a network|SLURM|a GPU|apptainer|Docker|the plugin)")


def pages() -> list[Path]:
    """All pages that are for users."""
    more = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "config/README.md")
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [*(ROOT / name for name in more), *(p for p in found if "_build" not in p.parts)]


class Command(NamedTuple):
    """One that can be given alone: what stands between `&&`, without what it is piped into."""

    page: str
    text: str
    needs: str | None
    """What continuous integration lacks of it, if the page says so beside it."""

    @property
    def words(self) -> list[str]:
        """As a shell has them; … stands for something that the page explains."""
        return shlex.split(re.sub(r"(?<=\s)…(?=\s|$)", "", self.text), comments=True)


def files() -> dict[str, str]:
    """What pages tell one to write, by name."""
    return {name: text for page in pages() for name, text in HEREDOC.findall(_read(page))}


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands() -> Iterator[Command]:
    """Every command in a fence, and those in the tables of pages of commands."""
    for page in pages():
        name = str(page.relative_to(ROOT))
        for block in FENCE.findall(_read(page)):
            lines = HEREDOC.sub("", block).replace("\\\n", " ").splitlines()
            for before, line in zip(["", *lines], lines, strict=False):
                above = before if before.startswith("#") else ""  # a comment on a line of its own
                yield from _of(f"{line}  {above}", name)
        if name in IN_TABLES:
            for command in INLINE.findall(_read(page)):
                yield from _of(command, name)


def _of(line: str, page: str) -> Iterator[Command]:
    needs = NEEDS.search(line)
    said = re.split(r"(?:^|\s)#\s", line, maxsplit=1)[0].strip()
    for command in re.split(r"\s&&\s|\s&$", said):
        if command:
            yield Command(page, re.sub(r" > \S+$", "", command), needs and needs[1])


COMMON = "Columns that many tables have"


def _columns() -> dict[str, set[str]]:
    """The columns by the page's sections."""
    text = (ROOT / "docs/tables.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.M)[1:]
    return {
        title: {
            name
            for cell in re.findall(r"^\| (`[^|]*) \|", part, re.M)
            for name in re.findall(r"`([^`]+)`", cell)
        }
        for title, part in zip(parts[::2], parts[1::2], strict=True)
    }


COLUMNS = _columns()


def columns_of(path: Path) -> list[str]:
    """Of a table in CSV or parquet."""
    if path.suffix == ".csv":
        return list(pd.read_csv(path, nrows=0).columns)
    return list(pq.read_schema(path).names)


def check_columns(table: str, written: list[str]) -> None:
    """A table's columns are those of its section, and those that many have."""
    names = {re.sub(r"^recall_at_\d+$", "recall_at_K", name) for name in written}
    assert names - COLUMNS[table] - COLUMNS[COMMON] == set(), (
        f"docs/tables.md, {table}: lacks these"
    )
    assert not COLUMNS[table] - names, f"docs/tables.md, {table}: has these, which are none"
