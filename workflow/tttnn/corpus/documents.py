"""Read a corpus file record by record, strictly: each fault has a name, a place and a remedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import zstandard

from tttnn.corpus.formats import ArchiveError, CorpusError, check_kind, other_form, suffix
from tttnn.corpus.meta import as_mapping, is_the_piles, plain, subset_of
from tttnn.corpus.raw import LONGEST_LINE, Progress, Row, lines, rows
from tttnn.corpus.records import RecordError, check_text, parse_line

FORMS = ("malformed JSON", "not a JSON object")  # reasons that JSON in another form gives
EXCERPT = 200  # bytes
LEVEL = 3  # of zstd, where a file is written anew


class Document(NamedTuple):
    """A record of the corpus."""

    line: int  # from 1; the row in a parquet file
    text: str
    pile_set_name: str | None
    meta: dict[str, Any]  # as in the file; holds `pile_set_name` wherever the record had it


class Rejection(NamedTuple):
    """A record that was left out: `reason` is one of a few, `detail` is about this record."""

    line: int
    reason: str
    detail: str
    excerpt: str


def _parse_row(row: Row) -> dict[str, Any]:
    """A row's values; raises `RecordError`."""
    try:
        others = {
            name: plain(value.as_py(maps_as_pydicts="strict")) for name, value in row.others.items()
        }
        return {"text": row.text and row.text.decode("utf-8"), **others}
    except UnicodeDecodeError as error:
        raise RecordError("not UTF-8", str(error)) from None
    except (pa.ArrowException, ValueError, OverflowError, LookupError) as error:
        raise RecordError("meta cannot be read", str(error)) from None


def _document(line: int, record: dict[str, Any], needs_subset: bool) -> Document:
    """The record as a document; raises `RecordError`."""
    text = check_text(record.get("text"))
    meta: Any = record.get("meta")
    if is_the_piles(meta) and len(record) == 2:  # there is nothing else to look at
        return Document(line, text, meta["pile_set_name"], meta)
    meta = as_mapping(meta)
    subset = subset_of(record, meta, needs_subset)
    return Document(line, text, subset, {**meta, "pile_set_name": subset} if subset else meta)


def _excerpt(raw: bytes | Row) -> str:
    start = (raw.text or b"") if isinstance(raw, Row) else raw
    return start[:EXCERPT].decode("utf-8", errors="replace").rstrip("\r\n")


def hint(rejection: Rejection) -> str:
    """What to do where a file's first record looks like JSON in another form."""
    if rejection.line != 1 or rejection.reason not in FORMS:
        return ""
    found = other_form(rejection.excerpt.encode("utf-8"))
    return f" {found}." if found else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error)[: 4 * EXCERPT].split())


def read_documents(
    path: Path,
    *,
    needs_subset: bool,
    rejected: Callable[[Rejection], None] | None = None,
    progress: Progress | None = None,
) -> Iterator[Document]:
    """The documents of a `.jsonl.zst`, `.jsonl` or `.parquet` file, in order, as a stream.

    A record is `{"text": ..., "meta": {"pile_set_name": ...}}`. `tttnn.corpus.meta` says which
    forms `meta` may have and where else the subset may stand; it may be missing unless
    `needs_subset`, but is never an unknown one. In parquet, text is whatever Arrow holds as
    strings or bytes. Blank lines are no records, but are counted; a byte-order mark is no part of
    a line. `progress` is told how much of the file has been read.

    A faulty record raises `CorpusError`, or is given to `rejected`, if there is one, and left
    out. In either case `CorpusError` is raised for a file that is not what its name says, and for
    a line of more than `LONGEST_LINE` bytes, and `ArchiveError` for a file that is cut short or
    damaged.
    """
    parquet = suffix(path.name) == ".parquet"
    place = "row" if parquet else "line"
    line = 0
    try:
        check_kind(path)
        told = progress or Progress()
        read: Iterator[Any] = rows(path, told) if parquet else lines(path, told)
        parse: Callable[[Any], dict[str, Any]] = _parse_row if parquet else parse_line
        for line, raw in enumerate(read, start=1):
            if not parquet and (not raw or raw.isspace()):
                continue
            try:
                document = _document(line, parse(raw), needs_subset)
            except RecordError as fault:
                detail = fault.detail[: 4 * EXCERPT]
                rejection = Rejection(line, fault.reason, detail, _excerpt(raw))
                if rejected is None:
                    detail = f" ({detail})" if detail else ""
                    raise CorpusError(
                        f"{path}, {place} {line}: {fault.reason}{detail}: {rejection.excerpt!r}. "
                        "Repair the file, or set corpus.on_bad_record: reject to leave such "
                        f"records out and have them listed.{hint(rejection)}"
                    ) from None
                rejected(rejection)
            else:
                yield document
    except pa.ArrowNotImplementedError as error:
        raise CorpusError(
            f"{path}: Arrow cannot read its columns ({_one_line(error)}). Write text and "
            "pile_set_name anew as columns of strings."
        ) from error
    except (zstandard.ZstdError, pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the system's own: no such file, no right
            raise
        raise ArchiveError(
            f"{path} is cut short or damaged after {place} {line}: {_one_line(error)}. "
            "Fetch the file again."
        ) from error


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write `records` as `.jsonl.zst`; they are streamed.

    Raises `CorpusError` for a record whose line would be longer than `LONGEST_LINE` bytes.
    """
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    with path.open("wb") as file, compressor.stream_writer(file) as writer:
        for number, record in enumerate(records, start=1):
            # default: a parquet file's meta may hold dates, which JSON has not
            line = json.dumps(record, default=str).encode("ascii") + b"\n"
            if len(line) > LONGEST_LINE:
                raise CorpusError(
                    f"document {number} needs a line of {len(line):,} bytes, and {LONGEST_LINE:,} "
                    "are read at most: cut it into several documents."
                )
            writer.write(line)
