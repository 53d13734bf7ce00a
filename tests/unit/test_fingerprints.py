"""Fingerprints that were taken before are used for the same code alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tttnn import provenance
from tttnn.fingerprints import Fingerprints, sources

FINGERPRINT = provenance.fingerprint


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules, of which one imports the other."""
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    folder = tmp_path / "tttnn"
    folder.mkdir()
    (folder / "one.py").write_text("from tttnn import two\n")
    (folder / "two.py").write_text("value = 1\n")
    return folder


def parsed(monkeypatch) -> list[str]:
    """The modules whose fingerprints are taken from now on."""
    taken: list[str] = []

    def noted(module: str, package: Path) -> str:
        taken.append(module)
        return FINGERPRINT(module, package)

    monkeypatch.setattr(provenance, "fingerprint", noted)
    forget()
    return taken


def forget() -> None:
    """Have this process parse again, as a new one would."""
    provenance._read.cache_clear()
    FINGERPRINT.cache_clear()


def kept(package: Path) -> str:
    fingerprints = Fingerprints(package)
    found = fingerprints("tttnn.one")
    fingerprints.keep()
    return found


def test_the_next_start_parses_nothing_and_says_the_same(package, monkeypatch):
    taken = parsed(monkeypatch)
    first = kept(package)
    assert taken == ["tttnn.one"]
    forget()
    assert kept(package) == first == FINGERPRINT("tttnn.one", package)
    assert taken == ["tttnn.one"]


@pytest.mark.parametrize("change", ["edit", "new", "gone"])
def test_after_any_change_they_are_taken_anew(package, monkeypatch, change):
    before = kept(package)
    if change == "edit":
        (package / "two.py").write_text("value = 2\n")
    elif change == "new":
        (package / "three.py").touch()
    else:
        (package / "two.py").unlink()
    taken = parsed(monkeypatch)
    assert (kept(package) == before) == (change == "new")
    assert taken == ["tttnn.one"]


def test_an_edit_while_they_are_taken_keeps_none(package):
    before = kept(package)
    (package / "two.py").write_text("value = 2\n")
    fingerprints = Fingerprints(package)
    (package / "two.py").write_text("value = 1\n")
    forget()
    assert fingerprints("tttnn.one") == before  # of what is there by now
    fingerprints.keep()
    (package / "two.py").write_text("value = 2\n")
    forget()
    assert Fingerprints(package)("tttnn.one") != before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sources": 1, "modules": 2}', "\0"])
def test_a_file_of_something_else_is_none(package, content):
    before = kept(package)
    [file] = package.glob("__pycache__/*.json")
    file.write_text(content)
    assert kept(package) == before
    assert json.loads(file.read_text())["sources"] == sources(package)


def test_where_nothing_can_be_written_they_are_taken_each_time(package):
    (package / "__pycache__").write_text("in the way")
    assert kept(package) == kept(package)


def test_no_files_are_written_where_python_is_to_write_none(package, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    kept(package)
    assert not (package / "__pycache__").exists()
