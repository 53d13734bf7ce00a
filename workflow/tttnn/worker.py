"""One process that has the libraries loaded and forks a child for each job that is handed to it.

To import PyTorch and transformers takes longer than the work of a short job. `python -m tttnn
STAGE …`, where a worker waits, sends it the command line, the environment, the working folder and
its own standard streams, and waits for the child that the worker forks: to whoever started it, it
behaves as if it did the work. The package itself is imported by each child, so that an edit counts
from the next job on. Nothing of this changes a result; without a worker, everything works as well.

The worker lives as long as the pipe that it was started with is open, and its children as long as
the process that handed the work over.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

SOCKET = "TTTNN_WORKER"  # in the environment: where the worker listens, with whose Python it runs
THREADS = "OMP_NUM_THREADS"  # libraries read it when they are loaded: a worker has one thread
ENOUGH = 4  # jobs whose imports take longer than the worker's start
LIBRARIES = (
    "pyarrow.parquet",
    "pyarrow.compute",
    "pydantic",
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.modeling_utils",
    "transformers.tokenization_utils_tokenizers",
    "pandas",
    "faiss",
    "matplotlib.pyplot",
)
USED = "used {seconds:.2f} s of a processor and {memory} bytes of memory"
SAID = re.compile(rb"used (\S+) s of a processor and (\d+) bytes of memory\n$")
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
STREAMS = (0, 1, 2)
PDEATHSIG = 1  # of prctl(2): a signal when the parent dies


def _send(connection: socket.socket, message: Any) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _address() -> Path | None:
    """Where a worker of this very Python waits; None where there is none, or a job has threads."""
    where, _, prefix = os.environ.get(SOCKET, "").partition(":")
    if not where or prefix != sys.prefix or os.environ.get(THREADS) != "1":
        return None
    return Path(where)


def hand_over(arguments: list[str]) -> int | None:
    """The status of the stage, done by a worker; None where there is none for it.

    Signals that tell a job to end are passed on. What the child used of a processor and of memory,
    which whoever watches this process cannot see, is the last line on stderr.
    """
    address = _address()
    if address is None:
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(address))
            said = json.dumps(
                {
                    "arguments": arguments,
                    "environment": dict(os.environ),
                    "folder": str(Path.cwd()),
                }
            ).encode()
            socket.send_fds(connection, [len(said).to_bytes(8, "little")], STREAMS)
            connection.sendall(said)
            answers = connection.makefile("r", encoding="utf-8")
            child = json.loads(answers.readline())["child"]
        except (OSError, ValueError):
            return None  # it is gone, and has started nothing
        for number in FORWARDED:
            signal.signal(number, lambda number, frame: _pass_on(child, number))
        try:
            ended = json.loads(answers.readline())
        except ValueError:
            print(f"the worker that ran tttnn {arguments[0]} has ended: run again", file=sys.stderr)
            return 1
    print(USED.format(**ended), file=sys.stderr)
    if ended["signal"]:
        with suppress(OSError):  # SIGKILL is always so
            signal.signal(ended["signal"], signal.SIG_DFL)
        os.kill(os.getpid(), ended["signal"])
    return ended["status"]


def handed_over(log: Path) -> tuple[float, float] | None:
    """Seconds and bytes that a worker's child used, by the end of its log; None: it was none's."""
    try:
        with log.open("rb") as file:
            file.seek(-min(200, file.seek(0, os.SEEK_END)), os.SEEK_END)
            found = re.search(
                rb"used (\S+) s of a processor and (\d+) bytes of memory\n$", file.read()
            )
    except OSError:
        return None
    return (float(found[1]), float(found[2])) if found else None


def _pass_on(child: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, number)


def _request(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, streams, _, _ = socket.recv_fds(connection, 8, len(STREAMS))
    size, said = int.from_bytes(head, "little"), b""
    while len(said) < size:
        part = connection.recv(min(size - len(said), 1 << 20))
        if not part:
            raise ConnectionError("the request ends early")
        said += part
    return json.loads(said), streams


def _work(request: dict[str, Any], streams: list[int], parent: int) -> int:
    """In the child: take on what the job is, and do it; its exit status."""
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        return 1
    for number in (*FORWARDED, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, target in zip(streams, STREAMS, strict=True):
        os.dup2(stream, target)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv[1:] = request["arguments"]
    try:
        importlib.import_module("tttnn.command").main(request["arguments"])
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


class _Worker:
    """Forks, waits for children and tells those who asked; one thread, so that it may fork."""

    def __init__(self, listening: socket.socket, lifeline: int) -> None:
        self._listening = listening
        self._children: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        woken, wakes = socket.socketpair()
        for end in (woken, wakes):
            end.setblocking(False)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._wakes = wakes  # kept open
        self._selector.register(listening, selectors.EVENT_READ, self._accept)
        self._selector.register(woken, selectors.EVENT_READ, lambda: woken.recv(4096))
        self._selector.register(lifeline, selectors.EVENT_READ, self._end)

    def run(self) -> None:
        """Until the lifeline is cut."""
        while True:
            for key, _ in self._selector.select():
                key.data()
            self._reap()

    def _end(self) -> None:
        for child in self._children:
            _pass_on(child, signal.SIGTERM)
        raise SystemExit

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        try:
            connection.settimeout(10)
            request, streams = _request(connection)
        except (OSError, ValueError):
            connection.close()
            return
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                self._listening.close()
                status = _work(request, streams, parent)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        for stream in streams:
            os.close(stream)
        self._children[child] = connection
        with suppress(OSError):
            _send(connection, {"child": child})
        self._selector.register(
            connection, selectors.EVENT_READ, lambda: self._abandoned(child, connection)
        )

    def _abandoned(self, child: int, connection: socket.socket) -> None:
        """Who handed the work over says nothing more: it is gone, and its job with it."""
        self._selector.unregister(connection)
        _pass_on(child, signal.SIGKILL)

    def _reap(self) -> None:
        while self._children:
            child, status, used = os.wait4(-1, os.WNOHANG)
            if child == 0:
                return
            connection = self._children.pop(child, None)
            if connection is None:
                continue
            with suppress(KeyError):
                self._selector.unregister(connection)
            with suppress(OSError):
                _send(
                    connection,
                    {
                        "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1,
                        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
                        "seconds": used.ru_utime + used.ru_stime,
                        "memory": used.ru_maxrss * 1024,
                    },
                )
            connection.close()


def serve(address: str, lifeline: str) -> None:
    """Load the libraries, then work until the lifeline, a pipe's descriptor, is closed."""
    for name in LIBRARIES:
        with suppress(ImportError):  # whoever needs it will say so
            importlib.import_module(name)
    gc.freeze()  # so that no child copies what it only looks for garbage in
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.new")
        listening.listen(64)
        Path(f"{address}.new").rename(address)  # it is there when it answers
        try:
            _Worker(listening, int(lifeline)).run()
        finally:
            shutil.rmtree(Path(address).parent, ignore_errors=True)


def pays(jobs: int) -> bool:
    """Whether so many jobs to be run, the target `all` among them, are enough for a worker."""
    return jobs >= ENOUGH


def start() -> None:
    """Start a worker that lives as long as this process, and name it in the environment.

    It needs fork and prctl, so on other systems than Linux nothing happens; nor where the
    environment names one already, if only by an empty word, which switches it off.
    """
    if SOCKET in os.environ or not sys.platform.startswith("linux"):
        return
    folder = tempfile.mkdtemp(prefix="tttnn-")  # only the user may enter
    lifeline, _ = os.pipe()
    address = f"{folder}/worker"
    # threads and GPUs are the jobs'; forked, a process may not have touched a GPU before
    shown = os.environ | {THREADS: "1", "MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.Popen(
        [sys.executable, "-c", f"from tttnn.worker import serve; serve({address!r}, '{lifeline}')"],
        env=shown,
        pass_fds=[lifeline],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(lifeline)
    os.environ[SOCKET] = f"{address}:{sys.prefix}"  # the pipe's other end stays open until we end
