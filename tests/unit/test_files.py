"""Outputs appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path

import pytest

from tttnn.files import replacing, sha256, write_json


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "deep/er/file.npy"
    for text in ("old", "new"):
        with replacing(target) as beside:
            assert beside.parent == target.parent
            assert beside.suffix == ".npy"  # numpy would add one otherwise
            beside.write_text(text)
            assert target.exists() == (text == "new")
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_output_that_was_never_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file.txt"):
        pass


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "folder"
    for name in ("old", "new"):
        with replacing(target, directory=True) as beside:
            (beside / name).write_text(name)
    assert [path.name for path in target.iterdir()] == ["new"]
    with pytest.raises(RuntimeError), replacing(target, directory=True) as beside:
        (beside / "half").touch()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("directory", [False, True])
def test_content_is_on_the_disk_before_its_name_and_the_name_at_the_end(
    directory, tmp_path, monkeypatch
):
    """As far as the system is asked: the order of the calls."""
    target = tmp_path / "target"
    waited = []
    monkeypatch.setattr(
        os,
        "fsync",
        lambda descriptor: waited.append(
            (Path(f"/proc/self/fd/{descriptor}").readlink().name, target.exists())
        ),
    )
    with replacing(target, directory=directory) as beside:
        (beside / "part" if directory else beside).write_text("content")
    inside = [("part", False)] if directory else []
    assert waited == [*inside, (".new.target", False), (tmp_path.name, True)]


def test_json_has_no_nan(tmp_path):
    target = tmp_path / "file.json"
    write_json(target, {"wörter": [1, 2.5, None]})
    with pytest.raises(ValueError, match="JSON"):
        write_json(target, {"loss": math.nan})
    assert json.loads(target.read_text()) == {"wörter": [1, 2.5, None]}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("size", [0, 1, 2**20 + 1])
def test_digest_of_a_file_is_the_digest_of_its_bytes(size, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert sha256(path) == hashlib.sha256(b"x" * size).hexdigest()
