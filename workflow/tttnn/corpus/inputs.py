"""The files that `tttnn import` reads, and the texts in them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tttnn.corpus.formats import BOM, CorpusError, check_kind, first_bytes, other_form
from tttnn.corpus.meta import COLUMNS, as_mapping, subset_of
from tttnn.corpus.raw import BATCH, LONGEST_LINE, Progress, lines
from tttnn.corpus.records import RecordError, parse_line
from tttnn.pile import SUFFIXES
from tttnn.reading import reading

HUB = "hf:"
DELIMITERS = {".csv": ",", ".tsv": "\t"}
RECORDS = (*SUFFIXES, ".ndjson", *DELIMITERS)
"""How files end that have a text in each record."""

FIELD = "give --field the name of the text's field"

NAMED = 10
"""Files that a message names, at most."""


class Text(NamedTuple):
    """A text as it was found, bytes if it is none in UTF-8, and the Pile's subset it says it is of.

    Whether it is a text at all is not looked at here.
    """

    text: Any
    subset: str | None = None


def named(files: Iterable[Path], count: int) -> str:
    """The first of `count` files, for a message."""
    first = list(files)[:NAMED]
    more = [f"{count - len(first):,} more"] if count > len(first) else []
    return ", ".join([*map(str, first), *more])


def from_hub(name: str) -> Path:
    """The folder of a data set's files, `ID@REVISION`, from the hub's cache or the hub."""
    from huggingface_hub import snapshot_download

    dataset, _, revision = name.partition("@")
    if not revision:
        raise ValueError(f"{HUB}{name}: give the revision too, {HUB}{name}@COMMIT")
    wanted = [f"*{suffix}" for suffix in SUFFIXES]
    try:
        found = snapshot_download(
            dataset, repo_type="dataset", revision=revision, allow_patterns=wanted
        )
    except Exception as error:  # many kinds, each of which says what the matter is
        raise CorpusError(
            f"{HUB}{name} cannot be had ({' '.join(str(error).split())[:300]}): check the name and "
            "the revision, or fetch it with `hf download --repo-type dataset` and name its folder"
        ) from error
    return Path(found)


def _below(folder: Path) -> Iterator[Path]:
    """All but hidden ones, in order; links to folders are followed, each folder's content once."""
    seen = {folder.resolve()}
    for root, folders, names in os.walk(folder, followlinks=True):
        kept = []
        for name in sorted(folders):
            whole = (Path(root) / name).resolve()
            if not name.startswith(".") and whole not in seen:
                seen.add(whole)
                kept.append(name)
        folders[:] = kept
        yield from (Path(root) / name for name in sorted(names) if not name.startswith("."))


def files_of(source: Path) -> list[Path]:
    """A file, or all below a folder."""
    if not source.is_dir():
        if not source.is_file():
            raise ValueError(f"{source} is neither a file nor a folder")
        return [source]
    found = sorted(_below(source))
    if not found:
        raise ValueError(f"{source} holds no file")
    return found


def check_names(files: list[Path]) -> None:
    """Raise `CorpusError` for JSON that is not lines of it: its braces would be taken for text."""
    refused = [path for path in files if path.suffix == ".json"]
    if not refused:
        return
    remedy = other_form(first_bytes(refused[0])) if refused[0].is_file() else None
    remedy = remedy or "Where each line is a record, rename it to end in .jsonl"
    raise CorpusError(
        f"{named(refused, len(refused))}: a .json file is not read, as it may be one record, many, "
        f"or no text at all. {remedy}; to take it as it stands, rename it to end in .txt; else "
        "move it away."
    )


def _own(record: dict[str, Any]) -> str | None:
    """The subset that a record names itself; None where it names none, or none that is known."""
    try:
        return subset_of(record, as_mapping(record.get("meta")), needed=False)
    except RecordError:
        return None


def _of_parquet(path: Path, field: str, read: Progress) -> Iterator[Text]:
    """A column of strings, or of binary, as the workflow reads it."""
    with reading(path, "copy it again"):
        file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    if field not in names:
        raise CorpusError(f"{path} has no column {field!r}: {FIELD}")
    kind = file.schema_arrow.field(field).type
    try:
        pa.nulls(0, kind).cast(pa.large_binary())
    except pa.ArrowException:
        raise CorpusError(f"{path}: column {field!r} holds {kind}, no text: {FIELD}") from None
    beside = [name for name in COLUMNS if name in names and name != field]
    batches = file.iter_batches(BATCH, columns=[field, *beside])
    done = 0
    while True:
        with reading(path, "copy it again"):
            if (batch := next(batches, None)) is None:
                return
            values = batch.column(field).cast(pa.large_binary()).to_pylist()
            others = [batch.column(name).to_pylist() for name in beside]
        done += len(values)
        read.share = done / max(file.metadata.num_rows, 1)
        for place, value in enumerate(values):
            record = {name: column[place] for name, column in zip(beside, others, strict=True)}
            yield Text(value, _own(record) if record else None)


def _of_table(path: Path, field: str, read: Progress) -> Iterator[Text]:
    """A column of a file of values with commas, or tabs, between, whose first line names them."""
    csv.field_size_limit(LONGEST_LINE)
    with (
        path.open("rb") as raw,
        TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="") as file,
    ):
        rows = csv.reader(file, delimiter=DELIMITERS[path.suffix], strict=True)
        size = path.stat().st_size
        try:
            header = next(rows, [])
            if field not in header:
                raise CorpusError(f"{path} has no column {field!r}: {FIELD}")
            for row in filter(None, rows):
                if len(row) != len(header):
                    raise csv.Error(f"{len(row)} values for {len(header)} columns")
                record = dict(zip(header, row, strict=True))
                read.share = raw.tell() / size
                yield Text(record[field].encode("utf-8", "surrogateescape"), _own(record))
        except csv.Error as error:
            raise CorpusError(
                f"{path}, line {rows.line_num}: {error}: mend the line, or write the file as .jsonl"
            ) from None


def _lines(path: Path, read: Progress) -> Iterator[bytes]:
    """Of a file of JSON's lines, which the workflow knows by other names than .ndjson."""
    if path.suffix != ".ndjson":
        check_kind(path)
        yield from lines(path, read)
        return
    size = path.stat().st_size
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:
                raise CorpusError(
                    f"{path} has a line of more than {LONGEST_LINE:,} bytes: cut its text into "
                    "several"
                )
            read.share = file.tell() / size
            yield line.removeprefix(BOM)


def _of_lines(path: Path, field: str, read: Progress) -> Iterator[Text]:
    found = enumerate(_lines(path, read), start=1)
    while True:
        with reading(path, "copy it again"):
            number, line = next(found, (0, b""))
        if not number:
            return
        if line.strip():
            place = f"{path}, line {number}"
            try:
                record = parse_line(line)
            except RecordError as error:
                raise CorpusError(f"{place}: {error}: mend or remove the line") from None
            if field not in record:
                raise CorpusError(f"{place} has no field {field!r}: {FIELD}")
            yield Text(record[field], _own(record))


def _of_records(path: Path, field: str, read: Progress) -> Iterator[Text]:
    """The text of each record of a file of them."""
    if path.suffix in DELIMITERS:
        return _of_table(path, field, read)
    if path.suffix == ".parquet":
        check_kind(path)
        return _of_parquet(path, field, read)
    return _of_lines(path, field, read)


def texts_of(path: Path, field: str, read: Progress) -> Iterator[Text]:
    """What a file holds: the texts of records, or one text."""
    if path.name.endswith(RECORDS) and path.is_file():
        for found in _of_records(path, field, read):
            yield found._replace(text=_decoded(found.text))
        return
    if not path.is_file():  # a link that leads nowhere, a pipe
        yield Text(b"")
        return
    if path.stat().st_size > LONGEST_LINE:
        raise CorpusError(
            f"{path} has more than {LONGEST_LINE:,} bytes, which is too long for one text: cut it "
            "into several files, or write it as .jsonl with a text in each line"
        )
    text = _decoded(path.read_bytes())
    if isinstance(text, str):
        text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    yield Text(path.read_bytes() if isinstance(text, str) and "\0" in text else text)


def _decoded(value: Any) -> Any:
    """Bytes as the text in UTF-8 that they are; as they stand if they are none."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return value
