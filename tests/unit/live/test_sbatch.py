"""The job array gives each task its shards, its file, and options that the command takes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from live_run import ROOT
from tttnn.command import _add_options, _Parser
from tttnn.live.serve import serve

SCRIPT = ROOT / "slurm/serve.sbatch"


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """The script, with a program in the place of `tttnn` that says what it was given."""
    program = folder / "bin/tttnn"
    program.parent.mkdir(exist_ok=True)
    program.write_text('#!/bin/bash\nprintf "%s\\n" "$OMP_NUM_THREADS" "$@"\n')
    program.chmod(0o755)
    given = {"BIN": str(program.parent), "PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(["bash", SCRIPT], env=given, capture_output=True, text=True, cwd=folder)


def options(done: subprocess.CompletedProcess) -> dict:
    threads, command, *words = done.stdout.splitlines()
    assert (done.returncode, command) == (0, "serve"), done.stderr
    parser = _Parser()
    _add_options(parser, serve)
    return vars(parser.parse_args(words)) | {"omp": threads}


TASK = {"RUN": "paper", "TOKEN_FILE": "a token", "SLURM_ARRAY_TASK_ID": "7"}


def test_it_is_a_script_that_bash_can_read():
    assert subprocess.run(["bash", "-n", SCRIPT], capture_output=True).stderr == b""


@pytest.mark.parametrize(
    ("task", "each", "shards"), [("0", "1", "00"), ("7", "1", "07"), ("3", "4", "12,13,14,15")]
)
def test_each_task_holds_its_own_shards(task, each, shards, tmp_path):
    environment = TASK | {"SLURM_ARRAY_TASK_ID": task, "PER_TASK": each, "INSECURE": "1"}
    assert options(run(tmp_path, **environment))["shards"] == shards


def test_it_registers_listens_and_takes_what_the_task_has(tmp_path):
    certificates = {"CERT": "node.pem", "KEY": "node.key", "INDEX": "ivf"}
    found = options(run(tmp_path, **TASK, **certificates, SLURM_CPUS_PER_TASK="4"))
    assert found["register"] == Path("results/paper/servers")
    assert (found["name"], found["run"], found["index"]) == ("task-7", Path("paper"), "ivf")
    assert found["token_file"] == Path("a token")
    assert (found["tls_cert"], found["tls_key"]) == (Path("node.pem"), Path("node.key"))
    assert (found["threads"], found["omp"]) == (4, "4")
    assert re.fullmatch(r"[A-Za-z0-9.-]+:0", found["listen"]) and not found["insecure"]


def test_without_certificates_it_has_to_be_said(tmp_path):
    assert not options(run(tmp_path, **TASK))["insecure"]  # the command refuses to listen then
    assert options(run(tmp_path, **TASK, INSECURE="1"))["insecure"]


@pytest.mark.parametrize("missing", sorted(TASK))
def test_what_it_needs_is_named_where_it_is_missing(missing, tmp_path):
    done = run(tmp_path, **{name: value for name, value in TASK.items() if name != missing})
    assert done.returncode != 0 and missing in done.stderr.replace("an array", missing)


def test_the_token_is_never_on_the_command_line(tmp_path):
    """Everyone on a node sees command lines: the file's name is there, not what is in it."""
    (tmp_path / "token").write_text("0123456789abcdef-secret\n")
    done = run(tmp_path, **TASK | {"TOKEN_FILE": str(tmp_path / "token"), "INSECURE": "1"})
    assert "secret" not in done.stdout + done.stderr
    assert "--token " not in SCRIPT.read_text(encoding="utf-8")


def test_slurm_says_when_its_time_is_over():
    head = SCRIPT.read_text(encoding="utf-8")
    said = dict(re.findall(r"^#SBATCH --([a-z-]+)=(.+)$", head, re.M))
    assert said["signal"] == "B:TERM@60"
    assert re.search(r"^OMP_NUM_THREADS=\S+ exec ", head, re.M)
    assert head.startswith("#!/bin/bash\n") and "set -euo pipefail" in head
