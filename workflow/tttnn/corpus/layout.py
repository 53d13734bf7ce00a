"""What sources give, and the check of a file's digest."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tttnn.corpus.documents import CorpusError
from tttnn.files import sha256


class Fetched(NamedTuple):
    """A shard's file on this machine, its digest checked."""

    path: Path
    sha256: str
    origin: dict[str, str]  # where it came from, for the manifest and for messages
    temporary: bool = False  # whether the file may be moved away


def check_sha256(path: Path, what: str, remedy: str, *expected: str | None) -> str:
    """The file's SHA-256; raises `CorpusError` unless it is every expected one that is given."""
    got = sha256(path)
    for digest in expected:
        if digest is not None and digest.lower() != got:
            raise CorpusError(
                f"{what} has the wrong content: "
                f"SHA-256 expected {digest.lower()}, got {got}. {remedy}"
            )
    return got
