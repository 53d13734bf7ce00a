"""A folder in the Pile's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tttnn.corpus.formats import CorpusError
from tttnn.corpus.layout import Fetched, check_fetched
from tttnn.pile import SUFFIXES
from tttnn.sections.source import DigestedSource, stem

LISTED = 20  # names in a message


class LocalSource(DigestedSource):
    """A folder in the Pile's layout: `train/NN.*`, `val.*`, `test.*`; digests by names below it."""

    kind: Literal["local"]
    path: str

    def files(self, shard: str) -> list[Path]:
        """The files that there are of a shard; there should be one."""
        paths = (Path(self.path) / name for name in self.file_names(shard))
        return [path for path in paths if path.is_file()]

    def input_file(self, shard: str) -> Path | None:
        found = self.files(shard)
        return found[0] if len(found) == 1 else None


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
    found = source.files(shard)
    names = [str(path.relative_to(source.path)) for path in found]
    if not found:
        wanted = ", ".join(stem(shard) + suffix for suffix in SUFFIXES)
        raise CorpusError(
            f"shard {shard}: none of {wanted} below {source.path}; "
            f"{_contents((Path(source.path) / stem(shard)).parent)}. "
            "Correct the source's path, or lower corpus.shards."
        )
    if len(found) > 1:
        raise CorpusError(
            f"shard {shard} is there more than once below {source.path}: {' and '.join(names)}. "
            "Keep one of them."
        )
    [path] = found
    remedy = "Copy the file again, or correct sha256 in the source."
    digest = check_fetched(path, str(path), remedy, source.sha256.get(names[0]))
    return Fetched(path, digest, {"file": str(path)})
