"""Fixtures that several layers of tests share."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

# Tests must not reach a model hub, and small models are quickest on one thread.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


NO_REFERENCE_DATA = "no reference data in"


@pytest.fixture(scope="session", autouse=True)
def _without_waiting_for_the_disk() -> Iterator[None]:
    """No test cuts the power, and to wait for the disk at every file takes longer than tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout, or the one TTTNN_SHARED names.

    It holds what may not be passed on, or is others' to pass on: text of the Pile's kinds, the
    authors' result files, a published model.
    """
    folder = Path(os.environ.get("TTTNN_SHARED", ROOT.parent / "shared"))
    if not (folder / "fidelity").is_dir():
        pytest.skip(f"{NO_REFERENCE_DATA} {folder}: set TTTNN_SHARED to their folder")
    return folder


# The longest first: a process that takes one of them last would leave the others idle.
LONGEST = ("slurm", "workflow", "unit/test_damage.py")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are numbered: those of gzip hold the second, and each process must find one name."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(tuple(f"tests/{n}" for n in LONGEST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests of a file run in one process, for they share what it makes; those on SLURM too.

    What pytest-xdist has for that, `--dist loadgroup`, sees no group in names of pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/slurm" if file.startswith("tests/slurm/") else file

    return ByFile(config, log)


def count_layers(reports: Iterable[pytest.TestReport]) -> Counter[str]:
    """How many tests of each folder of tests/ ran or were skipped."""
    tests = {report.nodeid for report in reports if report.nodeid.startswith("tests/")}
    return Counter(name.split("/")[1] for name in tests)


def without_reference_data(skipped: list[pytest.TestReport]) -> Counter[str]:
    """How many tests of each file the `shared` fixture skipped."""
    return Counter(
        report.nodeid.partition("::")[0]
        for report in skipped
        if isinstance(report.longrepr, tuple) and NO_REFERENCE_DATA in report.longrepr[2]
    )


def pytest_terminal_summary(terminalreporter) -> None:
    if missed := without_reference_data(terminalreporter.stats.get("skipped", [])):
        terminalreporter.section("tests that need reference data (CONTRIBUTING.md)")
        terminalreporter.write_line(
            f"{missed.total()} were skipped: they compare with text, results and a model that this "
            "repository may not pass on. TTTNN_SHARED names the folder that holds them."
        )
        for file, count in sorted(missed.items()):
            terminalreporter.write_line(f"  {count} of {file}")
    stats = terminalreporter.stats
    layers = count_layers(
        report
        for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
        for report in stats.get(outcome, [])
    )
    terminalreporter.write_line(
        "tests by layer: " + ", ".join(f"{name} {count}" for name, count in sorted(layers.items()))
    )
