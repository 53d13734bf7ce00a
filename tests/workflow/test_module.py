"""The workflow as a module of another project, in another folder, with another configuration."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tttnn.command import main
from tttnn.tables import read_table

ROOT = Path(__file__).parents[2]


def snakemake(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """As a user of the project runs it, who knows nothing of where the package is."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere") / "project"
    main(["deploy", str(folder)])
    return folder


def test_a_deployed_project_has_the_default_configuration(project):
    text = (project / "config/config.yaml").read_text(encoding="utf-8")
    assert text.replace(f"{ROOT}/", "") == (ROOT / "config.yaml").read_text(encoding="utf-8")
    assert not (project / "config.yaml").exists()
    with pytest.raises(SystemExit, match="is there already: name a new folder"):
        main(["deploy", str(project)])


def test_files_that_its_own_files_name_are_there(project):
    named = []
    for file in ("config/config.yaml", "README.md", "workflow/Snakefile"):
        text = (project / file).read_text(encoding="utf-8")
        paths = re.findall(r"(?<![\w.<-])/?[\w.-]+/[\w./-]*[\w/]", text)
        named += [path for path in paths if re.search(r"\b(config|docs|envs|slurm)/", path)]
    assert len(named) > 6 and any(path.endswith("config/local.yaml") for path in named)
    assert [path for path in named if not (project / path).exists()] == []


def test_a_project_plans_the_same_jobs(project):
    def counted(folder: Path) -> list[str]:
        done = snakemake(folder, "--dry-run", "--quiet", "all", "--forceall")
        assert done.returncode == 0, done.stderr
        stats = (done.stdout + done.stderr).partition("Job stats:")[2].partition("\n\n")[0]
        return sorted(line for line in stats.splitlines() if line[-1:].isdigit())

    assert counted(project) == counted(ROOT) != []


def test_a_project_runs_with_its_own_configuration_in_its_own_folder(project):
    path = project / "config/config.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values |= {"run": "mine", "select": {"fraction": None, "count": 2, "seed": 7}}
    values["sources"]["demo"] |= {"test_documents": 44}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    snakefile = project / "workflow/Snakefile"
    snakefile.write_text(
        snakefile.read_text(encoding="utf-8")
        + """

rule count:
    input:
        "results/mine/queries/test/selection.json",
    output:
        "counted.txt",
    shell:
        "wc -c < {input} > {output}"
""",
        encoding="utf-8",
    )
    done = snakemake(project, "counted.txt")
    assert done.returncode == 0, done.stderr
    selection = (project / "results/mine/queries/test/selection.json").read_text()
    assert int((project / "counted.txt").read_text()) == len(selection)
    assert json.loads(selection)
    table = read_table(project / "results/mine/queries/test/pile_arxiv.parquet")
    assert table.num_rows == 2
    assert "run mine: results in results/mine; " in done.stderr  # the line at the end


def test_commands_know_the_project_s_settings_and_not_its_own_rules(project, monkeypatch, capsys):
    """After the run above: of `mine`, and with 2 documents of a task, as Snakemake has it there."""
    monkeypatch.chdir(project)
    main(["plan", "--config", "evaluate={tasks: [pile_arxiv]}"])
    printed = capsys.readouterr().out
    assert printed.startswith("Run mine. ") and "\ncount " not in printed
    assert re.search(r"^select_documents +1 +0 ", printed, re.M)  # done
    monkeypatch.chdir("/")
    main(["status", "--run", str(project / "results/mine")])
    printed = capsys.readouterr().out
    assert re.search(r"^select_documents +1 ", printed, re.M) and "Run mine: " in printed


def test_a_snakefile_without_the_workflow_is_said(tmp_path, monkeypatch):
    (tmp_path / "Snakefile").write_text('rule all:\n    output: "a"\n    shell: "touch a"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"has this workflow 0 times .*: give --snakefile one"):
        main(["plan"])
    with pytest.raises(SystemExit, match=r"--snakefile: there is no file nowhere: its path"):
        main(["plan", "--snakefile", "nowhere"])
    main(["plan", "--snakefile", str(ROOT / "workflow/Snakefile")])
