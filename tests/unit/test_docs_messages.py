"""docs/troubleshooting.md has the messages that the code ends in now."""

from __future__ import annotations

import re
import runpy

import pytest

from documented import ROOT
from tttnn.files import name_within
from tttnn.generate import generate
from tttnn.library import recipe_for

MESSAGES = runpy.run_path(str(ROOT / "docs/messages.py"))
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date():
    """Otherwise: PYTHONPATH=workflow python docs/messages.py"""
    assert MESSAGES["page"]() == PAGE


def literal(message: str) -> str:
    """A message as a pattern in which anything may stand in the place of what differs."""
    parts = re.split("⟨.*?⟩", message)
    return ".*".join(map(re.escape, parts))


@pytest.mark.parametrize(
    "raised",
    [
        lambda folder: recipe_for(0, evaluate_at=[0, 5]),
        lambda folder: recipe_for(2, evaluate_at=[1]),
        lambda folder: recipe_for(3, optimizer="adamw", momentum=0.5),
        lambda folder: name_within(folder, "../outside", folder / "manifest.json"),
        lambda folder: generate("a text", run="none", model="none", k=-1),
    ],
)
def test_what_is_raised_is_among_them(raised, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        raised(tmp_path)
    said = " ".join(str(caught.value).split())
    found = [m for m in MESSAGES["messages"]() if re.search(literal(m.text), said)]
    assert found, said


def test_almost_every_error_of_the_source_is_among_them():
    """Independently of the syntax trees: by the word `raise` at the beginning of a line."""
    raised = sum(
        len(re.findall(r"^ +raise \w*(?:Error|Refused)\($|^ +raise \w*(?:Error|Refused)\(f?\"",
                       path.read_text(encoding="utf-8"), re.M))
        for path in (ROOT / "workflow/tttnn").rglob("*.py")
    )  # fmt: skip
    assert len(MESSAGES["messages"]()) > 0.9 * raised > 400


def test_remedies_stand_on_lines_of_their_own():
    item = MESSAGES["_item"]
    message = MESSAGES["Message"]
    assert item(message("⟨path⟩ is no table: remove it and run again", "tttnn.x")) == (
        "- *path* is no table:\\\n  → remove it and run again"
    )
    assert item(message("k_1 is [⟨k⟩]", "tttnn.x")) == "- k\\_1 is \\[*k*\\]"


def test_words_of_the_page_s_beginning_are_snakemake_s():
    from snakemake import exceptions

    assert "The files below seem to be incomplete." in str(exceptions.IncompleteFilesException([]))
    assert "Directory cannot be locked. Please make sure that no other Snakemake process" in str(
        exceptions.LockException()
    )
    for words in ("The files below seem to be incomplete.", "Directory cannot be locked."):
        assert words in PAGE
