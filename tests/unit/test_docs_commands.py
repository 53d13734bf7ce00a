"""Every command of README and docs is taken by the parser that it is for, or says what it needs.

What is parsed here is run elsewhere: `make demo` and the tutorial by tests/workflow/test_tutorial,
targets are planned by tests/workflow/test_documented, commands of tttnn have tests of their own.
"""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from argparse import ArgumentParser
from collections.abc import Callable
from functools import cache

import pytest
import yaml
from snakemake.cli import get_argument_parser, parse_config
from snakemake.utils import update_config

from documented import ROOT, Command, commands, files
from tttnn.command import COMMANDS, _add_options, function_of
from tttnn.config.load import load

EVERY = list(commands())
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SHELL = {"cd", "source", "(umask"}
"""What is the shell's own, or writes a token; nothing of ours takes part."""


def _tttnn(command: Command, words: list[str]) -> None:
    name = words[0]
    function = getattr(importlib.import_module(COMMANDS[name]), function_of(name))
    parser = ArgumentParser(exit_on_error=False)
    _add_options(parser, function)
    parsed = vars(parser.parse_args(words[1:]))
    inspect.signature(function).bind_partial(**{
        key: value for key, value in parsed.items() if key not in _positional(function)
    })  # fmt: skip


def _positional(function: Callable) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {each.name for each in parameters if each.kind is each.POSITIONAL_ONLY}


@cache
def _parser() -> ArgumentParser:
    return get_argument_parser()


@cache
def _configured(overlays: tuple[str, ...], settings: tuple[str, ...]) -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    written = files()
    for path in overlays:
        text = written.get(path) or (ROOT / path).read_text(encoding="utf-8")
        update_config(values, yaml.safe_load(text))
    update_config(values, parse_config(settings))
    load(values)


def _snakemake(command: Command, words: list[str]) -> None:
    if command.needs == "the plugin":  # whose options a parser without it does not know
        words = words[: words.index("--logger")]
    given = _parser().parse_args(words)
    _configured(tuple(map(str, given.configfile or ())), tuple(given.config or ()))
    for profile in given.profile or []:
        assert (ROOT / profile / "config.yaml").is_file()
        assert command.needs == "SLURM", f"{command.page}: say `# needs SLURM` at {command.text}"


def _make(command: Command, words: list[str]) -> None:
    targets = re.findall(r"^([\w./]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert set(words) <= set(targets)


def _pip(command: Command, words: list[str]) -> None:
    assert command.needs == "a network", f"{command.page}: say `# needs a network`"
    for word in words[1:]:
        if extra := re.fullmatch(r"\.\[(\w+)\]", word):
            assert extra[1] in EXTRAS["optional-dependencies"]
        elif "/" in word:
            assert (ROOT / word).is_file()


def _python(command: Command, words: list[str]) -> None:
    if words[:2] == ["-m", "tttnn.harness"]:
        return _harness(command, words[2:])
    script = ROOT / words[0]
    if words[1:2] == ["snakemake"]:  # which it runs
        return _snakemake(command, words[2:])
    text = script.read_text(encoding="utf-8")
    assert all(f'"{word}"' in text for word in words if word.startswith("--")), words
    return None


def _harness(command: Command, words: list[str]) -> None:
    harness = pytest.importorskip("lm_eval._cli.harness")
    given = harness.HarnessCLI()._parser.parse_args(words)
    assert given.model == "tttnn"
    if given.model_args:
        told = given.model_args
        pairs = told if isinstance(told, dict) else dict(p.split("=", 1) for p in told.split(","))
        from tttnn.harness.model import TTTNN

        own = inspect.signature(TTTNN.__init__).parameters
        assert {"pretrained", "run"} <= pairs.keys() <= {"pretrained", *own}


def _is_a_script(command: Command, words: list[str]) -> None:
    assert (ROOT / words[0]).is_file()


def _git(command: Command, words: list[str]) -> None:
    assert words[0] == "clone" and command.needs == "a network"


def _container(command: Command, words: list[str]) -> None:
    assert command.needs == ("Docker" if command.words[0] == "docker" else "apptainer")
    for word in words:
        if word.endswith(".def"):
            assert (ROOT / word).is_file()


def _tool(command: Command, words: list[str]) -> None:
    """A tool that is not of this project, and that a page says it is for whoever has it."""


PROGRAMS: dict[str, Callable[[Command, list[str]], None]] = {
    "tttnn": _tttnn,
    "snakemake": _snakemake,
    "make": _make,
    "pip": _pip,
    ".venv/bin/pip": _pip,
    "python": _python,
    "bash": _is_a_script,
    "git": _git,
    **dict.fromkeys(("docker", "apptainer"), _container),
    **dict.fromkeys(("pre-commit", "snkmt"), _tool),
    **dict.fromkeys(SHELL, _tool),
}


def test_there_are_commands_on_many_pages():
    assert len({command.page for command in EVERY}) > 12
    assert {"README.md", "docs/tutorial.md", "docs/howto.md"} <= {each.page for each in EVERY}


@pytest.mark.parametrize("command", EVERY, ids=lambda command: f"{command.page}: {command.text}")
def test_a_command_is_taken_by_its_parser(command, capsys):
    words = command.words
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    program, *rest = words
    assert program in PROGRAMS, f"{command.page}: what runs `{command.text}`?"
    try:
        PROGRAMS[program](command, rest)
    except SystemExit:
        pytest.fail(capsys.readouterr().err[-600:])


def test_what_takes_no_network_here_is_marked():
    """`make demo` and `make test` fetch packages, and a first command must say so."""
    first = {c.page: c for c in EVERY if c.text in ("make demo", "make test")}
    assert first and all(command.needs == "a network" for command in first.values())
