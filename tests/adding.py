"""One of each kind that can be added, laid over a copy of the package; and what that costs.

`python tests/adding.py` prints the table of docs/design.md.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "tests/additions"
ADDITIONS = ("selection", "method", "source", "index", "figure")
AFTER = '"""By name, in the order of the report."""'


class Cost(NamedTuple):
    """Lines of code written, files written or edited, and fingerprints of others that change."""

    lines: int
    files: int
    changed: list[str]


def _sources(addition: str) -> list[Path]:
    return sorted((EXAMPLES / addition).rglob("*.py"))


def add(addition: str, package: Path) -> None:
    """Lay the files over a copy of the package; a figure's entry is put at the end of the list."""
    for source in _sources(addition):
        target = package / source.relative_to(EXAMPLES / addition)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    if (entry := EXAMPLES / addition / "entry.txt").is_file():
        path = package / "config/figures.py"
        before, mark, after = path.read_text(encoding="utf-8").partition(f"}}\n{AFTER}")
        assert mark, "the list of figures has moved"
        path.write_text(before + entry.read_text(encoding="utf-8") + mark + after, encoding="utf-8")


def fingerprints(package: Path) -> dict[str, str]:
    """Of every stage, and of every kind that a stage loads by name."""
    from tttnn.config.figures import FIGURES
    from tttnn.provenance import fingerprint
    from tttnn.sections.kinds import INDEXES, METHODS, SELECTIONS, SOURCES, engine, kinds
    from tttnn.stages import MODULES

    modules = dict(MODULES)
    for where in (INDEXES, METHODS, SELECTIONS, SOURCES):
        modules |= {f"{where} {kind}": engine(where, kind) for kind in kinds(where)}
    modules |= {f"figure {n}": f"tttnn.figures.{figure.module}" for n, figure in FIGURES.items()}
    return {name: fingerprint(module, package) for name, module in modules.items()}


def _lines(path: Path) -> int:
    """Lines that are not blank."""
    return sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())


def cost(addition: str, folder: Path) -> Cost:
    """Of an addition to a copy of the package in `folder`, its entry in a configuration included.

    The entry of a figure stands in the package, all others in an overlay.
    """
    ignored = shutil.ignore_patterns("__pycache__")
    package = Path(shutil.copytree(ROOT / "workflow/tttnn", folder / "tttnn", ignore=ignored))
    before = fingerprints(package)
    add(addition, package)
    fingerprint_cache_clear()
    after = fingerprints(package)
    written = [*_sources(addition), *(EXAMPLES / addition).glob("entry.*")]
    changed = [name for name in before if before[name] != after[name]]
    return Cost(sum(map(_lines, written)), len(written), changed)


def fingerprint_cache_clear() -> None:
    """Files were edited: forget what was read."""
    from tttnn import provenance

    provenance._read.cache_clear()
    provenance.fingerprint.cache_clear()


def main() -> None:
    print("| adding | lines | files | fingerprints of others that change |\n|---|---|---|---|")
    for addition in ADDITIONS:
        with tempfile.TemporaryDirectory() as folder:
            found = cost(addition, Path(folder))
        changed = ", ".join(found.changed) or "0"
        print(f"| {addition} | {found.lines} | {found.files} | {changed} |")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "workflow"))
    main()
