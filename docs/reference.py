"""Writes docs/reference.md and docs/keys.md: every command, every key of the configuration.

    PYTHONPATH=workflow python docs/reference.py

Commands are told by their docstrings; keys by config.yaml, whose comments say why, and by the
sections of the package, which say what may be given. A test holds the pages to all of them.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import BaseModel

from tttnn.command import COMMANDS, function_of
from tttnn.config.catalogue import PLACES, with_index_kind
from tttnn.config.inherit import inherited
from tttnn.config.root import INHERITING, Config
from tttnn.pile import TASKS
from tttnn.sections.kinds import kinds, settings

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reference.md"
KEYS = ROOT / "docs/keys.md"
KEY = re.compile(r"^( *)([\w.-]+):(?: +(?!# )(.*?))?(?:(?:^| +)# (.*))?$")
MORE = re.compile(r"^ *# (.*)$")
CAPTIONS = ROOT / "workflow/report"
WHOLE = "The whole file"
LIMITS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "of at least"}
ASKED = re.compile(r"\{\{.*?snakemake\.config(\S+?)(?: \| float\))? *\}\}")
"""How a caption has a value of the configuration."""
NAME = r'\["(\w+)"\]'
CATALOGUES_OF_ONE_KIND = ("lexical", "windowed", "experts", "tune")


def keys(text: str) -> Iterator[tuple[str, str, str]]:
    """Path, value and comment of each key of a commented YAML file, in its order.

    A comment goes on in the lines below it that hold nothing else, if they are indented further
    than the key.
    """
    path: list[tuple[int, str]] = []
    found: list[list[str]] = []
    at = 0
    for line in text.splitlines():
        if (more := MORE.match(line)) and found and line.index("#") > at + 2:
            found[-1][2] = f"{found[-1][2]} {more[1]}".strip()
        elif (key := KEY.match(line)) and not line.lstrip().startswith("#"):
            at = len(key[1])
            path = [*(step for step in path if step[0] < at), (at, key[2])]
            found.append([".".join(name for _, name in path), key[3] or "", key[4] or ""])
    yield from (tuple(each) for each in found)  # type: ignore[misc]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _commands() -> Iterator[str]:
    for name, module in COMMANDS.items():
        function = getattr(importlib.import_module(module), function_of(name))
        yield f"### tttnn {name}\n\n```text\n{inspect.getdoc(function)}\n```\n"


def _configuration() -> Iterator[str]:
    yield "| key | default | |\n|---|---|---|"
    for path, value, comment in keys((ROOT / "config.yaml").read_text(encoding="utf-8")):
        default = f"`{_cell(value)}`" if value else ""
        yield f"| `{path}` | {default} | {_cell(comment)} |"


def _why_in_code(section: type[BaseModel], key: str) -> str:
    """The comment at a field, or on the lines above it, in the class that defines the field."""
    owner = next(each for each in section.__mro__ if key in vars(each).get("__annotations__", {}))
    lines, _ = inspect.getsourcelines(owner)
    (body,) = ast.parse(inspect.cleandoc("\n".join(["", *map(str.rstrip, lines)]))).body
    assert isinstance(body, ast.ClassDef)
    (field,) = (
        node
        for node in body.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == key
    )
    first, last = field.lineno - 1, field.end_lineno or field.lineno
    own = [line.partition("  # ")[2] for line in lines[first:last]]
    above = []
    while first and (more := MORE.match(lines[first - 1].rstrip())):
        above.insert(0, more[1])
        first -= 1
    return " ".join(part.strip() for part in [*above, *own] if part.strip())


def _type(annotation: typing.Any, limits: str = "") -> str:
    """What may be given, as one would write it in YAML."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(inner[0], limits + _limits(inner[1:]))
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(part, limits) for part in inner)
    if origin is list:
        return f"a list{limits}: {_type(inner[0])}"
    if origin is tuple:
        return f"`[…]` of {len(inner)}: {_type(inner[0])}"
    if origin is dict:
        return f"by name: {_type(inner[1])}"
    if annotation is type(None):
        return "`null`"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[a section](#{_anchor(annotation)})"
    names = {str: "text", int: "integer", float: "number", bool: "`true`, `false`"}
    return names.get(annotation, "any value") + limits


def _limits(metadata: typing.Iterable[typing.Any]) -> str:
    """What pydantic holds a value to."""
    flat = [one for each in metadata for one in (each, *getattr(each, "metadata", ()))]
    said = {
        sign: getattr(one, name)
        for one in flat
        for name, sign in LIMITS.items()
        if isinstance(getattr(one, name, None), int | float)
    }
    return f" {', '.join(f'{sign} {bound}' for sign, bound in said.items())}" if said else ""


def _first_line(section: type[BaseModel]) -> str:
    return (inspect.getdoc(section) or "").partition("\n")[0]


def _about(annotation: typing.Any) -> str:
    """What a section says of itself, where a key holds one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _first_line(annotation)
    return next((said for part in typing.get_args(annotation) if (said := _about(part))), "")


def _kinds(catalogue: str) -> str:
    sections = {kind: settings(PLACES[catalogue], kind) for kind in kinds(PLACES[catalogue])}
    links = (f"[{kind}](#{_anchor(section)})" for kind, section in sections.items())
    return f"by name: an entry of kind {', '.join(links)}"


def _default(value: typing.Any) -> str:
    if isinstance(value, BaseModel):
        return "its own"
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).strip()
    return f"`{text.removesuffix('...').strip()}`"


def _anchor(section: type[BaseModel]) -> str:
    return re.sub(r"[^\w -]", "", SECTION_NAMES[section]).lower().replace(" ", "-")


def _named() -> dict[type[BaseModel], str]:
    """Every section that can be given, with the place where it is."""
    found: dict[type[BaseModel], str] = {Config: WHOLE}

    def inside(annotation: typing.Any, where: str) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in found:
                found[annotation] = where
                visit(annotation, where)
            return
        for part in typing.get_args(annotation):
            inside(part, where)

    def visit(section: type[BaseModel], where: str) -> None:
        for key, field in section.model_fields.items():
            if section is Config and key in PLACES:
                for kind in kinds(PLACES[key]):
                    inside(settings(PLACES[key], kind), f"{key}, kind {kind}")
            else:
                inside(field.annotation, key if section is Config else f"{key} of {where}")

    visit(Config, "")
    return found


SECTION_NAMES = _named()


def _values() -> dict[str, typing.Any]:
    """What config.yaml gives, each entry with what it has of those it is `like`."""
    values: dict[str, typing.Any] = yaml.safe_load(
        (ROOT / "config.yaml").read_text(encoding="utf-8")
    )
    for catalogue in INHERITING:
        values[catalogue] = inherited(values[catalogue], catalogue, lambda kind: None)
    return values


def _comments() -> dict[tuple[str, str], str]:
    """By the place of a section and a key, what config.yaml says of it where it is given."""
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    values = _values()
    found: dict[tuple[str, str], str] = {}
    for path, _, comment in keys(text):
        first, *rest = path.split(".")
        place = first
        if first in values and isinstance(values[first], dict) and rest:
            entry = values[first].get(rest[0])
            if first in PLACES and isinstance(entry, dict):
                entry = with_index_kind(entry) if first == "indexes" else entry
                place, rest = f"{first}, kind {entry['kind']}", rest[1:]
            elif first in CATALOGUES_OF_ONE_KIND:
                rest = rest[1:]
        for step in rest[:-1]:
            place = f"{step} of {place}"
        if comment and rest:
            found.setdefault((place, rest[-1]), comment)
        elif comment and len(path.split(".")) == 1:
            found.setdefault((WHOLE, first), comment)
    return found


def _required(place: str, key: str, values: dict[str, typing.Any]) -> str:
    """Of a key without a default: what config.yaml gives, which lies below every configuration.

    An entry of a catalogue has only what itself, or the one it is `like`, says; of those in
    config.yaml the first is shown.
    """
    catalogue, _, kind = place.partition(", kind ")
    if place != WHOLE and catalogue in {*PLACES, *CATALOGUES_OF_ONE_KIND}:
        for name, entry in values[catalogue].items():
            entry = with_index_kind(entry) if catalogue == "indexes" else entry
            if entry.get("kind", "") == kind and key in entry:
                return f"each entry has its own; `{name}`: {_default(entry[key])}"
        return "each entry has its own"
    found = values
    for step in [] if place == WHOLE else reversed(place.split(" of ")):
        found = found.get(step) or {}
    if key not in found:
        return "must be given"
    if isinstance(found[key], dict):
        return "as in config.yaml"
    return f"config.yaml: {_default(found[key])}"


def _sections() -> Iterator[str]:
    comments = _comments()
    values = _values()
    for section, place in SECTION_NAMES.items():
        yield f"## {SECTION_NAMES[section]}\n"
        yield f"{_first_line(section)}\n"
        yield "| key | may be | without it | what it is for |\n|---|---|---|---|"
        for key, field in section.model_fields.items():
            of_kinds = section is Config and key in PLACES
            given = _kinds(key) if of_kinds else _type(field.annotation, _limits(field.metadata))
            default = (
                _required(place, key, values)
                if field.is_required()
                else _default(field.get_default())
            )
            why = comments.get((place, key)) or _why_in_code(section, key)
            if not why and section is Config:
                why = _about(field.annotation)
            if key == "kind" and len(set(typing.get_args(field.annotation))) == 1:
                continue  # the heading says it
            yield f"| `{key}` | {_cell(given)} | {_cell(default)} | {_cell(why)} |"
        yield ""


def _tables() -> Iterator[str]:
    for file in sorted(CAPTIONS.glob("*.rst")):
        if file.stem not in ("figure", "workflow"):
            text = " ".join(file.read_text(encoding="utf-8").replace("``", "`").split())
            text = ASKED.sub(lambda key: f"`{'.'.join(re.findall(NAME, key[1]))}`", text)
            yield f"**{file.stem}**: {text}\n"


def page() -> str:
    """The page, of the commands and the configuration as they are now."""
    tasks = "\n".join(f"| {subset.pile_set_name} | `{task}` |" for task, subset in TASKS.items())
    return "\n".join(
        [
            "# Reference",
            "",
            "Made by `docs/reference.py` from the commands' docstrings, `config.yaml` and the "
            "report's captions.",
            "",
            "## Commands",
            "",
            *_commands(),
            "## Configuration",
            "",
            "Every key of `config.yaml`, with the default run's value and why.",
            "",
            *_configuration(),
            "",
            "What each key may be, and the keys of kinds that the default run has no entry of: "
            "[keys.md](keys.md).",
            "",
            "## Tables",
            "",
            "Captions of the report; what each column is: [tables.md](tables.md).",
            "",
            *_tables(),
            "## Subsets and tasks",
            "",
            "| subset, in a record's `pile_set_name` | task |",
            "|---|---|",
            tasks,
            "",
        ]
    )


def keys_page() -> str:
    """The page of all keys, of the sections and the comments as they are now."""
    return "\n".join(
        [
            "# Keys of the configuration",
            "",
            "Made by `docs/reference.py` from the sections of the package, which refuse what is "
            "not here: what each key may be, what it is without it, and why. "
            "Every configuration is laid over `config.yaml`: where the code has no default of its "
            "own, what that gives stands here. All of its values: "
            "[reference.md](reference.md#configuration).",
            "",
            *_sections(),
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    KEYS.write_text(keys_page(), encoding="utf-8")
