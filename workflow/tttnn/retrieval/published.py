"""Published vectors as they are: an `IndexFlatL2` that faiss wrote, memory-mapped in place.

Such a file is a header of 45 bytes and then all vectors, float32, little-endian, row after row
(faiss's `write_index`). faiss trusts what a header says of lengths, so it is
read here, and compared with the file's size before anything else is. A row has no checksum, and
the file is not ours to add any: SHA-256 of all of it, and of each 16 MiB, is taken once, when it is
adopted (`tttnn.retrieval.adopt`); whoever opens it compares its size, its header and the digests of
the first block, the last, and two that are drawn anew each time.
"""

from __future__ import annotations

import hashlib
import os
import random
import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from tttnn.digests import BLOCK, DamagedError

HEADER = struct.Struct("<4siqqqBiQ")
"""Type, dimension, rows, two that mean nothing, is it trained, metric, numbers that follow."""

L2 = 1  # faiss's number of squared Euclidean distance
OTHERS = {
    b"IxFI": "a flat index of inner products (IndexFlatIP)",
    b"IxFl": "a flat index of another metric",
}
DTYPE = np.dtype("<f4")
DRAWN = 2  # blocks beside the first and the last whose digests are compared at opening


class Header(NamedTuple):
    """What a file holds."""

    rows: int
    dimension: int

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return HEADER.size + self.rows * self.dimension * DTYPE.itemsize


def read_header(path: Path) -> Header:
    """The header of a published file, found to be that of an `IndexFlatL2` of the file's size.

    Raises `DamagedError` for a file that is cut or longer, and for any other type of index.
    """
    wanted = "an IndexFlatL2 of float32 is expected"
    if not path.is_file():
        raise DamagedError(f"{path} is missing: put it there, or correct embeddings.published")
    with path.open("rb") as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(HEADER.size)
    if start[:4] != b"IxF2":
        what = OTHERS.get(start[:4])
        if what is None and start[:2] in (b"Ix", b"Iw", b"IB"):
            what = f"an index of another type (faiss calls it {start[:4]!r})"
        raise DamagedError(
            f"{path} is {what or 'no index of faiss'}, {wanted}: take the paper's own files, or "
            "leave the embedder out of embeddings.published, and it is run"
        )
    if len(start) < HEADER.size:
        raise DamagedError(f"{path} ends within its header, after {size} bytes: copy it again")
    _, dimension, rows, _, _, is_trained, metric, numbers = HEADER.unpack(start)
    if metric != L2 or is_trained != 1:
        raise DamagedError(
            f"{path} has metric {metric} and is{'' if is_trained == 1 else ' not'} trained, "
            f"{wanted}: take the paper's own files"
        )
    if dimension < 1 or rows < 0 or numbers != rows * dimension:
        raise DamagedError(
            f"{path} says that it has {rows} vectors of {dimension} dimensions in {numbers} "
            "numbers, which cannot be: copy it again"
        )
    header = Header(rows, dimension)
    if size != header.size:
        fault = "it is cut" if size < header.size else "something follows them"
        raise DamagedError(
            f"{path} has {size} bytes, its {rows} vectors of {dimension} dimensions are "
            f"{header.size} ({fault}): copy it again"
        )
    return header


class PublishedRows:
    """Vectors (n, d) of a published file, memory-mapped: as `tttnn.retrieval.rows.Rows`.

    Row r is that of line `first` + r of the shard, counted from 0 through the lines that are not
    `skipped` (ascending).
    """

    def __init__(
        self, path: Path, header: Header, first: int, rows: int, skipped: Iterable[int] = ()
    ) -> None:
        self.path, self.shape, self.dtype = path, (rows, header.dimension), DTYPE
        skipped = np.array([*skipped], np.int64)
        self._first, self._before = first, skipped - np.arange(len(skipped))
        whole = (header.rows, header.dimension)
        self._all = np.memmap(path, DTYPE, "r", HEADER.size, whole) if header.rows else None

    def __len__(self) -> int:
        return self.shape[0]

    def lines(self, places: np.ndarray) -> np.ndarray:
        """The lines of the shard, from 0, that rows stand for."""
        rows = places + self._first
        return rows + np.searchsorted(self._before, rows, side="right")

    def __getitem__(self, places: slice | np.ndarray) -> np.ndarray:
        """Rows in the file's type: a copy, for behind the header numbers are not aligned."""
        if isinstance(places, slice):
            places = np.arange(*places.indices(len(self)))
        lines = self.lines(places)
        if self._all is None or not len(lines):
            return np.empty((len(lines), self.shape[1]), DTYPE)
        if np.all(np.diff(lines) == 1):
            return np.array(self._all[lines[0] : lines[-1] + 1])
        return np.array(self._all[lines])


def digests(path: Path) -> dict[str, Any]:
    """SHA-256 of a file and of each `BLOCK` bytes of it, read once: for `check_opened`."""
    whole, blocks = hashlib.sha256(), []
    progress = tqdm(
        total=path.stat().st_size, unit="B", unit_scale=True, desc="digest", mininterval=5, delay=5
    )
    with path.open("rb") as file, ThreadPoolExecutor(1) as beside, progress:
        while block := file.read(BLOCK):
            own = beside.submit(hashlib.sha256, block)
            whole.update(block)
            blocks.append(own.result().hexdigest())
            progress.update(len(block))
        return {"bytes": file.tell(), "sha256": whole.hexdigest(), "blocks": blocks}


def check_opened(path: Path, said: dict[str, Any], remedy: str) -> Header:
    """The header of a file that is of the size, and in some blocks of the digests, of before.

    Of the first block, the last and `DRAWN` others. Raises `DamagedError`.
    """
    header = read_header(path)
    if header.size != said["bytes"]:
        raise DamagedError(
            f"{path} has {header.size} bytes, {said['bytes']} when it was adopted: {remedy}"
        )
    blocks = range(len(said["blocks"]))
    drawn = random.SystemRandom().sample(blocks, min(DRAWN, len(blocks)))
    with path.open("rb") as file:
        for number in sorted({0, blocks[-1], *drawn}):
            file.seek(number * BLOCK)
            got = hashlib.sha256(file.read(BLOCK)).hexdigest()
            if got != said["blocks"][number]:
                raise DamagedError(
                    f"{path} has SHA-256 {got} in the 16 MiB from byte {number * BLOCK}, and had "
                    f"{said['blocks'][number]} when it was adopted: {remedy}"
                )
    return header
