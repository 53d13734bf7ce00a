"""A real SLURM cluster of one node, and the small demo run through it and without it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from remote import DEMO, RemoteCheckout

CLUSTER = Path(__file__).with_name("cluster")


@pytest.fixture(scope="session")
def cluster():
    """SLURM on this machine; skipped, with the reason, where that cannot be."""
    up = shutil.which("scontrol") and subprocess.run(["scontrol", "ping"]).returncode == 0
    started = subprocess.run([str(CLUSTER), "start"], capture_output=True, text=True)
    if started.returncode == 3:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    yield
    if not up:
        subprocess.run([str(CLUSTER), "stop"], check=True)


@pytest.fixture(scope="session")
def runs(cluster, tmp_path_factory) -> tuple[RemoteCheckout, RemoteCheckout, str]:
    """The small demo from fresh checkouts: through SLURM, locally; and what the first printed."""
    remote, local = (
        RemoteCheckout.fresh(tmp_path_factory.mktemp(name)) for name in ("slurm", "local")
    )
    processes = (
        remote.submit("--configfile", DEMO),
        local.start("--cores", "2", "--configfile", DEMO),
    )
    local.finish(processes[1])
    return remote, local, remote.finish(processes[0])


@pytest.fixture(scope="module")
def copy(runs, tmp_path_factory) -> RemoteCheckout:
    """A copy of the run that went through SLURM, to change."""
    return runs[0].copy(tmp_path_factory.mktemp("copy") / "run")
