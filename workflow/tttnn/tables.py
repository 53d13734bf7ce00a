"""Parquet files that notice their own damage.

Parquet's page checksums cover neither the headers of pages nor the footer, so a file also has a
seal: digests of what is before it and of the footer behind it, in a gap between the two. The
footer says where columns begin, so no reader looks there, and any library reads such a file.

The footer's digest covers the file's place too: candidates of another index, neighbours of another
task are whole files, and yet not what their reader asked for.

Files that are read as a whole are compared with both digests. Of passages, which are too many to be
read whole for a few texts, the footer is compared when a file is opened, pages when they are read,
and each text with its own digest (`tttnn.corpus.passages`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tttnn.digests import AGAIN, MAGIC, SHA256_BYTES, DamagedError, place, update
from tttnn.files import replacing

OPTIONS: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
"""How a `pyarrow.parquet.ParquetWriter` is to write them."""

END = b"PAR1"
SEAL_BYTES = len(MAGIC) + 2 * SHA256_BYTES


class _Parts(NamedTuple):
    """Of a sealed file: bytes before the seal, and the digests of these and of the footer."""

    before: int
    body: bytes
    footer: bytes


def _footer_at(file: BinaryIO, path: Path) -> int:
    """Where the footer begins, by the file's last bytes; raises `DamagedError`."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    length, end = int.from_bytes(file.read(4), "little"), file.read(4)
    if end != END or length > size - 12:
        raise DamagedError(f"{path} is not a whole parquet file: {AGAIN}")
    return size - 8 - length


def _digest(file: BinaryIO, start: int, end: int) -> bytes:
    digest = hashlib.sha256()
    file.seek(start)
    update(digest, file, end - start)
    return digest.digest()


def _footer_digest(footer: bytes, path: Path) -> bytes:
    return hashlib.sha256(place(path) + footer).digest()


def _check_footer(file: BinaryIO, path: Path) -> _Parts:
    """The parts of a file whose footer is what was written; raises `DamagedError`."""
    at = _footer_at(file, path)
    before = at - SEAL_BYTES
    if before >= 0:
        file.seek(before)
        seal = file.read(SEAL_BYTES)
    if before < 0 or not seal.startswith(MAGIC):
        raise DamagedError(f"{path} has no digest before its footer: {AGAIN}")
    body, footer = (seal[start:][:SHA256_BYTES] for start in (len(MAGIC), -SHA256_BYTES))
    file.seek(at)
    got = _footer_digest(file.read(), path)
    if got != footer:
        raise DamagedError(
            f"{path} has a footer of SHA-256 {got.hex()}, and expects {footer.hex()} (it is "
            f"damaged, or of another place): {AGAIN}"
        )
    return _Parts(before, body, footer)


@contextmanager
def sealing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write a table to, with `OPTIONS`; sealed and renamed on success."""
    with replacing(path) as beside:
        yield beside
        with beside.open("r+b") as file:
            at = _footer_at(file, beside)
            file.seek(at)
            footer = file.read()
            body = _digest(file, 0, at)
            file.seek(at)
            file.write(MAGIC + body + _footer_digest(footer, path) + footer)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table, sealed."""
    with sealing(path) as beside:
        pq.write_table(table, beside, **OPTIONS)


def open_table(path: Path) -> pq.ParquetFile:
    """A file to read some pages of: the footer is compared now, pages when they are read.

    Raises `DamagedError`, and pyarrow an `OSError` for a page.
    """
    with path.open("rb") as file:
        _check_footer(file, path)
    return pq.ParquetFile(path, page_checksum_verification=True)


def check_table(path: Path) -> None:
    """Compare all of a file with its digests; raises `DamagedError`."""
    with path.open("rb") as file:
        parts = _check_footer(file, path)
        got = _digest(file, 0, parts.before)
    if got != parts.body:
        raise DamagedError(
            f"{path} has content of SHA-256 {got.hex()}, and expects {parts.body.hex()}: {AGAIN}"
        )


def table_digest(path: Path) -> str:
    """What tells a file from others, by the digests in it; its pages are not read.

    Raises `DamagedError` for a damaged footer.
    """
    with path.open("rb") as file:
        parts = _check_footer(file, path)
    return hashlib.sha256(parts.body + parts.footer).hexdigest()


def read_table(
    path: Path, columns: list[str] | None = None, filters: Any | None = None
) -> pa.Table:
    """A table, or those of `columns` that it has; raises `DamagedError`."""
    check_table(path)
    if filters is None:
        return pq.ParquetFile(path).read(columns=columns)
    return pq.read_table(path, columns=columns, filters=filters, partitioning=None)
