"""Fingerprints of the code, taken once for many starts of Snakemake.

Every start reads the Snakefile, each of a cluster's jobs too, and asks for some fifty fingerprints:
all the package parsed. They stand beside Python's own compiled files, under the digest of every
source of the package, and are taken anew after any edit.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import sys
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path

from tttnn import provenance


def sources(package: Path) -> str:
    """SHA-256 of the names and the bytes of all Python files of a package."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


class Fingerprints:
    """What `provenance.fingerprint` says of a package's modules, as long as its sources stay."""

    def __init__(self, package: Path) -> None:
        self._package = package
        self._file = Path(cache_from_source(str(package / "provenance.py"))).with_suffix(".json")
        self._sources = sources(package)
        self._known = self._read()
        self._is_new = False

    def _read(self) -> dict[str, str]:
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            return dict(kept["modules"]) if kept["sources"] == self._sources else {}
        except (OSError, ValueError, LookupError, TypeError):
            return {}  # none yet, or another's

    def __call__(self, module: str) -> str:
        """Raises `ValueError` for a name that is no module of the package."""
        if module not in self._known:
            self._known[module] = provenance.fingerprint(module, self._package)
            self._is_new = True
        return self._known[module]

    def keep(self) -> None:
        """Write what was taken, unless somebody edited the code meanwhile or wants no such files.

        Where the folder is not to be written to, the next start takes them again.
        """
        if not self._is_new or sys.dont_write_bytecode or sources(self._package) != self._sources:
            return
        kept = json.dumps({"sources": self._sources, "modules": self._known})
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(exist_ok=True)
            beside = self._file.with_suffix(f".{os.getpid()}")  # others may write theirs just now
            beside.write_text(kept, encoding="utf-8")
            beside.replace(self._file)
        self._is_new = False


@cache
def of_package() -> Fingerprints:
    """This package's own, kept when the process ends."""
    fingerprints = Fingerprints(provenance.PACKAGE)
    atexit.register(fingerprints.keep)
    return fingerprints
