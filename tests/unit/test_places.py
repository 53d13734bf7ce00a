"""A run is named alike wherever a command takes one."""

from __future__ import annotations

import importlib
import typing
from pathlib import Path

import pytest

from tttnn.command import COMMANDS, function_of
from tttnn.places import project_of, run_folder, run_or_record
from tttnn.wording import counted

TAKE_A_RUN = {
    *("status", "generate", "tasks", "query", "serve", "crate", "enough", "summary", "record"),
    *("plan", "compare", "findings"),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "results/mine/tables").mkdir(parents=True)
    (tmp_path / "results/mine/config.json").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_a_folder_and_a_path_are_the_same_run(project, monkeypatch):
    whole = project / "results/mine"
    for run in ("mine", "./mine", "mine/", "results/mine", whole, "results/mine/tables"):
        found = run_folder(run)
        assert found.resolve() == whole
        assert project_of(found) == project
        assert run_or_record(Path(run)).resolve() in (whole, whole / "tables")
    monkeypatch.chdir(project / "results")
    assert run_folder("mine").resolve() == whole
    monkeypatch.chdir(project / "results/mine")
    assert run_folder(".").resolve() == whole and project_of(run_folder(".")) == project
    monkeypatch.chdir("/")
    assert run_folder(whole) == whole and project_of(whole) == project


def test_a_run_comes_before_a_folder_of_its_name_and_a_record_before_a_run(project):
    (project / "mine").mkdir()
    assert run_folder("mine") == run_or_record(Path("mine")) == Path("results/mine")
    (project / "mine/manifest.json").touch()
    assert run_or_record(Path("mine")) == Path("mine")
    assert run_or_record(Path("nowhere")) == Path("nowhere")  # for whoever opens it to say so


def test_a_run_that_is_not_there_is_answered_with_the_nearest(project):
    with pytest.raises(ValueError, match=r"no folder results/mien: .* Did you mean 'mine'\?"):
        run_folder("mien")
    (project / "elsewhere").mkdir()
    with pytest.raises(ValueError, match="elsewhere is no run's folder, which is results/NAME"):
        project_of(run_folder("elsewhere"))


def test_every_command_that_takes_a_run_takes_a_path():
    found = {}
    for name, module in COMMANDS.items():
        hints = typing.get_type_hints(getattr(importlib.import_module(module), function_of(name)))
        taken = {key: hints[key] for key in ("run", "runs", "against") if key in hints}
        if taken:
            found[name] = set(taken.values())
    assert set(found) == TAKE_A_RUN
    paths = {Path, Path | None, list[Path]}
    assert {name: kinds for name, kinds in found.items() if not kinds <= paths} == {}


def test_one_is_not_many():
    said = [counted(number, "document") for number in (0, 1, 2, 1200)]
    assert said == ["0 documents", "1 document", "2 documents", "1,200 documents"]
