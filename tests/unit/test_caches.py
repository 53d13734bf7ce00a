"""Without a home folder, libraries keep what they keep in the project's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tttnn import caches

WORKFLOW = Path(__file__).parents[2] / "workflow"
NAMES = ("XDG_CACHE_HOME", "MPLCONFIGDIR")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing is said about caches; the working directory is a project's."""
    for name in NAMES:
        monkeypatch.setenv(name, "")  # to be put back
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_a_home_that_can_be_written_to_is_used(environment, tmp_path):
    environment.setenv("HOME", str(tmp_path))
    caches.settle()
    assert not list(tmp_path.iterdir())  # the trial leaves nothing
    assert not [name for name in NAMES if name in os.environ]


@pytest.mark.parametrize("home", ["missing", "a file", "a home whose .cache is a file", "/proc"])
def test_another_home_is_not(environment, tmp_path, home):
    folder = tmp_path / "home"
    if home == "a file":
        folder.touch()
    elif home == "/proc":  # is there, and nothing can be made in it, by root either
        folder = Path(home)
    elif home != "missing":
        folder.mkdir()
        (folder / ".cache").touch()
    environment.setenv("HOME", str(folder))
    caches.settle()
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / ".cache")
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / ".cache/matplotlib")


def test_what_the_environment_says_stays(environment, tmp_path):
    environment.setenv("HOME", "/dev/null")
    environment.setenv("XDG_CACHE_HOME", "/elsewhere")
    caches.settle()
    assert os.environ["XDG_CACHE_HOME"] == "/elsewhere"
    assert os.environ["MPLCONFIGDIR"] == "/elsewhere/matplotlib"


@pytest.mark.parametrize("home", ["/dev/null", "/proc", "missing"])
def test_commands_work_without_a_home(environment, tmp_path, home):
    """The plan asks Snakemake, which keeps something there before it reads a Snakefile."""
    done = subprocess.run(
        [sys.executable, "-m", "tttnn", "plan"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(WORKFLOW), "HOME": str(tmp_path / home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (tmp_path / ".cache/snakemake").is_dir()
    assert not (tmp_path / "missing").exists()


def test_snakemakes_list_of_jobs_works_without_a_home(environment, tmp_path):
    """Started by itself, as its own docstring says."""
    done = subprocess.run(
        [sys.executable, WORKFLOW / "dag.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(WORKFLOW), "HOME": "/proc"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / ".cache/snakemake").is_dir()
