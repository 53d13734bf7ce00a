"""The files of `tttnn adapt`: cases as its user gives them, and where its output may go."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tttnn.corpus.formats import (
    ARROW,
    BOM,
    ENCRYPTED_PARQUET,
    JSON,
    LOOKED_AT,
    PARQUET,
    TEXT,
    ZSTD,
    kind_of,
)
from tttnn.corpus.records import RecordError, check_characters, check_text, parse_line
from tttnn.methods.measure import Query

NOT_LINES = {
    re.compile(rb"\s*\["): ("a JSON array", ".[]"),
    re.compile(rb"\s*\{\s*\n"): ("JSON on several lines", "."),
}
"""How a file begins that has JSON in another form; what it is, and jq's program to make lines."""

_COLUMNS = "write it anew as lines of JSON, as polars does with `write_ndjson`"
AS_LINES = {
    ZSTD: "decompress it with `zstd -dc`",
    PARQUET: _COLUMNS,
    ENCRYPTED_PARQUET: _COLUMNS,
    ARROW: _COLUMNS,
}
"""What to do with a kind of file that a corpus can have or become, and cases cannot."""


def counted(number: int, noun: str) -> str:
    """`1 case`, `2 cases`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Case(NamedTuple):
    """A query, and the line of the file that it is on, from 1."""

    line: int
    query: Query


def _query(record: dict[str, Any]) -> Query:
    """The query that a record is; raises `RecordError`."""
    if missing := [name for name in ("id", "text", "neighbors") if name not in record]:
        raise RecordError(f"not an object with id, text and neighbors: no {', '.join(missing)}")
    name, text, neighbors = record["id"], record["text"], record["neighbors"]
    if not isinstance(name, int | str) or isinstance(name, bool):
        raise RecordError("id must be a text or a whole number")
    check_characters(str(name), "id")
    if not isinstance(neighbors, list) or not all(isinstance(text, str) for text in neighbors):
        raise RecordError("neighbors must be a list of texts")
    for place, neighbor in enumerate(neighbors, start=1):
        check_characters(neighbor, f"neighbour {place}")
    return Query(name, check_text(text), neighbors)


def _content(path: Path) -> bytes:
    """The file without a byte-order mark; raises `ValueError` if its first bytes are of no lines.

    It is read once, and not first for its kind: it may be a pipe.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}): give the path of a file of cases, a line "
            "of JSON for each"
        ) from None
    first = content[:LOOKED_AT].removeprefix(BOM)
    if mark := next((mark for mark in NOT_LINES if mark.match(first)), None):
        name, program = NOT_LINES[mark]
        raise ValueError(
            f"{path} is {name}, not a line of JSON for each case: write it anew with "
            f"`jq -c '{program}'`"
        )
    found = kind_of(content[:LOOKED_AT])
    if found not in (None, JSON, TEXT):
        remedy = AS_LINES.get(found, found.remedy)
        raise ValueError(f"{path} is {found.name}, not lines of JSON: {remedy}")
    return content.removeprefix(BOM)


def read_cases(path: Path, neighbors: int = 0) -> list[Case]:
    """Read JSONL of objects with `id`, `text` and `neighbors`, texts in training order.

    Lines may end as Windows ends them, blank ones are no cases, and a byte-order mark is none of
    the text. Raises `ValueError` naming the line of a case that lacks one of the three, has fewer
    neighbours than `neighbors`, an empty text, or the id of one before; and for a file that cannot
    be read, is something else than lines of JSON, or has no cases.
    """
    cases = []
    for number, line in enumerate(_content(path).split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            query = _query(parse_line(line))
        except RecordError as fault:
            raise ValueError(f"{path}, line {number}: {fault}: repair or remove the line") from None
        if len(query.neighbors) < neighbors:
            raise ValueError(
                f"{path}, line {number}: case {query.id!r} has "
                f"{counted(len(query.neighbors), 'neighbour')}, but --neighbors is {neighbors}: "
                "lower it, or give the case more"
            )
        cases.append(Case(number, query))
    lines: dict[int | str, int] = {}
    for number, query in cases:
        if query.id in lines:
            raise ValueError(
                f"{path}, line {number}: id {query.id!r} is that of line {lines[query.id]}: give "
                "each case its own"
            )
        lines[query.id] = number
    if not cases:
        raise ValueError(f"{path} holds no case: give it a line of JSON for each")
    return cases


def check_output(output: Path, journal: Path, cases: Path, model: Path) -> None:
    """Raise `ValueError` if the output would take an input's place, or cannot be written.

    Nothing is left behind, and no folder made.
    """
    try:
        for written in (output, journal):
            if written.exists() and cases.exists() and written.samefile(cases):
                raise ValueError(
                    f"--output {output} would be written over the cases, {cases}: give another name"
                )
        if output.parent.resolve() == model.resolve():
            raise ValueError(
                f"--output {output} is in the folder of --model {model}, whose files must stay as "
                "they are: give another folder"
            )
        if output.is_dir():
            raise ValueError(f"--output {output} is a folder: give the name of a file in it")
        if output.exists() and not output.is_file():
            raise ValueError(f"--output {output} is there and is no file: give another name")
        there = next(folder for folder in output.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except (OSError, RuntimeError) as error:  # the latter for a link to itself
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"--output {output} cannot be written ({reason}): give a path in a folder that you may "
            "write to"
        ) from None
