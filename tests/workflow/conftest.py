"""Checkouts of the workflow: fresh, and with a finished run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from checkout import Checkout

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
    "selections": {"sift": {"picks": 2}},
    "methods": {
        name: {"num_neighbors": 2, "evaluate_at": [0, 2]}
        for name in ("ttt", "in_context", "interpolate", "knn_lm")
    },
    "evaluate": {
        "models": ["small"],
        "tasks": ["pile_github", "pile_arxiv", "pile_enron"],
        "ablations": {
            "methods": ["random", "interpolate", "dynamic", "sift"],
            "tasks": ["pile_github"],
        },
    },
    "score": {"resamples": 50},
    "figures": ["before_after", "recall"],
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh checkout without results."""
    return Checkout(tmp_path)


@pytest.fixture
def tiny(checkout: Checkout) -> Checkout:
    """A fresh checkout with the tiny run's configuration, `tiny.yaml`."""
    checkout.configure("tiny", **TINY)
    return checkout


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
