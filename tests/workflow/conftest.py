"""A throw-away checkout of the workflow, and Snakemake in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")

# Every rule of the workflow, on as little as each can do.
TINY = {
    "run": "tiny",
    "corpus": {"shards": 2},
    "sources": {"demo": {"train_documents": 110, "val_documents": 44, "test_documents": 88}},
    "models": {
        "embedder": {"documents": 100, "steps": 4, "warmup_steps": 1, "vocabulary": 300},
        "small": {"documents": 100, "steps": 4, "warmup_steps": 1, "vocabulary": 300},
    },
    "indexes": {"ivf": {"factory": "IVF4,Flat", "nprobe": 4}},
    "search": {"candidates": 6, "recall_at": [1, 5]},
    "gather": {"depth": 3},
    "select": {"count": 2},
    "methods": {
        "ttt": {"num_neighbors": 2, "evaluate_at": [0, 2]},
        "random": {"num_neighbors": 2, "evaluate_at": [0, 2]},
    },
    "evaluate": {"models": ["small"], "tasks": ["pile_github", "pile_arxiv", "pile_enron"]},
    "score": {"resamples": 50},
    "figures": ["before_after", "recall"],
}


class Checkout:
    """A copy of the workflow's files in which Snakemake can be run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("workflow", "rules", "envs", "config", "slurm", "config.yaml"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copyfile(source, folder / name)

    def snakemake(self, *arguments: str, ok: bool = True) -> str:
        """Run Snakemake; what it printed."""
        done = subprocess.run(
            [str(SNAKEMAKE), "--cores", "2", "--nocolor", *arguments],
            cwd=self.folder,
            env=os.environ | {"PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ok:
            assert done.returncode == 0, done.stdout[-4000:]
        else:
            assert done.returncode != 0, done.stdout[-4000:]
        return done.stdout

    def plan(self, *arguments: str) -> Counter[str]:
        """How many jobs of each rule a dry run says would run."""
        printed = self.snakemake("--dry-run", "--quiet", "rules", *arguments)
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total ", printed, re.M | re.S)
        if table is None:
            assert "Nothing to be done" in printed, printed
            return Counter()
        rows = (line.split() for line in table[1].splitlines())
        return Counter({name: int(count) for name, count in rows if name != "all"})

    def configure(self, name: str, **values: object) -> Path:
        """Write an overlay; JSON is YAML."""
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(values))
        return path

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a piece of a file that must be there."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh checkout without results."""
    return Checkout(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the tiny run is finished. Tests must leave it as they found it."""
    checkout = Checkout(tmp_path_factory.mktemp("finished"))
    checkout.configure("tiny", **TINY)
    checkout.snakemake("--configfile", "tiny.yaml")
    return checkout


@pytest.fixture
def copy(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished run, times included, to edit."""
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    checkout = object.__new__(Checkout)
    checkout.folder = tmp_path / "copy"
    return checkout
