"""Containers: what the Dockerfile and the definition files install; jobs run in an image."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGEST = re.compile(r"python(?::\S+)?@(sha256:[0-9a-f]{64})")
FAKE = """#!{python}
import json, os, sys
if sys.argv[1:] == ["--version"]:
    print("apptainer version 1.4.5")
    sys.exit()
said = {{"words": sys.argv[1:], "bind": os.environ.get("APPTAINER_BIND", "")}}
with open({log!r}, "a") as file:
    file.write(json.dumps(said) + "\\n")
at = sys.argv.index("bash")
os.execvp("bash", sys.argv[at:])
"""


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def shell(lines: str) -> list[str]:
    """Commands of a RUN or a %post, without what the language of the file adds."""
    joined = re.sub(r"\s*\\\n\s*", " ", lines)
    return [" ".join(part.split()) for part in re.split(r"&&|;|\n", joined) if part.strip()]


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_images_start_from_the_same_python_and_install_the_lock_file(name):
    definition = text(f"envs/{name}.def")
    (digest,) = DIGEST.findall(definition)
    assert DIGEST.findall(text("Dockerfile")) == [digest]
    assert f"envs/{name}.lock /opt/tttnn/lock\n" in definition
    (install,) = (
        command
        for command in shell(definition.partition("%post")[2].partition("%environment")[0])
        if command.endswith("--requirement /opt/tttnn/lock")
    )
    assert install in shell(text("Dockerfile"))
    assert "index-url" not in install and "-deps" not in install  # PyPI, and all of it


def test_both_definitions_do_what_the_dockerfile_does():
    docker = shell(re.sub(r"^(?:RUN|#.*)", "", text("Dockerfile"), flags=re.M))
    for name in ("cpu", "gpu"):
        post = text(f"envs/{name}.def").partition("%post")[2].partition("%environment")[0]
        for command in shell(re.sub(r"^ *#.*", "", post, flags=re.M)):
            told = command.replace("https://download.pytorch.org/whl/cpu", '"$WITHOUT_CUDA"')
            assert any(told in said for said in docker), (name, command)
    assert "ARG WITHOUT_CUDA=https://download.pytorch.org/whl/cpu\n" in text("Dockerfile")


def test_an_image_has_the_python_of_the_conda_files():
    (version,) = re.findall(r"^ARG BASE=\S+python:(\d+\.\d+)\.\d+-", text("Dockerfile"), re.M)
    assert f"python={version}\n" in text("envs/conda.head")


def test_what_the_dockerfile_copies_is_not_ignored():
    copied = re.findall(r"^COPY (\S+) ", text("Dockerfile"), re.M)
    assert copied == ["envs/${ENVIRONMENT}.lock"]
    kept = [line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")]
    assert kept == [copied[0].replace("${ENVIRONMENT}", name) for name in ("cpu", "gpu")]
    assert all((ROOT / name).is_file() for name in kept)


@pytest.fixture
def outside(tmp_path):
    """A folder to run in, and an `apptainer` that tells what it is asked, and runs it here."""
    binary = tmp_path / "bin/apptainer"
    binary.parent.mkdir()
    log = tmp_path / "asked.jsonl"
    binary.write_text(FAKE.format(python=sys.executable, log=str(log)), encoding="utf-8")
    binary.chmod(0o755)
    (tmp_path / "work").mkdir()
    return tmp_path


def run(outside: Path, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "workflow/Snakefile"]
    command += [*words, "--sdm", "apptainer", "--cores", "1"]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "APPTAINER_BIND")}
    environment["PATH"] = f"{outside / 'bin'}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        command, cwd=outside / "work", env=environment, capture_output=True, text=True
    )


def test_jobs_run_in_the_image_which_sees_the_package(outside):
    image = outside / "mine.sif"
    image.touch()
    target = "results/demo/queries/test/selection.json"
    done = run(outside, target, "--config", f"image={image}")
    assert done.returncode == 0, done.stderr
    assert (outside / "work" / target).is_file()
    asked = [json.loads(line) for line in (outside / "asked.jsonl").read_text().splitlines()]
    stages = [
        re.findall(r"-m tttnn (\w+)", words[-1]) for words in (each["words"] for each in asked)
    ]
    assert stages == [["download_shard"], ["select_documents"]]
    for each in asked:
        assert each["words"][0] == "exec" and str(image) in each["words"]
        assert each["bind"] == str(ROOT / "workflow")


def test_an_image_that_is_not_there_is_named_before_the_first_job(outside):
    done = run(outside, "results/demo/corpus/test.jsonl.zst", "--config", "image=envs/other.sif")
    assert done.returncode != 0 and not (outside / "asked.jsonl").exists()
    assert "there is no image envs/other.sif for --sdm apptainer: correct it" in done.stderr


def test_every_rule_has_the_image_and_conda_s_jobs_keep_the_path_of_the_package():
    """As Snakemake reads them: no rule has another image, or none."""
    code = (
        "import sys; from pathlib import Path\n"
        "from snakemake.api import SnakemakeApi\n"
        "from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings\n"
        "with SnakemakeApi(OutputSettings()) as api:\n"
        "    flow = api.workflow(ResourceSettings(cores=1), ConfigSettings(), "
        "snakefile=Path(sys.argv[1]))\n"
        "    print(*{rule.container_img for rule in flow._workflow.rules})\n"
        "    print(flow._workflow.deployment_settings.conda_not_block_search_path_envvars)\n"
    )
    command = [sys.executable, "-c", code, ROOT / "workflow/Snakefile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["envs/cpu.sif", "True"], done.stderr
