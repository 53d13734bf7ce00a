"""Fixtures that several layers of tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Tests must not reach a model hub, and small models are quickest on one thread.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout, or the one TTTNN_SHARED names."""
    folder = Path(os.environ.get("TTTNN_SHARED", ROOT.parent / "shared"))
    if not (folder / "fidelity").is_dir():
        pytest.skip(f"reference data not found in {folder}: set TTTNN_SHARED to their folder")
    return folder
