"""The commit that a run is noted to be made from."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tttnn.operations import started
from tttnn.repository import commit


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit of two files."""
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    for name in ("rules", "README"):
        (tmp_path / name).write_text("as committed")
    author = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "one")):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    return tmp_path


def head(folder: Path) -> str:
    words = ["git", "-C", folder, "rev-parse", "HEAD"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def test_a_commit_says_whether_what_it_is_asked_of_has_changed(repository):
    assert commit(repository) == commit(repository, "rules") == head(repository)
    (repository / "README").write_text("another")
    assert commit(repository) == f"{head(repository)}, changed"
    assert commit(repository, "rules") == head(repository)


def test_a_folder_that_is_no_repository_has_none(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    assert commit(tmp_path) is None


def test_a_run_keeps_the_commits_of_all_its_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for now in ("one", "one", None, "two, changed"):
        monkeypatch.setattr(started, "of_workflow", lambda now=now: now)
        started.note("mine", tmp_path, [], [])
    noted = json.loads((tmp_path / "results/mine/started.json").read_text())
    assert noted["commits"] == ["one", "two, changed"]
    # as an older version has noted it
    del noted["commits"]
    (tmp_path / "results/mine/started.json").write_text(json.dumps(noted))
    assert started.last(tmp_path, "mine").commits == ()
