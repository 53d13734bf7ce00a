"""The workflow as a module of another project, in another folder, with another configuration."""

from __future__ import annotations

import json
import os
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
    assert (project / "config/config.yaml").read_bytes() == (ROOT / "config.yaml").read_bytes()
    assert not (project / "config.yaml").exists()
    with pytest.raises(SystemExit, match="is there already: name a new folder"):
        main(["deploy", str(project)])


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
