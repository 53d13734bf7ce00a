"""An index over all shards: their files and the training in one folder, and what they are.

The files are the shards' own under another name, so that nothing is on the disk twice, and their
codes are mapped where faiss can, so that nothing is read into memory (see `together` of the types'
engines).
"""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import faiss
import numpy as np

from tttnn.digests import (
    BLOCK,
    DamagedError,
    block_digests,
    check_blocks,
    read_record,
    write_record,
)
from tttnn.files import name_within, replacing
from tttnn.retrieval.faiss_files import check_guards, sealed_digest
from tttnn.sections.kinds import INDEXES, engine

MANIFEST = "manifest.json"
TRAINED = "trained.faiss"
LOOKED_AT = 256  # blocks of a file, of 16 MiB each, that are compared when it is opened


def engine_of(kind: str) -> ModuleType:
    """The module of a type of index (see `tttnn.retrieval.index`)."""
    return importlib.import_module(engine(INDEXES, kind))


def _link(path: Path, folder: Path) -> Path:
    try:
        os.link(path, folder / path.name)
    except OSError:  # another file system, or one without links
        shutil.copyfile(path, folder / path.name)
    return folder / path.name


def write_merged(
    output: Path, said: dict[str, Any], trained: Path, shards: list[Path], threads: int
) -> None:
    """Make the folder of the training and the shards' files.

    Its manifest has `said`, and of each file its size, its SHA-256 as its seal has it, and that of
    each of its blocks (`tttnn.digests.BLOCK`).
    """
    with replacing(output, directory=True) as beside:
        files = [_link(path, beside) for path in (trained, *shards)]
        parts = {
            file.name: {
                "bytes": file.stat().st_size,
                "sha256": sealed_digest(file),
                "blocks": block_digests(file, threads),
            }
            for file in files
        }
        names = [path.name for path in shards]
        write_record(beside / MANIFEST, said | {"shards": names, "parts": parts})


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a merged index is; raises `DamagedError`."""
    remedy = f"remove {folder} and run again"
    if not (folder / MANIFEST).is_file():
        raise DamagedError(f"{folder} has no {MANIFEST}: {remedy}")
    return read_record(folder / MANIFEST, remedy)


def _check_part(file: Path, part: dict[str, Any], threads: int, remedy: str) -> None:
    """Compare a file with its manifest: all blocks, or of more than `LOOKED_AT` so many.

    These are drawn by the file's digest, always the same.
    """
    if len(part["blocks"]) <= LOOKED_AT:
        check_blocks(file, part["bytes"], part["blocks"], threads, remedy)
        return
    found = file.stat().st_size if file.is_file() else None
    if found != part["bytes"]:
        raise DamagedError(f"{file} has {found} bytes, its manifest says {part['bytes']}: {remedy}")
    drawn = random.Random(part["sha256"]).sample(range(len(part["blocks"])), LOOKED_AT)
    with file.open("rb") as opened:
        for number in sorted(drawn):
            opened.seek(number * BLOCK)
            got = hashlib.sha256(opened.read(BLOCK)).hexdigest()
            if got != part["blocks"][number]:
                raise DamagedError(
                    f"{file} has SHA-256 {got} from byte {number * BLOCK}, its manifest expects "
                    f"{part['blocks'][number]}: {remedy}"
                )


class MergedIndex:
    """A merged index, open for searching.

    Before faiss reads a byte, what it is is compared with `expected`
    (`tttnn.retrieval.faiss_files.guards`), all files' sizes with the manifest, and their blocks:
    all of them, or 256 drawn of a file of more than 4 GiB, whose whole SHA-256 was taken when it
    was written.

    Raises `DamagedError` if the folder is not what its manifest says, or another index.
    """

    def __init__(self, folder: Path, expected: dict[str, Any]) -> None:
        remedy = f"remove {folder} and run again"
        manifest = read_manifest(folder)
        check_guards(folder / MANIFEST, manifest, expected, remedy)
        threads = faiss.omp_get_max_threads()
        files = {n: name_within(folder, n, folder / MANIFEST) for n in manifest["parts"]}
        for name, part in manifest["parts"].items():
            _check_part(files[name], part, threads, remedy)
        self._trained = files[TRAINED]
        self._shards = [files[name] for name in manifest["shards"]]
        self.engine = engine_of(manifest["kind"])
        self.factory: str = manifest["factory"]
        self.share: float = manifest["share"]
        self.dimension: int = manifest["dimension"]
        self.rows: int = manifest["rows"]

    def index(self) -> faiss.Index:
        """All shards as one index."""
        return self.engine.together(self._trained, self._shards)

    def list_sizes(self) -> np.ndarray | None:
        """How many vectors each list has, int64; None for a type of index without lists."""
        sizes = [self.engine.list_sizes(self.engine.opened(file)) for file in self._shards]
        return None if any(each is None for each in sizes) else np.sum(sizes, axis=0)
