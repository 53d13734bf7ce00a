"""The raw records of a corpus file: the lines of text, plain or compressed, or parquet's rows.

Memory is bounded whatever a file claims: of text, by a line's limit and zstd's window; of parquet,
by a row group's columns as they are compressed, a page of each (the format's limit is 2 GiB), and
`BATCH` rows.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tttnn.corpus.formats import BOM, JSON, TEXT, CorpusError, kind_of, suffix
from tttnn.corpus.meta import COLUMNS

PIECE = 1 << 11  # bytes of a zstd file decompressed at once: 64 MiB at most, zstd's best
BLOCK = 1 << 16  # bytes of a file read at once
BATCH = 64  # rows of a parquet file
LONGEST_LINE = 1 << 27  # bytes; the Pile's longest are a few per cent of it
LARGEST_WINDOW = 1 << 27  # bytes; what `zstd -d` accepts unasked


class Row(NamedTuple):
    """A parquet row: the text's bytes, None for a null, and the values beside it."""

    text: bytes | None
    others: dict[str, pa.Scalar]


@dataclass
class Progress:
    """How much of a file has been read, from 0 to 1."""

    share: float = 0.0


def _followed(file: BinaryIO, size: int, progress: Progress) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        progress.share = file.tell() / size
        yield block


def _piece(path: Path, frame: zstandard.ZstdDecompressionObj, piece: bytes | memoryview) -> bytes:
    try:
        return frame.decompress(piece)
    except zstandard.ZstdError as error:
        if "too much memory" not in str(error):
            raise
        raise CorpusError(
            f"{path} was compressed with a window of more than {LARGEST_WINDOW:,} bytes: compress "
            "it anew, `zstd -dc --long=31 OLD | zstd -o NEW`."
        ) from None


def _decompressed(path: Path, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of all frames of a zstd file.

    Frames are followed one by one, because zstandard's own stream reader ends without an error
    where a file is cut short. Raises `CorpusError` for a window that nobody needs.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
    frame = None
    pieces = (
        memoryview(block)[start : start + PIECE]
        for block in blocks
        for start in range(0, len(block), PIECE)
    )
    piece: bytes | memoryview
    for piece in pieces:
        while piece:
            frame = frame or decompressor.decompressobj()
            yield _piece(path, frame, piece)
            piece = b""
            if frame.eof:
                piece, frame = frame.unused_data, None
    if frame:
        raise zstandard.ZstdError("the last frame does not end")


def _checked(path: Path, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks; raises `CorpusError` if they are not those of text, as their beginning shows."""
    looked = False
    for block in blocks:
        if block and not looked:
            looked = True
            found = kind_of(block)
            if found not in (None, JSON, TEXT):
                raise CorpusError(
                    f"{path}, decompressed, is {found.name}. Decompress it once, "
                    f"`zstd -dc OLD > NEW`; then, with NEW: {found.remedy}."
                )
        yield block


def lines(path: Path, progress: Progress) -> Iterator[bytes]:
    """The lines of a `.jsonl` or `.jsonl.zst` file, without byte-order marks, blank ones too.

    A mark may stand before any line, as where files were joined. Raises `CorpusError` for a line
    of more than `LONGEST_LINE` bytes, and what zstandard raises.
    """
    compressed = suffix(path.name) == ".jsonl.zst"
    with path.open("rb") as file:
        size = path.stat().st_size
        blocks = _followed(file, size, progress)
        if compressed:
            blocks = _checked(path, _decompressed(path, blocks))
        number, length = 1, 0
        begun: list[bytes] = []  # a line's pieces, of which earlier blocks had all but the last
        for block in blocks:
            for piece in io.BytesIO(block):
                length += len(piece)
                if length > LONGEST_LINE:
                    raise CorpusError(
                        f"{path}, line {number} is longer than {LONGEST_LINE:,} bytes: it is no "
                        "line of JSON, or its text must be cut into several documents."
                    )
                if not piece.endswith(b"\n"):
                    begun.append(piece)
                    continue
                if begun:
                    piece = b"".join((*begun, piece))
                    begun.clear()
                yield piece.removeprefix(BOM)
                number, length = number + 1, 0
        if begun:
            yield b"".join(begun).removeprefix(BOM)


def _is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are bytes as they stand: strings and binaries in every form."""
    try:
        pa.nulls(0, kind).cast(pa.large_binary())
    except pa.ArrowException:
        return False
    return True


def rows(path: Path, progress: Progress) -> Iterator[Row]:
    """The rows of a parquet file. Raises `CorpusError` where it has no column of texts."""
    with path.open("rb") as file:
        # without a buffer_size: with one, Arrow allocates whatever a damaged page claims to hold
        table = pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True)
        schema = table.schema_arrow
        columns = [name for name in dict.fromkeys(schema.names) if name in ("text", *COLUMNS)]
        listed = ", ".join(f"{field.name}: {field.type}" for field in schema)
        if "text" not in columns or not _is_text(schema.types[schema.names.index("text")]):
            raise CorpusError(f"{path} has no column text of strings; it has {listed}")
        if twice := [name for name in columns if Counter(schema.names)[name] > 1]:
            raise CorpusError(f"{path} has more than one column {twice[0]}; it has {listed}")
        read = 0
        # each group by itself: no batch has two dictionaries, which Arrow cannot have in a struct
        batches = chain.from_iterable(
            table.iter_batches(batch_size=BATCH, row_groups=[group], columns=columns)
            for group in range(table.num_row_groups)
        )
        for batch in batches:
            texts = batch["text"].cast(pa.large_binary())
            others = {name: batch[name] for name in columns if name != "text"}
            for place, text in enumerate(texts):
                read += 1
                progress.share = read / max(table.metadata.num_rows, 1)
                yield Row(text.as_py(), {name: column[place] for name, column in others.items()})
        if read != table.metadata.num_rows:
            raise pa.ArrowInvalid(f"{read} rows of {table.metadata.num_rows} are there")
