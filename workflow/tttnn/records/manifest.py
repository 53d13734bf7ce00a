"""What a record says of itself: the format, what it was made of and with, and its files.

A record is a folder of tables in parquet and `manifest.json`. `docs/records.md` describes it for
whoever writes one by other means.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tttnn.digests import check_file, read_record, write_record
from tttnn.files import name_within
from tttnn.reading import read_json
from tttnn.sections.base import Section

FORMAT = 1
"""Of the manifests that this version writes; it reads those up to it."""

NAME = "manifest.json"
EVALUATIONS = "evaluations"
"""The table of log-likelihoods: a row for each document and number of neighbours of each cell."""

SELECTED = "selected"
"""The table of the documents that were evaluated, by digest."""

EVALUATION_COLUMNS = [
    "model",
    "method",
    "task",
    "document_id",
    "num_neighbors",
    "loglikelihood",  # natural, of the whole evaluated text
    "bytes",
    "words",
    "train_tokens",
    "train_seconds",  # both up to there
    "evaluate_seconds",  # of the evaluation there alone
]
SELECTED_COLUMNS = ["task", "document_id", "sha256"]
REQUIRED = {EVALUATIONS: EVALUATION_COLUMNS, SELECTED: SELECTED_COLUMNS}
"""Tables that every record has, and their columns. Other tables are those of the run."""

AGAIN = "take the record anew from where it is from, or record the run again (tttnn record)"

PATH = re.compile(r"""(?:^|(?<=[\s"'=(,;]))(?:~|\.{0,2}/|[A-Za-z]:\\|file:/+)[^\s"']+""")
"""What looks like a path of some machine: it begins with /, ./, ../, ~, C:\\ or file:/."""


class RecordError(ValueError):
    """A folder is no whole record; the message names the file, the place and the remedy."""


class Table(Section):
    """A file of the record, `{name}.parquet`."""

    sha256: str
    rows: int
    columns: list[str]


class Shard(Section):
    """A shard of the corpus: the digest of its file, and what is in it."""

    sha256: str | None
    documents: int
    text_bytes: int | None


class Documents(Section):
    """The documents of a task: how many, and the SHA-256 of their digests, sorted, a line each."""

    count: int
    sha256: str


class Model(Section):
    """A model's kind, its size, and SHA-256 of each of its files."""

    kind: str
    parameters: int | None
    files: dict[str, str]


class Machine(Section):
    """The machine that wrote the record; what evaluated is in `made_with`."""

    processor: str
    cores: int
    gpus: list[str]


class Package(Section):
    """The version of this package that wrote the record, and its commit, where that is known."""

    version: str
    commit: str | None


class Manifest(Section):
    """All that a record says of its run; `null` is what nobody knows or said."""

    format: int
    name: str
    recorded: str  # a date, as 2026-11-27
    evaluated: str | None  # the date of the newest evaluation
    licence: str | None
    author: str | None
    contact: str | None
    note: str | None
    package: Package
    made_with: list[dict[str, str]]  # versions, device and precision of the evaluations
    machine: Machine
    config: dict[str, Any]  # the whole configuration, without the paths of the machine
    corpus: dict[str, Shard]
    documents: dict[str, Documents]
    models: dict[str, Model]
    tables: dict[str, Table]


def without_paths(value: Any) -> Any:
    """The same value with only the last name of each path in it, and URLs without their user."""
    if isinstance(value, dict):
        return {without_paths(key): without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    if not isinstance(value, str):
        return value
    value = re.sub(r"(?<=://)[^/@\s]*@", "", value)
    return PATH.sub(lambda match: re.split(r"[/\\]", match[0].rstrip("/\\"))[-1] or ".", value)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it with a digest of its values."""
    write_record(folder / NAME, manifest.model_dump(mode="json"))


def is_record(folder: Path) -> bool:
    """Whether a folder has a record's manifest."""
    return (folder / NAME).is_file()


def read_manifest(folder: Path) -> Manifest:
    """The manifest, compared with its digest.

    Raises `RecordError` where it is missing, of a later format, or not what a manifest is, and
    `DamagedError` where its values are not those that were written.
    """
    path = folder / NAME
    if not path.is_file():
        raise RecordError(f"{path} is missing: name a folder that `tttnn record` wrote")
    told = read_json(path, AGAIN).get("format")
    if not isinstance(told, int) or isinstance(told, bool) or told < 1:
        raise RecordError(f"{path}, format: {told!r} is no format of records (1, 2, …): {AGAIN}")
    if told > FORMAT:
        raise RecordError(
            f"{path}, format: {told} is newer than {FORMAT}, the newest that this version reads: "
            "install a newer version of the package"
        )
    values = read_record(path, AGAIN)
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RecordError(f"{path}, {place}: {first['msg']}: {AGAIN}") from None
    for name, columns in REQUIRED.items():
        if name not in manifest.tables:
            raise RecordError(f"{path}, tables: lacks {name}: {AGAIN}")
        missing = [c for c in columns if c not in manifest.tables[name].columns]
        if missing:
            raise RecordError(f"{path}, tables.{name}.columns: lacks {', '.join(missing)}: {AGAIN}")
    return manifest


def table_path(folder: Path, name: str) -> Path:
    """Where a record's table is; raises `ValueError` for a name that leads out of the folder."""
    return name_within(folder, f"{name}.parquet", folder / NAME)


def check_tables(folder: Path, manifest: Manifest) -> None:
    """Compare every table with its digest.

    Raises `RecordError` for one that is missing, and `DamagedError` for one of other bytes.
    """
    for name, table in manifest.tables.items():
        path = table_path(folder, name)
        if not path.is_file():
            raise RecordError(f"{path} is missing, {folder / NAME} lists it: {AGAIN}")
        check_file(path, table.sha256, folder / NAME, AGAIN)
