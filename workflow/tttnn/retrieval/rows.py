"""Vectors on disk, each with a checksum that is compared whenever the vector is read.

An npy file, as numpy reads it; behind the array, where numpy does not look, stand the CRC-32 of
each row's bytes, uint32, little-endian, and that of the header. To compare a file as a whole with
its SHA-256 would read all vectors, hundreds of GB for the Pile, for the few that a search fetches.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache, reduce
from operator import xor
from pathlib import Path
from tokenize import TokenError
from types import TracebackType
from typing import BinaryIO, NamedTuple

import numpy as np

from tttnn.digests import AGAIN, DamagedError
from tttnn.files import no_space, reserve

SUM = np.dtype("<u4")
POLYNOMIAL = 0xEDB88320  # of CRC-32, bits reversed
TOGETHER = 1 << 18  # bytes of rows whose checksum is taken at once
SIDE_BY_SIDE = 64  # such parts, from which on threads help
THREADS = 8  # at most


class _Layout(NamedTuple):
    shape: tuple[int, int]
    dtype: np.dtype
    start: int  # of the rows in the file, in bytes

    @property
    def width(self) -> int:
        return self.shape[1] * self.dtype.itemsize

    @property
    def sums(self) -> int:
        """Where the checksums start."""
        return self.start + self.shape[0] * self.width

    @property
    def size(self) -> int:
        return self.sums + (self.shape[0] + 1) * SUM.itemsize


def checksums(rows: np.ndarray) -> np.ndarray:
    """CRC-32 of each row of a contiguous array."""
    return np.fromiter(map(zlib.crc32, rows), SUM, len(rows))


@cache
def _shift(width: int) -> np.ndarray:
    """What `width` more bytes, of zeros, make of a checksum's part, by its four bytes, (4, 256).

    The register of a CRC is linear over GF(2) (zlib's crc32_combine): the matrix of one bit, raised
    to a power by squaring.
    """

    def apply(matrix: list[int], value: int) -> int:
        bits = (column for place, column in enumerate(matrix) if value >> place & 1)
        return reduce(xor, bits, 0)

    power, square = [1 << i for i in range(32)], [POLYNOMIAL, *(1 << i for i in range(31))]
    bits = 8 * width
    while bits:
        if bits & 1:
            power = [apply(square, column) for column in power]
        square = [apply(square, column) for column in square]
        bits >>= 1
    table = [[apply(power, byte << 8 * place) for byte in range(256)] for place in range(4)]
    return np.array(table, np.uint32)


def joined_checksums(sums: np.ndarray, width: int) -> np.ndarray:
    """CRC-32 of rows of `width` bytes one after the other, of their own (chunks, rows)."""
    sums = sums.astype(np.uint32)
    while sums.shape[1] > 1:
        if sums.shape[1] % 2:  # nothing, whose checksum is 0, may stand before
            sums = np.pad(sums, ((0, 0), (1, 0)))
        table, left = _shift(width), sums[:, ::2]
        shifted = table[0][left & 255] ^ table[1][left >> 8 & 255]
        shifted ^= table[2][left >> 16 & 255] ^ table[3][left >> 24]
        sums, width = shifted ^ sums[:, 1::2], 2 * width
    return sums[:, 0]


def _as_written(rows: np.ndarray, sums: np.ndarray) -> bool:
    """Whether the rows of a contiguous array have these checksums, many rows taken together.

    That is twice as fast as row by row, and leaves the interpreter to other threads.
    """
    width = rows.shape[1] * rows.itemsize
    step = max(1, TOGETHER // width)
    whole = len(rows) // step * step
    expected = list(joined_checksums(sums[:whole].reshape(-1, step), width))
    if whole < len(rows):
        expected += list(joined_checksums(sums[None, whole:], width))
    parts = [rows[start : start + step] for start in range(0, len(rows), step)]
    if len(parts) < SIDE_BY_SIDE:
        found = [zlib.crc32(part.data) for part in parts]
    else:
        with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
            found = list(pool.map(lambda part: zlib.crc32(part.data), parts))
    return found == expected


def _read_layout(file: BinaryIO, path: Path) -> _Layout:
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version of npy")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if is_fortran or len(shape) != 2 or dtype.kind != "f":
            raise ValueError(f"{dtype} of shape {shape}")
    except (ValueError, SyntaxError, TokenError, TypeError, OverflowError) as error:
        raise DamagedError(f"{path} has no header of vectors ({error}): {AGAIN}") from None
    layout = _Layout(shape, dtype, file.tell())
    size = file.seek(0, os.SEEK_END)
    if size != layout.size:
        raise DamagedError(
            f"{path} has {size} bytes, {shape[0]} vectors of {shape[1]} and their checksums are "
            f"{layout.size}: {AGAIN}"
        )
    file.seek(0)
    header = zlib.crc32(file.read(layout.start))
    file.seek(size - SUM.itemsize)
    expected = int.from_bytes(file.read(), "little")
    if header != expected:
        raise DamagedError(
            f"{path} has a header of CRC-32 {header:08x}, {expected:08x} is expected: {AGAIN}"
        )
    return layout


class Rows:
    """Vectors (n, d) of a file, memory-mapped; each is compared with its checksum when it is read.

    Raises `DamagedError` where the file is not one of vectors and checksums of its size.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            layout = _read_layout(file, path)
        self.shape, self.dtype = layout.shape, layout.dtype
        if not len(self):
            self._rows, self._sums = np.empty(self.shape, self.dtype), np.empty(0, SUM)
            return
        self._rows = np.memmap(path, self.dtype, "r", layout.start, self.shape)
        self._sums = np.memmap(path, SUM, "r", layout.sums, (self.shape[0],))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, places: slice | np.ndarray) -> np.ndarray:
        """Rows in the file's type; raises `DamagedError` for one that is not what was written."""
        rows = np.ascontiguousarray(self._rows[places])
        if _as_written(rows, self._sums[places]):
            return rows
        wrong = np.flatnonzero(checksums(rows) != self._sums[places])
        if len(wrong):
            row = np.arange(len(self))[places][wrong[0]]
            raise DamagedError(
                f"{self.path}, row {row}: the vector has CRC-32 {zlib.crc32(rows[wrong[0]]):08x}, "
                f"{self._sums[row]:08x} is expected: {AGAIN}"
            )
        return rows


class RowWriter:
    """A file of vectors of this shape, written in any order; an existing one is gone on with.

    Its space is reserved when it is made. Raises `OSError`, with the bytes that are needed, where
    the disk has no room, and `DamagedError` for an existing file of another shape or type.
    """

    def __init__(self, path: Path, shape: tuple[int, int], dtype: str, *, anew: bool) -> None:
        self._path = path
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        self._file = path.open("w+b" if anew else "r+b")
        try:
            if anew:
                np.lib.format.write_array_header_1_0(self._file, header)
                self._file.flush()
                self._layout = _Layout(shape, np.dtype(dtype), self._file.tell())
                reserve(self._file.fileno(), path, self._layout.size)
                self._file.seek(0)
                total = zlib.crc32(self._file.read(self._layout.start))
                self._file.seek(-SUM.itemsize, os.SEEK_END)
                self._file.write(total.to_bytes(SUM.itemsize, "little"))
                self._file.flush()
            else:
                self._layout = _read_layout(self._file, path)
                if (self._layout.shape, self._layout.dtype) != (shape, np.dtype(dtype)):
                    raise DamagedError(
                        f"{path} has {self._layout.dtype} of shape {self._layout.shape}, {dtype} "
                        f"of {shape} is expected: {AGAIN}"
                    )
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, first: int, rows: np.ndarray) -> None:
        """Write rows from the `first` on."""
        layout = self._layout
        rows = np.ascontiguousarray(rows, layout.dtype)
        try:
            for start, width, part in (
                (layout.start, layout.width, rows),
                (layout.sums, SUM.itemsize, checksums(rows)),
            ):
                self._file.seek(start + first * width)
                self._file.write(part.tobytes())
            self._file.flush()
        except OSError as error:
            raise no_space(error, self._path, layout.size) from error

    def save(self) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(self._file.fileno())
