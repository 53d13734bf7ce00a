"""Digests of what outlives the job that wrote it, compared by whoever reads it.

A flipped bit, a block of zeros, a file of another run: each ends in one line with the file, what
was expected and the remedy, before anything is made from it. Where a format has no place for a
digest of its own, one of these is used:

- a record, JSON, holds a digest of its other values (`write_record`);
- a file that may be followed by anything, as faiss's may, ends in a seal (`seal`);
- a file that others describe, in a manifest, has its SHA-256 there, or those of its blocks.

Tables have theirs in `tttnn.tables`, rows of vectors in `tttnn.retrieval.rows`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from tttnn.files import name_within, sha256, write_json

AGAIN = "remove it and run again"
KEY = "record_sha256"
BLOCK = 1 << 24  # bytes that have a digest of their own in a manifest of blocks
THREADS = 8  # at most, each of which holds a block
MAGIC = b"tttnn.seal"
SHA256_BYTES = hashlib.sha256().digest_size


class DamagedError(ValueError):
    """A file is not what was written; the message names it, what was expected and the remedy."""


def check_file(path: Path, expected: str, said_by: object, remedy: str = AGAIN) -> None:
    """Compare a file's SHA-256 with the one that `said_by` has; raises `DamagedError`."""
    got = sha256(path)
    if got != expected:
        raise DamagedError(f"{path} has SHA-256 {got}, {said_by} expects {expected}: {remedy}")


def check_model(folder: Path, names: Iterable[str] | None = None) -> None:
    """Compare a model folder's files, all or those that `names` names, with its manifest.

    Raises `DamagedError`, also for a file that is missing or that the manifest does not list.
    """
    manifest = folder / "manifest.json"
    remedy = f"remove {folder} and run again"
    try:
        listed = json.loads(manifest.read_bytes())["files"]
        digests = {str(name): str(digest) for name, digest in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{manifest} has no list of digests ({error!r}): {remedy}") from None
    for name in digests if names is None else names:
        if name not in digests:
            raise DamagedError(f"{manifest} lists no {name}: {remedy}")
        file = name_within(folder, name, manifest)
        if not file.is_file():
            raise DamagedError(f"{folder} lacks {name}, which its manifest lists: {remedy}")
        check_file(file, digests[name], "its manifest", remedy)


# --- records ---------------------------------------------------------------------------------


def _record_digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_record(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON object and, under `record_sha256`, the digest of its values."""
    values = json.loads(json.dumps(values, allow_nan=False))  # as they will be read
    write_json(path, values | {KEY: _record_digest(values)})


def read_record(path: Path, remedy: str = AGAIN) -> dict[str, Any]:
    """The values that `write_record` wrote; raises `DamagedError` for any others."""
    try:
        values = json.loads(path.read_bytes())
        expected = values.pop(KEY)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(
            f"{path} is not a JSON object with its digest under {KEY} ({error!r}): {remedy}"
        ) from None
    got = _record_digest(values)
    if got != expected:
        raise DamagedError(f"{path} has values of SHA-256 {got}, and expects {expected}: {remedy}")
    return values


# --- a seal at the end -----------------------------------------------------------------------


def place(path: Path) -> bytes:
    """What a file is of, by its name and those of the two folders it is in: index, task, shard.

    Digests begin with it, so that a whole file in another one's place is noticed as a damaged one
    is. The run's folder is no part of it: results may be moved.
    """
    return "/".join(path.absolute().parts[-3:]).encode() + b"\n"


def update(digest: Any, file: BinaryIO, count: int) -> None:
    """Feed the next `count` bytes of a file to a digest of hashlib."""
    while count > 0:
        block = file.read(min(count, 1 << 20))
        if not block:
            raise EOFError
        digest.update(block)
        count -= len(block)


def seal(path: Path, said: dict[str, Any], final: Path) -> None:
    """Write `said` and a digest of all that is before it behind the end of a file.

    For formats whose readers do not look behind their own end. `final` is the file's path to be.
    """
    told = json.dumps(said, allow_nan=False).encode()
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        told += len(told).to_bytes(4, "little")
        file.write(told)
        file.seek(0)
        digest = hashlib.sha256(place(final))
        update(digest, file, size + len(told))
        file.seek(0, os.SEEK_END)
        file.write(digest.digest() + MAGIC)


def check_seal(path: Path, remedy: str = AGAIN) -> dict[str, Any]:
    """Compare a sealed file with its digest; what its seal says. Raises `DamagedError`."""
    tail = SHA256_BYTES + len(MAGIC)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) - tail
        if size >= 4:
            file.seek(size)
            expected, magic = file.read(SHA256_BYTES), file.read()
        if size < 4 or magic != MAGIC:
            raise DamagedError(f"{path} does not end in its digest: {remedy}")
        file.seek(0)
        digest = hashlib.sha256(place(path))
        update(digest, file, size)
        if digest.digest() != expected:
            raise DamagedError(
                f"{path} has SHA-256 {digest.hexdigest()}, its end expects {expected.hex()} (it is "
                f"damaged, or of another place): {remedy}"
            )
        file.seek(size - 4)
        length = int.from_bytes(file.read(4), "little")
        file.seek(size - 4 - length)
        return json.loads(file.read(length))


# --- blocks ----------------------------------------------------------------------------------


def block_digests(path: Path, threads: int) -> list[str]:
    """SHA-256 of each `BLOCK` bytes of a file, by up to `THREADS` threads side by side."""

    def of_block(start: int) -> str:
        return hashlib.sha256(os.pread(descriptor, BLOCK, start)).hexdigest()

    descriptor = os.open(path, os.O_RDONLY)
    try:
        with ThreadPoolExecutor(min(threads, THREADS)) as pool:
            return list(pool.map(of_block, range(0, os.fstat(descriptor).st_size, BLOCK)))
    finally:
        os.close(descriptor)


def check_blocks(path: Path, size: int, expected: list[str], threads: int, remedy: str) -> None:
    """Compare a file's size and blocks with a manifest's; raises `DamagedError`."""
    found = path.stat().st_size if path.is_file() else None
    if found != size:
        raise DamagedError(f"{path} has {found} bytes, its manifest says {size}: {remedy}")
    for number, (got, wanted) in enumerate(
        zip(block_digests(path, threads), expected, strict=True)
    ):
        if got != wanted:
            raise DamagedError(
                f"{path} has SHA-256 {got} from byte {number * BLOCK}, its manifest expects "
                f"{wanted}: {remedy}"
            )
