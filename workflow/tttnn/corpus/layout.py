"""What sources give, and the checks of a shard's digests: when it comes, and when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tttnn.corpus.formats import CorpusError, check_kind
from tttnn.digests import check_file, read_record
from tttnn.files import sha256


def manifest_of(documents: Path) -> Path:
    """Where the manifest of a shard of the run is: beside its `.jsonl.zst`."""
    return documents.with_name(f"{documents.name.removesuffix('.jsonl.zst')}.json")


def check_shard(documents: Path, manifest: Path) -> dict[str, Any]:
    """The shard's manifest, if it is undamaged and its documents are; else `DamagedError`."""
    values = read_record(manifest)
    check_file(documents, values["sha256"], manifest, "remove both and run again")
    return values


class Fetched(NamedTuple):
    """A shard's file on this machine, its digest checked."""

    path: Path
    sha256: str
    origin: dict[str, str]  # where it came from, for the manifest and for messages
    temporary: bool = False  # whether the file may be moved away
    version: dict[str, Any] | None = None  # what tells a changed file from this one


def check_fetched(path: Path, what: str, remedy: str, *expected: str | None) -> str:
    """The SHA-256 of a corpus file.

    Raises `CorpusError` if the file is not what its name says, or if its digest is not every
    expected one that is given.
    """
    check_kind(path)
    got = sha256(path)
    for digest in expected:
        if digest is not None and digest.lower() != got:
            raise CorpusError(
                f"{what} has the wrong content: "
                f"SHA-256 expected {digest.lower()}, got {got}. {remedy}"
            )
    return got
