"""Read a corpus file record by record, strictly: each fault has a name, a place and a remedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tttnn.config.base import nearest
from tttnn.pile import SUFFIXES, TASK_OF_SUBSET
from tttnn.records import RecordError, check_text, parse_line

BLOCK = 1 << 17  # bytes read at once
EXCERPT = 200  # bytes
LEVEL = 3  # of zstd, where a file is written anew


class CorpusError(ValueError):
    """The corpus cannot be used as it is; the message names the file, the place and the remedy."""


class ArchiveError(CorpusError):
    """A corpus file is cut short or damaged, so that nothing behind the damage can be read."""


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


def suffix(name: str) -> str:
    """The format of a corpus file, by its name; raises `CorpusError` for any other."""
    for known in SUFFIXES:
        if name.endswith(known):
            return known
    raise CorpusError(f"{name}: a corpus file ends in one of {', '.join(SUFFIXES)}")


def _decompressed(file: BinaryIO) -> Iterator[bytes]:
    """The content of all frames of a zstd file.

    Frames are followed one by one, because zstandard's own stream reader ends without an error
    where a file is cut short. The window may be as large as `zstd --long=31` makes it.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=2**31)
    frame = None
    while block := file.read(BLOCK):
        while block:
            frame = frame or decompressor.decompressobj()
            yield frame.decompress(block)
            block = b""
            if frame.eof:
                block, frame = frame.unused_data, None
    if frame:
        raise zstandard.ZstdError("the last frame does not end")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        if suffix(path.name) == ".jsonl":
            yield from file
            return
        pieces: list[bytes] = []
        for block in _decompressed(file):
            *complete, rest = block.split(b"\n")
            for line in complete:
                yield b"".join([*pieces, line])
                pieces = []
            pieces.append(rest)
        if last := b"".join(pieces):
            yield last


def _rows(path: Path) -> Iterator[dict[str, pa.Scalar]]:
    with path.open("rb") as file:
        table = pq.ParquetFile(file)
        types = {field.name: field.type for field in table.schema_arrow}
        columns = [name for name in ("text", "meta", "pile_set_name") if name in types]
        if types.get("text") not in (pa.string(), pa.large_string()):
            found = ", ".join(f"{name}: {kind}" for name, kind in types.items())
            raise CorpusError(f"{path} has no column text of strings; it has {found}")
        for batch in table.iter_batches(batch_size=256, columns=columns):
            for row in zip(*(batch[name] for name in columns), strict=True):
                yield dict(zip(columns, row, strict=True))


def _parse(raw: bytes | dict[str, pa.Scalar]) -> dict[str, Any]:
    """A line's or row's values; raises `RecordError`."""
    if not isinstance(raw, dict):
        return parse_line(raw)
    try:
        return {name: value.as_py() for name, value in raw.items()}
    except UnicodeDecodeError as error:
        raise RecordError("not UTF-8", str(error)) from None


def _document(line: int, record: dict[str, Any], needs_subset: bool) -> Document:
    """The record as a document; raises `RecordError`."""
    text = check_text(record.get("text"))
    meta = record.get("meta")
    if meta is None:
        meta = {}
    if not isinstance(meta, dict):
        raise RecordError("meta is not an object")
    subset = meta.get("pile_set_name", record.get("pile_set_name"))
    if subset is None:
        if needs_subset:
            raise RecordError("no subset", "meta.pile_set_name is missing")
        return Document(line, text, None, meta)
    if not isinstance(subset, str):
        raise RecordError("subset is not a string")
    if subset not in TASK_OF_SUBSET:
        raise RecordError("unknown subset", f"{subset!r}.{nearest(subset, TASK_OF_SUBSET)}")
    return Document(line, text, subset, {**meta, "pile_set_name": subset})


def _excerpt(raw: bytes | dict[str, pa.Scalar]) -> str:
    if isinstance(raw, dict):
        raw = (raw["text"].as_buffer() or pa.py_buffer(b"")).to_pybytes()
    return raw[:EXCERPT].decode("utf-8", errors="replace").rstrip("\n")


def read_documents(
    path: Path, *, needs_subset: bool, rejected: Callable[[Rejection], None] | None = None
) -> Iterator[Document]:
    """The documents of a `.jsonl.zst`, `.jsonl` or `.parquet` file, in order, as a stream.

    A record is `{"text": ..., "meta": {"pile_set_name": ...}}`; `pile_set_name` may also stand
    beside `text`, and may be missing unless `needs_subset`, but is never an unknown one.

    A faulty record raises `CorpusError`, or is given to `rejected`, if there is one, and left
    out. A file that is cut short or damaged raises `ArchiveError` in either case.
    """
    parquet = suffix(path.name) == ".parquet"
    place = "row" if parquet else "line"
    line = 0
    try:
        for line, raw in enumerate(_rows(path) if parquet else _lines(path), start=1):
            try:
                document = _document(line, _parse(raw), needs_subset)
            except RecordError as fault:
                rejection = Rejection(line, fault.reason, fault.detail, _excerpt(raw))
                if rejected is None:
                    detail = f" ({fault.detail})" if fault.detail else ""
                    raise CorpusError(
                        f"{path}, {place} {line}: {fault.reason}{detail}: {rejection.excerpt!r}. "
                        "Repair the file, or set corpus.on_bad_record: reject to leave such "
                        "records out and have them listed."
                    ) from None
                rejected(rejection)
            else:
                yield document
    except (zstandard.ZstdError, pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the system's own: no such file, no right
            raise
        raise ArchiveError(
            f"{path} is cut short or damaged after {place} {line}: {error}. Fetch the file again."
        ) from error


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write `records` as `.jsonl.zst`; they are streamed."""
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    with path.open("wb") as file, compressor.stream_writer(file) as writer:
        for record in records:
            # default: a parquet file's meta may hold dates, which JSON has not
            writer.write(json.dumps(record, default=str).encode("ascii") + b"\n")
