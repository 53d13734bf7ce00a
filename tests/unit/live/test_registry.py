"""Where servers are: lines of a file, or files in a folder."""

from __future__ import annotations

import json

import pytest

from tttnn.live.registry import locations, register, split_location
from tttnn.live.serve import _unregister


def test_a_file_has_a_line_for_each_server(tmp_path):
    file = tmp_path / "servers"
    file.write_text(
        "# ours\nnode1:7000\n\n grpc+tls://node2:7001 # the second\n[::1]:7\nnode1:7000\n"
    )
    assert locations(file, "grpc") == [
        "grpc://node1:7000",
        "grpc+tls://node2:7001",
        "grpc://[::1]:7",
    ]
    assert locations(file, "grpc+tls")[0] == "grpc+tls://node1:7000"


@pytest.mark.parametrize(
    "line", ["node", "node:", "node:99999", "ftp://node:1", "a b:1", "node:1/x", "unix:/x", "-:x"]
)
def test_a_line_that_names_no_server_is_told(line, tmp_path):
    file = tmp_path / "servers"
    file.write_text(f"good:1\n{line}\n")
    with pytest.raises(ValueError, match=r"servers, line 2: "):
        locations(file, "grpc")


def test_a_folder_has_a_file_for_each_server(tmp_path):
    with pytest.raises(ValueError, match="names no server: start some with tttnn serve"):
        locations(tmp_path, "grpc")
    register(tmp_path, "b", {"location": "grpc+tls://node2:2"})
    file = register(tmp_path, "a", {"location": "grpc://node1:1"})
    (tmp_path / ".new.c.json").write_text("{")
    (tmp_path / "notes.txt").write_text("none")
    assert locations(tmp_path, "grpc") == ["grpc://node1:1", "grpc+tls://node2:2"]
    register(tmp_path, "a", {"location": "grpc://node3:3"})
    assert locations(tmp_path, "grpc")[0] == "grpc://node3:3"
    for content in ("{", "[]", "{}", json.dumps({"location": "node"})):
        file.write_text(content)
        with pytest.raises(ValueError, match=r"a\.json"):
            locations(tmp_path, "grpc")


@pytest.mark.parametrize("name", ["", "../a", ".a", "a/b", "a" * 101, "ä"])
def test_a_name_is_a_files_in_the_folder(name, tmp_path):
    with pytest.raises(ValueError, match="names no server"):
        register(tmp_path, name, {})


def test_a_server_removes_its_own_file_and_no_others(tmp_path):
    file = register(tmp_path, "a", {"location": "grpc://node:1"})
    _unregister(file, {"location": "grpc://node:2"})
    assert file.exists()
    _unregister(file, {"location": "grpc://node:1"})
    assert not file.exists()
    _unregister(file, {"location": "grpc://node:1"})


def test_a_location_has_its_parts():
    assert split_location("grpc+tcp://[::1]:80", "x") == ("grpc", "::1", 80)
    assert split_location("a-b.c:0", "x") == ("", "a-b.c", 0)
