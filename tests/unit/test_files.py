"""Outputs appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path

import pytest

from tttnn.files import check_name, name_within, replacing, sha256, write_json


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


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("/etc/passwd", "is absolute"),
        ("//server/share/x", "is absolute"),
        ("C:x.safetensors", "is absolute"),
        ("c:/x", "is absolute"),
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
        ("a/..", "leads out"),
        ("..", "leads out"),
        ("..\\x", "backslash"),
        ("a\\b", "backslash"),
        ("", "empty part"),
        (".", "empty part"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a\0b", "no name has"),
        ("a\nb", "no name has"),
        ("a\ud800", "no name has"),
        (None, "not a string"),
        (3, "not a string"),
        (["a"], "not a string"),
    ],
)
def test_a_path_is_no_name(name: object, fault: str, tmp_path: Path) -> None:
    for ask in (
        lambda: check_name(name, "the list.json"),
        lambda: name_within(tmp_path, name, "the list.json"),
    ):
        with pytest.raises(ValueError) as raised:
            ask()
        assert str(raised.value).startswith("the list.json names the file ")
        assert fault in str(raised.value)
        assert "\n" not in str(raised.value)
        str(raised.value).encode()  # can be printed


@pytest.mark.parametrize("name", ["x", "a/b.c", "..x", "x..", "a b", "~x", "二", ".hidden", "ab:c"])
def test_a_name_is_a_path_below_its_folder(name: str, tmp_path: Path) -> None:
    assert name_within(tmp_path, name, "it") == tmp_path / name
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert name_within(link, name, "it") == link / name  # the folder's own path may be a link


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder, blobs = tmp_path / "snapshots/1", tmp_path / "blobs"
    folder.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "abc").write_text("weights")
    (folder / "file").symlink_to("../../blobs/abc")
    (folder / "below").symlink_to(blobs)
    (folder / "loop").symlink_to("loop")
    (folder / "real").write_text("weights")
    (folder / "alias").symlink_to("real")
    for name in ("file", "below/abc", "below/new", "loop"):
        with pytest.raises(ValueError, match=r"index\.json names .* is a link that leads out"):
            name_within(folder, name, folder / "index.json")
    assert name_within(folder, "alias", "it").read_text() == "weights"
    for name in ("file", "below/abc"):
        assert name_within(folder, name, "it", links_to=blobs).read_text() == "weights"
