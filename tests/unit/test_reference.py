"""docs/reference.md and docs/keys.md are what commands and configuration are now."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import yaml

from tttnn.command import COMMANDS
from tttnn.config.catalogue import PLACES
from tttnn.config.root import Config
from tttnn.sections.kinds import kinds, settings

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


def test_the_page_of_keys_is_up_to_date():
    """Otherwise: PYTHONPATH=workflow python docs/reference.py"""
    assert (ROOT / "docs/keys.md").read_text(encoding="utf-8") == REFERENCE["keys_page"]()


def rows(section: str) -> dict[str, list[str]]:
    """Of a section of the page of keys: what a key may be, its default, and why."""
    page = (ROOT / "docs/keys.md").read_text(encoding="utf-8")
    part = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = (
        re.split(r" ?(?<!\\)\| ?", line)[1:-1] for line in part.splitlines() if line[:3] == "| `"
    )
    return {key.strip("`"): rest for key, *rest in cells}


def test_every_kind_has_all_its_keys_and_each_says_why():
    for catalogue, where in PLACES.items():
        for kind in kinds(where):
            found = rows(f"{catalogue}, kind {kind}")
            assert {*found, "kind"} == {*settings(where, kind).model_fields, "kind"}
            assert [key for key, (*_, why) in found.items() if not why] == []
    assert rows("The whole file").keys() == Config.model_fields.keys()


def test_what_a_key_may_be_is_what_the_code_takes():
    ttt, chunk = rows("methods, kind ttt"), rows("chunk")
    assert ttt["clip_norm"][:2] == ["number > 0 or `null`", "`1.0`"]
    assert ttt["step"][:2] == ["`window`, `neighbor`, `batch`", "`window`"]
    assert ttt["lora"][0] == "[a section](#lora-of-methods-kind-ttt) or `null`"
    # what config.yaml gives, of one file and of a catalogue's first entry of a kind
    assert chunk["chunks_per_shard"][:2] == ["integer > 0, ≤ 65536", "config.yaml: `1`"]
    assert rows("The whole file")["chunk"][1] == "as in config.yaml"
    assert rows("ablations of evaluate")["models"][1] == "config.yaml: `[small]`"
    assert rows("models, kind train")["steps"][1] == "each entry has its own; `embedder`: `100`"
    assert rows("sources, kind http")["base_url"][1] == "each entry has its own"
    assert rows("pools, kind union")["of"][0] == "a list of at least 2: text"
    assert rows("sources, kind local").keys() == {"sha256", "path"}
    assert "embedded side by side" in chunk["chunks_per_shard"][2]  # as config.yaml says it


def test_every_column_has_a_head_and_what_config_yaml_gives_need_not_be_given():
    page = (ROOT / "docs/keys.md").read_text(encoding="utf-8")
    heads = {line for line in page.splitlines() if line.startswith("| key |")}
    assert heads == {"| key | may be | without it | what it is for |"}
    # but in sections that config.yaml leaves out
    for part in page.split("\n## ")[1:]:
        assert "must be given" not in part or " of " in part.partition("\n")[0], part[:40]


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
