"""Any configuration is refused in words that name a key, or gives every stage its spec."""

from __future__ import annotations

import copy
import json
import math
import os
import random
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, SerializeAsAny, ValidationError

from tttnn.config.catalogue import PLACES
from tttnn.config.figures import drawn
from tttnn.config.load import ConfigError, load
from tttnn.config.root import Config
from tttnn.sections.kinds import kinds, settings
from tttnn.sections.method import Method
from tttnn.stages import Specs

ROOT = Path(__file__).parents[3]
BASE = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
OVERLAYS = [
    yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "config").glob("*.yaml"))
]
SECONDS = float(os.environ.get("TTTNN_FUZZ_SECONDS", "15"))


def laid_over(values: Any, overlay: Any) -> Any:
    """As Snakemake merges: mappings key by key, anything else as a whole."""
    if not isinstance(values, dict) or not isinstance(overlay, dict):
        return copy.deepcopy(overlay)
    return values | {key: laid_over(values.get(key), value) for key, value in overlay.items()}


# --- every number, by the sections' own fields -----------------------------------------------


def sections(section: type[BaseModel], seen: set[type]) -> Iterator[type[BaseModel]]:
    """A section and all that its fields can hold."""
    if section not in seen:
        seen.add(section)
        yield section
        for field in section.model_fields.values():
            for part in parts(field.annotation):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    yield from sections(part, seen)


def parts(annotation: Any) -> Iterator[Any]:
    """All types within one."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for inner in get_args(annotation):
            yield from parts(inner)


SEEN: set[type] = set()
ALL = [
    section
    for root in [
        Config,
        *(settings(where, kind) for where in PLACES.values() for kind in kinds(where)),
    ]
    for section in sections(root, SEEN)
]


def shaped(annotation: Any, number: float | str) -> Any:
    """The number in a value of this shape; None where the type has no place for a float."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is float:
        return number
    if origin is Annotated or annotation is SerializeAsAny:
        return shaped(inner[0], number)
    if origin is list:
        held = shaped(inner[0], number)
        return None if held is None else [held]
    if origin is tuple:
        held = [shaped(each, number) for each in inner]
        return None if None in held else held
    if origin is dict and inner[1] is Any:
        return {"model_type": "gpt2", "deep": [{"er": number}]}
    if origin is dict:
        held = shaped(inner[1], number)
        return None if held is None else {"some": held}
    if origin in (Union, UnionType):
        return next((held for each in inner if (held := shaped(each, number)) is not None), None)
    return None


FLOATS = [
    pytest.param(section, name, id=f"{section.__name__}.{name}")
    for section in ALL
    for name, field in section.model_fields.items()
    if shaped(field.annotation, 0.5) is not None
]


def test_the_sections_that_are_walked_have_the_known_floats():
    named = {param.id for param in FLOATS}
    assert {
        "Recipe.learning_rate", "Recipe.betas", "Lora.alpha", "KnnLm.alphas", "Select.fraction",
        "TrainedModel.architecture", "TrainedModel.learning_rate", "HttpSource.timeout",
        "Score.confidence", "Ivf.share", "Sift.noise", "HubModel.adapt_learning_rate",
    } <= named  # fmt: skip


@pytest.mark.parametrize(("section", "name"), FLOATS)
def test_a_number_is_finite(section, name):
    texts = ["inf", "-Infinity", "nan"] if name != "architecture" else []  # where a text is one
    for number in [math.inf, -math.inf, math.nan, *texts]:
        value = shaped(section.model_fields[name].annotation, number)
        with pytest.raises(ValidationError) as caught:
            section.model_validate({name: value})
        told = [fault["msg"] for fault in caught.value.errors() if fault["loc"][0] == name]
        assert told
        assert all("finite number" in message for message in told)


INTEGERS = [
    pytest.param(section, name, id=f"{section.__name__}.{name}")
    for section in ALL
    for name, field in section.model_fields.items()
    if int in parts(field.annotation)
]


@pytest.mark.parametrize(("section", "name"), INTEGERS)
def test_a_whole_number_is_one_that_libraries_can_count_to(section, name):
    annotation = section.model_fields[name].annotation
    kind = next(part for part in parts(annotation) if get_origin(part) in (list, dict, None))
    for number in [math.inf, math.nan, "inf", 1e300, 10**300, -(10**300)]:
        value = {list: [number], dict: {"default": number}}.get(get_origin(kind), number)
        with pytest.raises(ValidationError) as caught:
            section.model_validate({name: value})
        assert [fault for fault in caught.value.errors() if fault["loc"][0] == name]


# --- any edits -------------------------------------------------------------------------------

LOOP: list[Any] = []
LOOP.append(LOOP)
TEXTS = [
    "", " ", "null", "inf", "ttt", "flat", "random", "all", "默认", "a/b", "../x", "é" * 300,
    "\0", "\ud800", "x\ny", "IVF٣,Flat", "IVF4,PQ0", "-", "{}", "1e999", "kind", "default",
]  # fmt: skip
NUMBERS = [
    0, 1, -1, 2, 7, 2**31, 2**63, 10**400, -(10**400), 0.0, 0.5, -0.5, 1e-320, 1e308, 1.5,
    math.inf, -math.inf, math.nan, True, False,
]  # fmt: skip
ODD = [
    None, b"\xff", yaml.safe_load("2020-01-01"), yaml.safe_load("2020-01-01 10:00:00"),
    {1, 2}, yaml.safe_load("!!set {a, b}"), yaml.safe_load("!!omap [a: 1]"), LOOP, (1, 2),
    {1: 2}, {None: None}, {("a",): 1}, [], {}, [[]], [None], {"like": ["ttt"]}, {"like": 5},
    {"kind": ["ttt"]}, {"kind": None}, {"kind": {}}, {"like": "ttt"}, {"like": "flat"},
]  # fmt: skip


def nested(generator: random.Random) -> Any:
    """A value within a value within a value."""
    value: Any = generator.choice(TEXTS + NUMBERS)
    for _ in range(generator.choice([1, 3, 40, 3000])):
        value = [value] if generator.random() < 0.5 else {"deep": value}
    return value


def doubled(generator: random.Random) -> Any:
    """What aliases in YAML make: little text, 2**n values."""
    value: Any = [0]
    for _ in range(generator.choice([2, 20, 60])):
        value = [value, value]
    return {"model_type": "gpt2", "more": value}


def places(values: Any) -> list[tuple[Any, Any]]:
    """Every mapping or list with each of its keys."""
    found, todo, seen = [], [values], set()
    while todo:
        holder = todo.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        found += [(holder, key) for key in keys]
        todo += [holder[key] for key in keys if isinstance(holder[key], (dict, list))]
    return found


def edit(generator: random.Random, values: dict[Any, Any]) -> None:
    """One change, in place, to what a person's file could be."""
    everywhere = places(values)
    holder, key = generator.choice(everywhere)
    other, other_key = generator.choice(everywhere)
    what = generator.randrange(9)
    if what == 0:
        del holder[key]
    elif what == 1:
        moved = holder.pop(key)
        name = generator.choice([f"{key}s", key[:-1] if isinstance(key, str) else "x", *TEXTS, 5])
        if isinstance(holder, dict):
            holder[name] = moved
    elif what == 2:
        holder[key] = generator.choice(TEXTS)
    elif what == 3:
        holder[key] = copy.deepcopy(generator.choice(ODD))
    elif what == 4:
        holder[key] = other[other_key]  # as an alias
    elif what == 5:
        holder[key] = (nested if generator.random() < 0.6 else doubled)(generator)
    elif what == 6 and isinstance(holder[key], str):
        place = generator.randrange(len(holder[key]) + 1)
        holder[key] = holder[key][:place] + generator.choice(TEXTS) + holder[key][place + 1 :]
    elif what == 7 and isinstance(holder, dict):
        holder["like"] = generator.choice([*map(str, values), "ttt", "sift", "small", key])
    else:
        holder[key] = generator.choice(NUMBERS)


OF_TUNED = ("choose_settings", "evaluate_tuned")
"""Stages of methods with `tune` alone."""


def check_specs(config: Config) -> None:
    """Every stage's spec, for wildcards of each kind that there are, is JSON that UTF-8 can say."""
    specs, first = Specs(config), next(iter(config.models))
    for stage in (name for name in vars(Specs) if not name.startswith("_")):
        for wildcards in [
            *(SimpleNamespace(shard=shard) for shard in [config.shards[0], "val", "test"]),
            *(SimpleNamespace(queries=queries) for queries in ("val", "test", "halves")),
            *(SimpleNamespace(index=name) for name in config.indexes),
            *(SimpleNamespace(selection=name) for name in config.selections),
            *(SimpleNamespace(model=name) for name in config.models),
            *(SimpleNamespace(figure=name) for name in drawn(config)),
            *(SimpleNamespace(experts=name) for name in config.experts),
            *(SimpleNamespace(model=m, method=n, task=t) for m, n, t in config.cells()[:200:7]),
            *(SimpleNamespace(model=first, method=n, task="pile_arxiv") for n in config.tune),
        ]:
            method = getattr(wildcards, "method", None)
            if stage in OF_TUNED and method not in config.tune:
                continue
            if stage == "evaluate_experts" and method not in config.merging:
                continue
            try:
                text = getattr(specs, stage)(wildcards)
            except AttributeError as error:
                if error.obj is not wildcards:
                    raise
                continue  # the stage asks for another wildcard
            json.loads(text.encode("utf-8"))


def check(values: Any) -> bool:
    """Load a configuration and check what comes of it; whether it is valid."""
    try:
        config = load(values)
    except ConfigError as error:
        first, *lines = str(error).splitlines()
        assert first == "the configuration cannot be used:" or not lines, first
        assert all(line.startswith("  ") and len(line) > 8 for line in lines)
        return False
    check_specs(config)
    json.dumps(config.model_dump(mode="json"), allow_nan=False)
    return True


def test_any_configuration_is_refused_in_words_or_gives_specs():
    counts = {True: 0, False: 0}
    end = monotonic() + SECONDS
    number = 0
    # both outcomes are tried, however slow the machine
    while monotonic() < end or (min(counts.values()) < 3 and number < 200):
        generator = random.Random(number)
        values = laid_over(BASE, generator.choice([{}, *OVERLAYS]))
        values = copy.deepcopy(values)
        for _ in range(generator.choice([1, 1, 2, 5])):
            edit(generator, values)
        try:
            counts[check(values)] += 1
        except Exception as error:
            raise AssertionError(f"configuration {number} ends in {error!r}") from error
        number += 1
    assert min(counts.values()) > 2


@pytest.mark.parametrize("text", [
    "methods: {x: &x {<<: *x}}",
    "methods: &m {ttt: {kind: ttt}}\nsets: *m",
    "[]", "5", "", "~",
    "models: {a: &a {kind: train, architecture: {model_type: gpt2, again: *a}}}",
])  # fmt: skip
def test_what_yaml_can_say_and_a_configuration_cannot_be(text):
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        return
    merged = laid_over(BASE, values) if isinstance(values, dict) else values
    with pytest.raises(ConfigError):
        load(merged)


def test_every_kind_of_method_is_among_the_walked():
    assert {section for section in ALL if issubclass(section, Method)} >= {
        settings(PLACES["methods"], kind) for kind in kinds(PLACES["methods"])
    }


@pytest.mark.parametrize(
    "entry", [{"like": "gone"}, {"like": ["ttt"]}, {"like": "other"}, {"like": None}, None, [], "x"]
)
def test_an_entry_that_others_are_like_may_be_anything(entry):
    """Found by the fuzz: messages follow `like`, to where nothing is."""
    for catalogue in ("models", "indexes", "selections", "methods"):
        first = next(iter(BASE[catalogue]))
        faulty = {"other": entry, first: {"like": "other", "seed": "none"}}
        values = laid_over(BASE, {catalogue: faulty})
        for broken in (BASE[catalogue] | faulty, [faulty, faulty], [faulty["other"]]):
            values[catalogue] = broken
            with pytest.raises(ConfigError, match=catalogue):
                load(values)


@pytest.mark.parametrize(
    "values",
    [{"selections": {"\ud800": {"like": "gone"}}}, {"\ud800": 1}, {"run": "a\0b"}, {5: ["\0"]}],
    ids=ascii,
)
def test_text_of_no_encoding_is_refused_before_a_message_repeats_it(values):
    with pytest.raises(ConfigError, match="has a character that neither a file's name nor a"):
        load(BASE | values)
