"""A folder in the Pile's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tttnn.corpus.documents import CorpusError
from tttnn.corpus.layout import Fetched, check_sha256
from tttnn.pile import SUFFIXES
from tttnn.sections.source import DigestedSource, stem

LISTED = 20  # names in a message


class LocalSource(DigestedSource):
    """A folder in the Pile's layout: `train/NN.*`, `val.*`, `test.*`; digests by names below it."""

    kind: Literal["local"]
    path: str


def _contents(folder: Path) -> str:
    if not folder.is_dir():
        return f"the folder {folder.resolve()} does not exist"
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{folder.resolve()} holds {', '.join(names[:LISTED]) or 'nothing'}{more}"


def fetch(source: LocalSource, shard: str, shards: int, partial: Path) -> Fetched:
    """The shard's file, where it is.

    Raises `CorpusError` if there is none, more than one, or its digest is not the configured one.
    """
    names = [stem(shard) + suffix for suffix in SUFFIXES]
    found = [name for name in names if (Path(source.path) / name).is_file()]
    if not found:
        raise CorpusError(
            f"shard {shard}: none of {', '.join(names)} below {source.path}; "
            f"{_contents((Path(source.path) / names[0]).parent)}. "
            "Correct the source's path, or lower corpus.shards."
        )
    if len(found) > 1:
        raise CorpusError(
            f"shard {shard} is there more than once below {source.path}: {' and '.join(found)}. "
            "Keep one of them."
        )
    path = Path(source.path) / found[0]
    remedy = "Copy the file again, or correct sha256 in the source."
    digest = check_sha256(path, str(path), remedy, source.sha256.get(found[0]))
    return Fetched(path, digest, {"file": str(path)})
