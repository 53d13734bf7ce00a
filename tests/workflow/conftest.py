"""Checkouts of the workflow: fresh, and with a finished run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from checkout import Checkout, write_overlay

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
    return Checkout.fresh(tmp_path / "checkout")


@pytest.fixture
def tiny(checkout: Checkout) -> Checkout:
    """A fresh checkout with the tiny run's configuration, `tiny.yaml`."""
    checkout.configure("tiny", **TINY)
    return checkout


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout in which the tiny run is finished; an error if it is not as it was at the end.

    It is run once, by whichever of the tests' processes comes first, and each has a copy.
    """
    base = tmp_path_factory.getbasetemp()
    run = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "run"
    done = run.with_suffix(".done")
    with FileLock(run.with_suffix(".lock")):
        if not done.exists():
            first = Checkout.fresh(run)
            first.configure("tiny", **TINY)
            first.snakemake("--configfile", "tiny.yaml")
            done.touch()
        checkout = Checkout(run).copy(base / "finished")
    before = checkout.files()
    yield checkout
    assert checkout.files() == before


@pytest.fixture
def overlay(tmp_path: Path) -> Callable[..., str]:
    """Write an overlay beside checkouts, and not into them; its path."""
    return lambda **values: str(write_overlay(tmp_path / "overlay.yaml", **values))


@pytest.fixture
def copy(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished run, times included, to edit."""
    return finished.copy(tmp_path / "copy")
