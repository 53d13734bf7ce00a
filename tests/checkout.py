"""A throw-away checkout of the workflow, and Snakemake in it."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")

# A third of a dry run is Snakemake's imports: a process that has done them is copied for each.
STARTED = multiprocessing.get_context("forkserver")
STARTED.set_forkserver_preload(["snakemake.cli", "smart_open"])


def _snakemake(
    folder: Path, environment: dict[str, str], output: str, arguments: list[str]
) -> None:
    """Be Snakemake's command in a folder; it prints to a file."""
    from snakemake.cli import main

    installed = (sys.prefix, sys.base_prefix)  # and not the tests and the package of this checkout
    sys.path[:] = [path for path in sys.path if path.startswith(installed)]
    sys.argv = [str(SNAKEMAKE), *arguments]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with Path(output).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    main()


def write_overlay(path: Path, **values: object) -> Path:
    """Write an overlay; JSON is YAML."""
    path.write_text(json.dumps(values))
    return path


class Checkout:
    """A folder with a copy of the workflow's files, in which Snakemake can be run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def fresh(cls, folder: Path) -> Self:
        """Without results."""
        for name in ("workflow", "rules", "envs", "config", "slurm", "config.yaml"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name)  # with what Python has compiled
            elif source.exists():
                shutil.copyfile(source, folder / name)
        return cls(folder)

    def copy(self, folder: Path) -> Self:
        """Another one with the same files and results, times included."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return type(self)(folder)

    def files(self) -> dict[str, tuple[int, int]]:
        """Size and time of every file that Snakemake and Python do not keep for themselves."""
        names = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        stats = {
            str(name): (self.folder / name).stat()
            for name in names
            if not {".snakemake", "__pycache__"} & set(name.parts)
        }
        return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}

    def snakemake(self, *arguments: str, ok: bool = True) -> str:
        """Run Snakemake; what it printed."""
        environment = os.environ | {"PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}"}
        options = ["--cores", "2", "--nocolor", *arguments]
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
            process = STARTED.Process(
                target=_snakemake, args=(self.folder, dict(environment), output.name, options)
            )
            process.start()
            process.join()
            printed = output.read()
        assert (process.exitcode == 0) == ok, printed[-4000:]
        return printed

    def tttnn(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the package's; errors are in its output."""
        return subprocess.run(
            [sys.executable, "-m", "tttnn", *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder / "workflow")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
        )

    def plan(self, *arguments: str) -> Counter[str]:
        """How many jobs of each rule a dry run says would run."""
        printed = self.snakemake("--quiet", "rules", "--dry-run", *arguments)
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total ", printed, re.M | re.S)
        if table is None:
            assert "Nothing to be done" in printed, printed
            return Counter()
        rows = (line.split() for line in table[1].splitlines())
        return Counter({name: int(count) for name, count in rows if name != "all"})

    def configure(self, name: str, **values: object) -> Path:
        """Write an overlay into the checkout."""
        return write_overlay(self.folder / f"{name}.yaml", **values)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a piece of a file that must be there."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
