"""The command line is made from the stages' signatures, and the rules say what it takes."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shlex
import subprocess
import sys
import typing
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tttnn.command import COMMANDS, _add_options, _told, function_of, main
from tttnn.config.load import load
from tttnn.digests import write_record
from tttnn.files import sha256
from tttnn.operations.afford import within_hours
from tttnn.stages import MODULES, Specs

ROOT = Path(__file__).parents[2]
RULES = re.findall(
    r"^rule (\w+):\n(.*?)(?=^rule |^use rule |\Z)",
    "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk"))),
    re.DOTALL | re.MULTILINE,
)
WITHOUT_CONFIG = {
    "list_choices",
    "list_passages",
    "list_embeddings",
    "collect_texts",
    "list_texts",
    "published_tables",
    "paper_figures",
    "compare_follow_ups",
    "draw_side_by_side",
}
VALUES = {int: "7", str: "some", Path: "a/b", bool: None}


def function(stage: str):
    return getattr(importlib.import_module(MODULES[stage]), stage)


def spec_of(stage: str) -> str:
    """The spec that the shipped configuration gives a stage, for wildcards that exist."""
    named = {name: re.search(r"spec=spec\.(\w+)", body) for name, body in RULES}
    model = {"train_embedder": "embedder", "fetch_model": "published"}.get(stage, "small")
    selection = "sift_windows" if stage == "choose_windows" else "sift"
    method = {
        "choose_settings": "tuned", "evaluate_tuned": "tuned", "evaluate_windows": "long_past",
        "evaluate_experts": "experts",
    }.get(stage, "ttt")  # fmt: skip
    wildcards = SimpleNamespace(
        shard="00", model=model, method=method, index="ivf", task="pile_github", figure="curves",
        queries="test", selection=selection, pool="elsewhere", lexical="bm25",
        windowed="windows_any", experts="eight",
    )  # fmt: skip
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["models"]["published"] = {"kind": "huggingface", "id": "gpt2", "revision": "607a30d"}
    if stage == "list_hours":
        values["select"] |= {"count": None, "hours": 1.0}
    return getattr(Specs(*within_hours(load(values))), named[stage][1])(wildcards)


def options_of(stage: str) -> tuple[list[str], dict]:
    """Words for every parameter of a stage, and what they should become."""
    words, expected = [], {}
    for name, kind in typing.get_type_hints(function(stage)).items():
        if name == "return":
            continue
        words.append(f"--{name.replace('_', '-')}")
        if name == "spec":
            words.append(spec_of(stage))
            expected[name] = kind.model_validate_json(words[-1])
        elif typing.get_origin(kind) is list:
            (item,) = typing.get_args(kind)
            words += [VALUES[item], VALUES[item]]
            expected[name] = [item(VALUES[item])] * 2
        elif kind is bool:
            expected[name] = True
        else:
            words.append(VALUES[kind])
            expected[name] = kind(VALUES[kind])
    return words, expected


@pytest.mark.parametrize("stage", MODULES)
def test_a_stages_options_are_its_parameters(stage):
    parser = ArgumentParser()
    _add_options(parser, function(stage))
    words, expected = options_of(stage)
    assert vars(parser.parse_args(words)) == expected


@pytest.mark.parametrize("stage", MODULES)
def test_a_missing_option_ends_with_two(stage, capsys):
    words, _ = options_of(stage)
    parameters = inspect.signature(function(stage)).parameters.values()
    for name in (each.name for each in parameters if each.default is each.empty):
        option = f"--{name.replace('_', '-')}"
        place = words.index(option)
        rest = [word for word in words[place + 1 :] if word.startswith("--")]
        end = words.index(rest[0]) if rest else len(words)
        with pytest.raises(SystemExit) as caught:
            main([stage, *words[:place], *words[end:]])
        assert caught.value.code == 2
        assert f"the following arguments are required: {option}" in capsys.readouterr().err


STAGES = {"list_texts": "list_passages"}
"""The stages of rules that have not their name."""


def test_there_is_a_rule_for_every_stage_of_the_same_name():
    names = [name for name, _ in RULES if name not in STAGES]
    assert set(names) == set(MODULES)
    assert len(names) == len(MODULES)


@pytest.mark.parametrize(("rule", "body"), RULES, ids=[name for name, _ in RULES])
def test_a_rule_passes_exactly_what_its_stage_takes(rule, body):
    command = "".join(re.findall(r'^ +"(.*)"$', body.partition("shell:")[2], re.MULTILINE))
    words = shlex.split(command.replace("> {log:q} 2>&1", ""))
    stage = STAGES.get(rule, rule)
    assert words[:4] == ["python", "-m", "tttnn", stage]
    passed = {word[2:].replace("-", "_") for word in words if word.startswith("--")}
    parameters = inspect.signature(function(stage)).parameters
    required = {name for name, p in parameters.items() if p.default is p.empty}
    assert required <= passed <= set(parameters)
    assert f'code=code("{stage}"' in body
    assert ("spec=spec." in body) == (rule not in WITHOUT_CONFIG)
    assert command.endswith(" > {log:q} 2>&1")


# --- faults ----------------------------------------------------------------------------------


def run(*words: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    command = [sys.executable, "-m", "tttnn", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_fault_of_the_input_is_one_line_and_no_traceback(tmp_path):
    (tmp_path / "test.jsonl").write_text('{"text": "fine"}\n')
    write_record(tmp_path / "test.json", {"sha256": sha256(tmp_path / "test.jsonl")})
    done = run(
        "select_documents", "--spec", '{"count": 1}', "--documents", f"{tmp_path}/test.jsonl",
        "--manifest", f"{tmp_path}/test.json",
        "--queries", f"{tmp_path}/q.parquet", "--selection", f"{tmp_path}/s.json",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("tttnn select_documents: ")
    assert "test.jsonl, line 1: no subset" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"tttnn select_documents: .*nothing\.jsonl"):
        options = ["--spec", '{"count": 1}', "--queries", "--selection", "s.json"]
        options += ["--manifest", f"{tmp_path}/test.json"]
        write_record(tmp_path / "test.json", {"sha256": "of something"})
        main(["select_documents", "--documents", f"{tmp_path}/nothing.jsonl", *options])


def test_a_wrong_spec_says_what_is_wrong_with_it(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["select_documents", "--spec", '{"cuont": 1}'])
    assert caught.value.code == 2
    assert "unknown key 'cuont'. Did you mean 'count'?" in capsys.readouterr().err


def test_the_help_lists_commands_by_what_they_do_and_stages_by_name(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    _, _, listed = capsys.readouterr().out.partition("commands:\n")
    commands, _, stages = listed.partition("stages,")
    told = {
        name: inspect.getdoc(getattr(importlib.import_module(module), function_of(name)))
        for name, module in COMMANDS.items()
    }
    assert [line.split(maxsplit=1) for line in commands.splitlines() if line] == [
        [name, text.splitlines()[0]] for name, text in told.items()
    ]
    assert set(MODULES) <= set(re.findall(r"\w+", stages))


@pytest.mark.parametrize("words", [("--help",), ("plan", "--help"), ("published_tables",)])
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_has_enough_ends_it_quietly(words, buffered, tmp_path):
    reads, writes = os.pipe()
    os.close(reads)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "PYTHONUNBUFFERED": buffered}
    code = "import sys; from tttnn import command as m; m._run = lambda *_: print('x'); m.main()"
    command = ["-m", "tttnn"] if "--help" in words else ["-c", code]
    done = subprocess.run(
        [sys.executable, *command, *words], stdout=writes, stderr=subprocess.PIPE, env=environment
    )
    os.close(writes)
    assert done.stderr == b""


def test_another_pipe_that_broke_is_a_fault(monkeypatch):
    def broken(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("tttnn.command._run", broken)
    with pytest.raises(SystemExit, match=r"tttnn plan: .*Broken pipe"):
        main(["plan"])


def test_an_unknown_stage_ends_with_two(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["select_document"])
    assert caught.value.code == 2
    assert "select_documents" in capsys.readouterr().err


def test_an_unknown_name_is_answered_with_the_nearest(capsys):
    for name, said in (("generat", " Did you mean 'generate'?"), ("qqq", "")):
        with pytest.raises(SystemExit):
            main([name])
        assert (
            f"there is no command {name!r}.{said} `tttnn --help` lists" in capsys.readouterr().err
        )


def test_help_is_the_functions_docstring(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["select_documents", "--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "choosing tasks moves nothing" in printed
    assert "--queries" in printed


def test_a_list_may_be_empty():
    parser = ArgumentParser()
    _add_options(parser, function("chunk_shard"))
    words, _ = options_of("chunk_shard")
    place = words.index("--tokenizer")
    del words[place + 1 : place + 3]
    assert parser.parse_args(words).tokenizer == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--neighbors=-1", "--neighbors is -1: input should be greater than or equal to 0"),
        ("--window=-3", "--window is -3: give 0 for the model's own, or 2 or more"),
        ("--learning-rate=0", "--learning-rate is 0.0: input should be greater than 0"),
        ("--learning-rate=-1e-3", "--learning-rate is -0.001: input should be greater"),
        *(
            (f"--learning-rate={number}", "--learning-rate is .*: input should be a finite number")
            for number in ("nan", "inf", "-inf", "1e999")
        ),
    ],
)
def test_a_number_out_of_range_is_named_as_the_option_that_it_is(option, message):
    given = ["--model", "m", "--output", "o.json", "--learning-rate", "1", option]
    with pytest.raises(SystemExit, match=f"^tttnn adapt: {message}"):
        main(["adapt", "cases.jsonl", *given])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_has_help(name):
    """A default is no help; what the docstring says of options that are not there is a mistake."""
    command = getattr(importlib.import_module(COMMANDS[name]), function_of(name))
    parser = ArgumentParser()
    _add_options(parser, command)
    actions = [action for action in parser._actions if action.dest != "help"]
    bare = [a.dest for a in actions if not (a.help or "").partition("default: ")[0].strip(" —")]
    assert bare == []
    known = {word for a in actions for word in (a.option_strings or [a.dest.upper()])}
    assert set(_told(command)) == known


def test_help_says_an_option_once(capsys):
    with pytest.raises(SystemExit):
        main(["enough", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("bits per byte that the gain's interval may reach") == 1
    assert "Intervals narrow with the square root" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["import", "--texts", "Github={0}/a.jsonl", "--output", "{0}/file/below"],
            "/file: file exists: name another, or move what is there away",
        ),
        (["query", "--run", "demo", "--file", "{0}/no"], "/no: no such file or directory: correct"),
        (["query", "--run", "demo", "--file", "{0}"], "is a directory: name a file"),
    ],
)
def test_errors_of_the_operating_system_are_in_words_with_a_remedy(tmp_path, words, message):
    (tmp_path / "file").touch()
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(SystemExit, match=message) as caught:
        main([word.format(tmp_path) for word in words])
    assert "Errno" not in str(caught.value.code)
