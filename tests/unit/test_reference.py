"""docs/reference.md is what commands and configuration are now."""

from __future__ import annotations

import runpy
from pathlib import Path

import yaml

from tttnn.command import COMMANDS

ROOT = Path(__file__).parents[2]
REFERENCE = runpy.run_path(str(ROOT / "docs/reference.py"))


def flat(values: dict, path: str = "") -> set[str]:
    """Paths of all mappings' keys that stand on lines of their own."""
    found = set()
    for name, value in values.items():
        found.add(f"{path}{name}")
        if isinstance(value, dict):
            found |= flat(value, f"{path}{name}.")
    return found


def test_the_page_is_up_to_date():
    """Otherwise: PYTHONPATH=workflow python docs/reference.py"""
    assert (ROOT / "docs/reference.md").read_text(encoding="utf-8") == REFERENCE["page"]()


def test_every_key_of_the_configuration_is_found_as_yaml_reads_it():
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    found = [path for path, _, _ in REFERENCE["keys"](text)]
    assert len(found) == len(set(found))
    inline = {path for path in flat(yaml.safe_load(text)) if path not in found}
    assert set(found) <= flat(yaml.safe_load(text))
    # what is missing stands in an entry that is written on one line
    assert all(path.rpartition(".")[0] in {*found, *inline} for path in inline)


def test_keys_have_their_value_and_all_of_their_comment():
    text = (
        "# about the file\n"
        "run: demo   # names the folders\n"
        "          # of results\n"
        "models:\n"
        "  # about what follows\n"
        "  small: {like: large}  # a variant\n"
        "  large:            # the same\n"
        "    kind: train\n"
        "embed: null\n"
    )
    assert list(REFERENCE["keys"](text)) == [
        ("run", "demo", "names the folders of results"),
        ("models", "", ""),
        ("models.small", "{like: large}", "a variant"),
        ("models.large", "", "the same"),
        ("models.large.kind", "train", ""),
        ("embed", "null", ""),
    ]


def test_every_command_is_there():
    page = REFERENCE["page"]()
    assert all(f"### tttnn {name}\n" in page for name in COMMANDS)
