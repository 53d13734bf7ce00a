"""What the repository says of itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def pins(lock: str) -> dict[str, str]:
    """Package and version of every line of a pip lock file."""
    text = (ROOT / "envs" / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)$", text, re.M))


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_conda_files_name_the_versions_of_the_lock_files(name):
    environment = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text(encoding="utf-8"))
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert dict(requirement.split("==") for requirement in pip) == pins(f"{name}.lock")


def test_cpu_and_gpu_differ_in_faiss_and_its_cuda_alone():
    cpu, gpu = pins("cpu.lock"), pins("gpu.lock")
    assert cpu.pop("faiss-cpu") == gpu.pop("faiss-gpu")
    assert all(name.startswith("nvidia-") for name in gpu.keys() - cpu.keys())
    assert cpu.items() <= gpu.items()


def test_dev_tools_do_not_move_what_the_workflow_runs_on():
    cpu, dev = pins("cpu.lock"), pins("dev.lock")
    assert {name: dev[name] for name in dev.keys() & cpu.keys()} == {
        name: cpu[name] for name in dev.keys() & cpu.keys()
    }


def test_every_rule_names_its_environment_log_and_benchmark():
    for file in (ROOT / "rules").glob("*.smk"):
        rules = re.split(r"^rule ", file.read_text(encoding="utf-8"), flags=re.M)[1:]
        assert rules, file
        for rule in rules:
            for directive in ("conda:", "log:", "benchmark:", "threads:", "message:", "shell:"):
                assert f"    {directive}" in rule, (file.name, rule.split(":")[0], directive)
