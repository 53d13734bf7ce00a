"""A folder in the Pile's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tttnn.corpus.formats import TEXT, CorpusError, first_bytes, kind_of, other_form
from tttnn.corpus.layout import Fetched, check_fetched
from tttnn.pile import SUFFIXES
from tttnn.sections.source import DigestedSource, stem

LISTED = 20  # names in a message


class LocalSource(DigestedSource):
    """A folder in the Pile's layout: `train/NN.*`, `val.*`, `test.*`; digests by names below it."""

    kind: Literal["local"]
    path: str  # of the folder; relative ones start where Snakemake runs

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


def _is_near(entry: Path, name: str) -> bool:
    """Whether an entry is the shard's by its name: `00`, `00.json`, `00.jsonl.gz`."""
    return entry.name == name or entry.name.startswith(f"{name}.")


def _remedy(path: Path) -> str:
    """What to do with a shard's entry that is not one of the files read."""
    right = next((end for end in SUFFIXES if path.name.endswith(end)), None)
    if path.is_symlink() and not path.exists():
        annex = " (`git annex get`)" if "/annex/objects/" in str(path.readlink()) else ""
        return f"{path} is a link to {path.readlink()}, which does not exist: repair it{annex}"
    if path.is_dir():
        return f"{path} is a folder: the shard must be one file, in its place"
    if not path.is_file() or right:
        return f"{path} is no file that can be read: put the shard's file in its place"
    first = first_bytes(path)
    if form := other_form(first):
        return f"{path} is not read. {form}"
    kind = kind_of(first)
    if kind in (None, TEXT):
        return f"{path} is not read: rename or convert it to one of these"
    return f"{path} is {kind.name}: {kind.remedy}"


def fetch(source: LocalSource, shard: str, shards: int, partial: Path) -> Fetched:
    """The shard's file, where it is.

    Raises `CorpusError` if there is none, more than one, or its digest is not the configured one.
    """
    found = source.files(shard)
    names = [str(path.relative_to(source.path)) for path in found]
    if not found:
        wanted = ", ".join(source.file_names(shard))
        place = Path(source.path) / stem(shard)
        entries = sorted(place.parent.iterdir()) if place.parent.is_dir() else []
        near = [_remedy(entry) for entry in entries if _is_near(entry, place.name)]
        remedy = "; ".join(near) or "Correct the source's path, or lower corpus.shards"
        raise CorpusError(
            f"shard {shard}: none of {wanted} below {source.path}; "
            f"{_contents(place.parent)}. {remedy}."
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
