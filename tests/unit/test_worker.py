"""A job that is handed to a worker ends as it would by itself, and with whoever handed it over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tttnn import worker

PACKAGE = Path(worker.__file__).parents[1]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, as on Linux")

STAGE = '''
import os, pathlib, signal, sys, time

def main(arguments):
    """Stands in for the stages: `evaluate_part WHAT …`."""
    print("out", *arguments[1:], os.getcwd(), os.environ["MARK"])
    print("err", file=sys.stderr)
    what = arguments[1]
    if what == "exit":
        sys.exit(int(arguments[2]))
    if what == "message":
        sys.exit("tttnn evaluate_part: no such file")
    if what == "fault":
        raise RuntimeError("a fault of the program")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "spend":
        started = time.process_time()
        held = bytearray(200_000_000)
        while time.process_time() - started < 0.5:
            pass
    if what == "wait":
        def told(number, frame):
            pathlib.Path("told").write_text(signal.Signals(number).name)
            sys.exit(75)
        signal.signal(signal.SIGTERM, told)
        pathlib.Path("written").write_text(str(os.getpid()))
        pathlib.Path("written").rename("waits")  # whoever sees it reads it
        time.sleep(60)
'''


@pytest.fixture
def environment(tmp_path, monkeypatch) -> Iterator[dict[str, str]]:
    """A worker without libraries, whose package's `command` is `STAGE`; and how to reach it."""
    package = tmp_path / "package"
    (package / "tttnn").mkdir(parents=True)
    for name in ("__init__", "__main__", "worker"):
        text = (PACKAGE / f"tttnn/{name}.py").read_text(encoding="utf-8")
        (package / f"tttnn/{name}.py").write_text(text, encoding="utf-8")
    (package / "tttnn/command.py").write_text(STAGE, encoding="utf-8")
    address = tmp_path / "w" / "worker"
    address.parent.mkdir()
    read, write = os.pipe()
    code = f"from tttnn import worker; worker.LIBRARIES = (); worker.serve('{address}', '{read}')"
    base = os.environ | {"PYTHONPATH": str(package), "OMP_NUM_THREADS": "1", "MARK": "worker's"}
    process = subprocess.Popen([sys.executable, "-c", code], env=base, pass_fds=[read])
    os.close(read)
    _until(address.exists)
    yield base | {worker.SOCKET: f"{address}:{sys.prefix}", "MARK": "the job's"}
    os.close(write)  # as when Snakemake ends
    assert process.wait(20) == 0
    assert not address.parent.exists()


def _until(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def _start(environment: dict[str, str], folder: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tttnn", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, cwd=folder, stdout=pipe, stderr=pipe, text=True
    )


def _run(environment, folder, *words) -> tuple[int, str, str]:
    process = _start(environment, folder, *words)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_job_has_its_own_streams_folder_and_environment(environment, tmp_path):
    status, out, err = _run(environment, tmp_path, "evaluate_part", "work", "--é")
    assert status == 0
    assert out == f"out work --é {tmp_path} the job's\n"
    said, used = err.splitlines()
    assert said == "err"
    assert worker.SAID.fullmatch(f"{used}\n".encode())


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["exit", "75"], 75, ""),
        (["message"], 1, "tttnn evaluate_part: no such file\n"),
        (["fault"], 1, "RuntimeError: a fault of the program\n"),
        (["kill"], -signal.SIGKILL, ""),
    ],
)
def test_a_job_ends_as_it_would_by_itself(environment, tmp_path, words, status, said):
    handed = _run(environment, tmp_path, "evaluate_part", *words)
    assert handed[0] == status
    assert said in handed[2]


def test_what_a_job_used_is_its_own(environment, tmp_path):
    (tmp_path / "log").write_text(_run(environment, tmp_path, "evaluate_part", "spend")[2])
    seconds, memory = worker.handed_over(tmp_path / "log")
    assert 0.5 <= seconds < 5
    assert 200e6 <= memory < 1e9
    (tmp_path / "log").write_text(_run(environment, tmp_path, "evaluate_part", "work")[2])
    seconds, memory = worker.handed_over(tmp_path / "log")
    assert seconds < 0.5
    assert memory < 200e6


def test_a_signal_reaches_the_one_who_works(environment, tmp_path):
    process = _start(environment, tmp_path, "evaluate_part", "wait")
    _until((tmp_path / "waits").exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 75
    assert (tmp_path / "told").read_text() == "SIGTERM"


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_work_ends_with_whoever_handed_it_over_and_others_go_on(environment, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = _start(environment, tmp_path / "one", "evaluate_part", "wait")
    two = _start(environment, tmp_path / "two", "evaluate_part", "wait")
    _until((tmp_path / "one/waits").exists)
    _until((tmp_path / "two/waits").exists)
    works = int((tmp_path / "one/waits").read_text())
    one.kill()
    one.wait(20)
    _until(lambda: _is_gone(works))
    assert two.poll() is None
    two.terminate()
    assert two.wait(20) == 75


def test_the_package_is_read_anew_for_each_job(environment, tmp_path):
    command = Path(environment["PYTHONPATH"], "tttnn/command.py")
    command.write_text("def main(arguments):\n    print('edited')\n")
    assert _run(environment, tmp_path, "evaluate_part", "work")[1] == "edited\n"


@pytest.mark.parametrize(
    "change",
    [{"OMP_NUM_THREADS": "4"}, {worker.SOCKET: ""}, {worker.SOCKET: "/nowhere:/another/python"}],
)
def test_a_job_of_more_threads_or_of_another_python_is_not_handed_over(
    environment, tmp_path, change
):
    status, out, err = _run(environment | change, tmp_path, "evaluate_part", "work")
    assert (status, err) == (0, "err\n")
    assert out == f"out work {tmp_path} the job's\n"


def test_a_worker_that_is_gone_is_no_loss(environment, tmp_path):
    gone = {worker.SOCKET: f"{tmp_path}/no:{sys.prefix}"}
    assert _run(environment | gone, tmp_path, "evaluate_part", "exit", "3")[0] == 3


@pytest.mark.parametrize("said", [b"", b"garbage", (10**6).to_bytes(8, "little") + b"{}"])
def test_garbage_leaves_the_worker_at_work(environment, tmp_path, said):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(environment[worker.SOCKET].partition(":")[0])
        connection.sendall(said)
    assert _run(environment, tmp_path, "evaluate_part", "exit", "3")[0] == 3


def test_only_several_jobs_are_worth_a_worker():
    assert worker.pays(4) and not worker.pays(3)


def test_a_worker_is_reached_by_what_it_leaves_in_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv(worker.SOCKET, raising=False)
    monkeypatch.setattr(worker.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    monkeypatch.setattr(worker.subprocess, "Popen", lambda *words, **options: None)
    worker.start()
    monkeypatch.setenv(worker.THREADS, "1")
    assert worker._address().name == "worker"
    started = os.environ[worker.SOCKET]
    worker.start()
    assert os.environ[worker.SOCKET] == started
    monkeypatch.delenv(worker.SOCKET)
