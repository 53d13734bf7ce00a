"""What is read back from a journal is what was written, whatever happened to its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tttnn.journal import Journal, read_note

ENTRIES = [{"id": 1, "rows": [0.1, None]}, {"id": "grün\n\t", "rows": []}, {"id": 3, "rows": [-7]}]


@pytest.fixture
def written(tmp_path) -> Path:
    path = tmp_path / "folder/.out.journal"
    with Journal(path, "made from this") as journal:
        assert journal.entries == []
        for entry in ENTRIES:
            journal.append(entry)
    return path


def reread(path: Path, made_from: str = "made from this") -> list:
    with Journal(path, made_from) as journal:
        return journal.entries


def test_entries_come_back_in_order_and_more_can_follow(written, capsys):
    with Journal(written, "made from this") as journal:
        assert journal.entries == ENTRIES
        journal.append({"id": 4})
    assert reread(written) == [*ENTRIES, {"id": 4}]
    assert capsys.readouterr().err == ""


def test_a_journal_of_something_else_is_thrown_away_and_named(written, capsys):
    assert reread(written, "made from that") == []
    assert f"{written}: of other inputs" in capsys.readouterr().err
    assert reread(written, "made from this") == []


def test_a_flipped_bit_costs_the_line_it_is_in_and_no_other(written, capsys):
    """Of the identity's line, all."""
    content = written.read_bytes()
    for place in range(len(content)):
        harmed = bytearray(content)
        harmed[place] ^= 1 << place % 8
        written.write_bytes(harmed)
        line = content[:place].count(b"\n")
        found = reread(written)
        assert str(written) in capsys.readouterr().err
        if line == 0:
            assert found == []
        elif content[place] == ord("\n"):  # two lines are one
            assert found == ENTRIES[: line - 1] + ENTRIES[line + 1 :]
        else:
            assert found == ENTRIES[: line - 1] + ENTRIES[line:]


def test_a_file_cut_anywhere_keeps_its_whole_lines(written):
    content = written.read_bytes()
    for size in range(len(content)):
        written.write_bytes(content[:size])
        lines = content[:size].count(b"\n")
        assert reread(written) == ENTRIES[: max(0, lines - 1)]


@pytest.mark.parametrize(
    "garbage", [b"\n", b"null\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"{}"]
)
def test_garbage_is_thrown_away_with_a_line_that_names_the_file(garbage, written, capsys):
    lines = written.read_bytes().splitlines(keepends=True)
    written.write_bytes(b"".join([*lines[:2], garbage, *lines[2:]]))
    found = reread(written)
    kept = ENTRIES if garbage.endswith(b"\n") else [ENTRIES[0], ENTRIES[2]]
    assert found == kept
    assert f"{written}, line 3: damaged, thrown away" in capsys.readouterr().err
    assert reread(written) == kept
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_note_is_no_note_and_named(content, tmp_path, capsys):
    (tmp_path / "note.json").write_bytes(content)
    assert read_note(tmp_path / "note.json") is None
    assert f"{tmp_path}/note.json: damaged, thrown away" in capsys.readouterr().err


def test_a_note_is_read_and_none_is_no_fault(tmp_path, capsys):
    (tmp_path / "note.json").write_text(json.dumps({"done": 3}))
    assert read_note(tmp_path / "note.json") == {"done": 3}
    assert read_note(tmp_path / "nothing.json") is None
    assert capsys.readouterr().err == ""
