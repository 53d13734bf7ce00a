"""Servers under load: 8 of them, 200 clients, every answer compared with the right one.

python benchmarks/serve.py [--seconds 60] [--servers 8] [--clients 200] [--kill | --abuse]

Each server is a process that holds a shard of a made index; a client asks all of them, merges, and
asks again as soon as it has its answer. Every tenth question asks for the texts too. Answers are
kept, and compared when the time is over: servers and clients share the processor. With --kill,
one server after another is killed (SIGKILL) under load and started again at the same port. With
--abuse, whatever should be refused is sent to a server while the others ask on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pyarrow as pa

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "workflow"), str(ROOT / "tests")]

from live_run import LiveRun, write_run  # noqa: E402
from tttnn.live.client import Found, IncompleteError, Servers  # noqa: E402
from tttnn.live.connections import raise_descriptor_limit  # noqa: E402
from tttnn.live.messages import search_request, texts_request  # noqa: E402
from tttnn.live.remote import Remote, RemoteError  # noqa: E402
from tttnn.live.shard import OpenShard  # noqa: E402
from tttnn.retrieval.search import merged  # noqa: E402

QUESTIONS = 500
K = 20
TOKEN = "benchmark-of-no-secret"
CONNECTING = 120  # seconds, at most, in which clients start and find their servers; not measured
PROCESSES = 4  # that the clients are threads of


class Process:
    """A server, in a process of its own, at the same port whenever it is started."""

    def __init__(self, root: Path, shard: str) -> None:
        self._root, self.shard, self.port, self._starts = root, shard, 0, 0
        self.log = root / f"{shard}.log"

    def start(self) -> None:
        self._starts += 1
        words = ["serve", "--run", "live", "--shards", self.shard]
        words += ["--listen", f"127.0.0.1:{self.port}", "--max-k", "1000"]
        words += ["--read-seconds", "5", "--grace-seconds", "5"]
        environment = os.environ | {
            "PYTHONPATH": str(ROOT / "workflow"),
            "TTTNN_TOKEN": TOKEN,
            "OMP_NUM_THREADS": "1",
        }
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tttnn", *words],
                cwd=self._root,
                env=environment,
                stderr=log,
            )
        self.ps = psutil.Process(self._process.pid)

    def wait(self, seconds: float = 60) -> None:
        """Until it serves."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            said = self.log.read_text()
            if found := re.findall(
                r'"event": "serving".*"location": "grpc://127.0.0.1:(\d+)"', said
            ):
                self.port = int(found[-1])
                if len(found) == self._starts:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(self.log.read_text())

    def end(self, number: int = signal.SIGTERM) -> int:
        self._process.send_signal(number)
        return self._process.wait(60)


def answers(live: LiveRun, questions: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By shard, what is right; found with nothing between."""
    return {name: OpenShard(live.run, name).search(questions, K) for name in live.run.config.shards}


class Load(NamedTuple):
    """What clients do."""

    file: Path
    questions: np.ndarray
    right: dict[str, tuple[np.ndarray, np.ndarray]]
    seconds: float
    kills: bool
    apart: bool


class Answer(NamedTuple):
    """To a question, by its row."""

    row: int
    found: Found
    texts: dict[int, tuple[str, str | None]]


class Told(NamedTuple):
    """What became of it."""

    latencies: list[float]
    of_texts: list[float]
    answers: list[Answer]
    outcomes: Counter[str]
    faults: list[str]


def connected(load: Load, partial: bool) -> Servers:
    return Servers(load.file, token=TOKEN, deadline=20.0, allow_partial=partial)


def client(
    load: Load, seed: int, told: Told, shared: Servers | None, ready: threading.Barrier
) -> None:
    """Ask until the time is over."""
    latencies, of_texts, answered, outcomes, faults = told
    questions, partial = load.questions, load.kills and seed % 2 == 1
    rng = random.Random(seed)
    with nullcontext(shared) if shared else connected(load, partial) as servers:
        servers.build()
        ready.wait()
        until = time.monotonic() + load.seconds
        while time.monotonic() < until:
            row = rng.randrange(len(questions))
            started = time.perf_counter()
            try:
                found = servers.search(questions[row : row + 1], K)
                searched = time.perf_counter()
                texts: dict[int, tuple[str, str | None]] = {}
                if rng.random() < 0.1:
                    wanted = found.ids[0].tolist()
                    texts = servers.texts(found.build, wanted)
                    of_texts.append(time.perf_counter() - searched)
                    if not partial and len(texts) != len(wanted):
                        raise AssertionError("texts are missing")
            except IncompleteError as error:
                named = re.search(r"shard \d\d: .*127\.0\.0\.1:\d+|no server answers", str(error))
                outcomes["named error" if named else "unnamed error"] += 1
                if len(faults) < 5:
                    faults.append(str(error)[:300])
                time.sleep(0.05)
                continue
            except Exception as error:
                outcomes["lost"] += 1
                faults.append(repr(error)[:500])
                continue
            latencies.append(searched - started)
            answered.append(Answer(row, found, texts))


def compared(load: Load, answered: list[Answer]) -> Counter[str]:
    """How many answers are right, and wrong."""
    outcomes: Counter[str] = Counter()
    for row, found, texts in answered:
        there = [
            (d[row : row + 1], i[row : row + 1])
            for name, (d, i) in load.right.items()
            if name not in found.missing
        ]
        distances, ids = merged(there, K)
        is_right = (
            found.ids.tobytes() == ids.tobytes()
            and found.distances.tobytes() == distances.tobytes()
            and all(text == f"passage {each}" for each, (text, _) in texts.items())
        )
        kind = "partial" if found.missing else "whole"
        outcomes[f"{'right' if is_right else 'wrong'}, {kind}"] += 1
    return outcomes


def clients(
    load: Load, first: int, count: int, ready: Any, ended: Any, results: Any
) -> None:  # fmt: skip
    """A process of clients, a thread each; tells its processor seconds, and then what became."""
    raise_descriptor_limit()
    told = Told([], [], [], Counter(), [])
    shared = [None, None] if load.apart else [connected(load, False), connected(load, load.kills)]
    used = 0.0

    def all_start() -> None:
        nonlocal used
        ready.wait()
        used = time.process_time()

    all_ready = threading.Barrier(count, all_start, CONNECTING)
    threads = [
        threading.Thread(
            target=client, args=(load, first + number, told, shared[number % 2], all_ready)
        )
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.put(time.process_time() - used)
    told.outcomes.update(compared(load, told.answers))
    results.put(told._replace(answers=[]))


def processor_seconds(servers: list[Process]) -> float:
    times = [server.ps.cpu_times() for server in servers]
    return sum(each.user + each.system for each in times)


def busy_seconds() -> float:
    """Of all processors, whoever keeps them busy."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system


def megabytes(servers: list[Process]) -> list[int]:
    return [server.ps.memory_info().rss >> 20 for server in servers]


def kill(servers: list[Process], seconds: float) -> list[str]:
    """Kill one after another; what was done."""
    told = []
    end, number = time.time() + seconds, 0
    time.sleep(3)
    while time.time() < end - 8:
        server = servers[number % len(servers)]
        number += 1
        server.end(signal.SIGKILL)
        time.sleep(1)
        started = time.time()
        server.start()
        server.wait()
        told.append(f"shard {server.shard} killed; serving {time.time() - started:.1f} s after")
        time.sleep(4)
    return told


# --- abuse -----------------------------------------------------------------------------------


def refusals(port: int, questions: np.ndarray) -> list[str]:
    """What the server says to each thing that it should refuse."""
    good = search_request(questions[:1], K, ["00"])
    bad = [
        ("no token", None, "search", good),
        ("wrong token", TOKEN[:-1] + "x", "search", good),
        ("k of a million", TOKEN, "search", search_request(questions[:1], 10**6, ["00"])),
        ("another dimension", TOKEN, "search", search_request(questions[:1, :5], K, ["00"])),
        ("NaN", TOKEN, "search", search_request(questions[:1] * np.nan, K, ["00"])),
        ("garbage", TOKEN, "search", pa.py_buffer(os.urandom(10_000))),
        ("unknown id", TOKEN, "texts", texts_request([1 << 39])),
        ("9 MB", TOKEN, "search", pa.py_buffer(bytes(9 << 20))),
        ("200 MB", TOKEN, "search", pa.py_buffer(bytes(200 << 20))),
        ("200 MB, no token", None, "search", pa.py_buffer(bytes(200 << 20))),
    ]
    told = []
    for what, token, action, body in bad:
        remote = Remote(f"grpc://127.0.0.1:{port}", token, None)
        try:
            remote.call(action, body, 20.0)
            told.append(f"{what}: ANSWERED")
        except RemoteError as error:
            told.append(f"{what}: {str(error).partition(': ')[2][:110]}")
        remote.close()
    return told


def fuzz(port: int, seconds: float, questions: np.ndarray) -> str:
    """Changed messages, one after the other; what became of them."""
    rng = random.Random(0)
    whole = [search_request(questions[:3], K, ["00"]), texts_request([1, 2])]
    remote = Remote(f"grpc://127.0.0.1:{port}", TOKEN, None)
    became: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytearray(rng.choice(whole).to_pybytes())
        for _ in range(rng.choice([1, 3, 10])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            remote.call(rng.choice(["search", "texts"]), pa.py_buffer(bytes(data)), 10.0)
            became["answered"] += 1
        except RemoteError as error:
            became[error.name] += 1
    remote.close()
    return f"fuzz of {seconds:g} s: {dict(became.most_common())}"


def never_read(port: int, questions: np.ndarray, count: int) -> list[socket.socket]:
    """Clients that ask for much, again and again, and read nothing."""
    taken = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def relay() -> None:
            near, _ = listening.accept()
            far = socket.create_connection(("127.0.0.1", port))
            back = threading.Thread(target=lambda: copy(far, near, None), daemon=True)
            back.start()
            copy(near, far, taken)

        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        through = Remote(f"grpc://127.0.0.1:{listening.getsockname()[1]}", TOKEN, None)
        through.call("search", search_request(questions[:400], 1000, ["00"]), 30.0)
        through.close()
        thread.join(5)
    hung = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(taken)
        hung.append(one)
    return hung


def copy(source: socket.socket, target: socket.socket, taken: bytearray | None) -> None:
    try:
        while data := source.recv(1 << 16):
            if taken is not None:
                taken.extend(data)
            target.sendall(data)
    except OSError:
        pass


def abuse(server: Process, questions: np.ndarray) -> list[str]:
    """All of it, with the server's memory after each."""
    remote = Remote(f"grpc://127.0.0.1:{server.port}", TOKEN, None)

    def memory() -> str:
        return f"{megabytes([server])[0]} MB, {server.ps.num_threads()} threads"

    told = [f"before: {memory()}"]
    told += refusals(server.port, questions)
    told.append(f"after refusals: {memory()}")
    told.append(fuzz(server.port, 5.0, questions))
    told.append(f"after fuzz: {memory()}")
    for number in range(3):
        hung = never_read(server.port, questions, 50)
        time.sleep(8)
        unread = remote.ask("metrics", 20.0)["unread"]
        told.append(f"50 that never read, round {number}: {unread} unread after 8 s, {memory()}")
        for one in hung:
            one.close()
    most = raise_descriptor_limit() - 200
    idle: list[socket.socket] = []
    for _ in range(min(10_000, most)):
        try:
            idle.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
        except OSError:
            break
    started = time.perf_counter()
    remote.ask("health", 20.0)
    took = time.perf_counter() - started
    told.append(f"{len(idle)} connections: health in {took:.3f} s, {memory()}")
    time.sleep(3)
    connections = remote.ask("metrics", 20.0)
    told.append(f"3 s later: {connections['connections']} open, {memory()}")
    for one in idle:
        one.close()
    time.sleep(3)
    told.append(f"all closed: {memory()}; {remote.ask('metrics', 20.0)['amounts']}")
    remote.close()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--servers", type=int, default=8)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--passages", type=int, default=2500, help="of a shard")
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--apart", action="store_true", help="connections for each client")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--abuse", action="store_true")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    rows = options.servers * options.passages
    vectors = generator.standard_normal((rows, options.dimension), np.float32)
    questions = generator.standard_normal((QUESTIONS, options.dimension), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        live = write_run(root, [[options.passages]] * options.servers, vectors)
        right = answers(live, questions)
        servers = [Process(root, name) for name in live.run.config.shards]
        for server in servers:
            server.start()
        try:
            for server in servers:
                server.wait()
            file = root / "servers"
            file.write_text("".join(f"127.0.0.1:{server.port}\n" for server in servers))
            measure(options, servers, file, questions, right)
        finally:
            codes = [server.end() for server in servers]
        print(f"exit codes {codes}")


def measure(
    options: argparse.Namespace, servers: list[Process], file: Path, questions: np.ndarray,
    right: dict,
) -> None:  # fmt: skip
    spawn = multiprocessing.get_context("spawn")
    ended, results = spawn.SimpleQueue(), spawn.SimpleQueue()
    each = options.clients // PROCESSES
    before, ready = megabytes(servers), spawn.Barrier(PROCESSES + 1, timeout=CONNECTING)
    load = Load(file, questions, right, options.seconds, options.kill, options.apart)
    processes = [
        spawn.Process(target=clients, args=(load, number * each, each, ready, ended, results))
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    ready.wait()
    begun = time.time()
    used, busy = 0.0 if options.kill else processor_seconds(servers), busy_seconds()
    if options.kill:
        print("\n".join(kill(servers, options.seconds)))
    if options.abuse:
        time.sleep(3)
        print("\n".join(abuse(servers[0], questions)))
    of_clients = sum(ended.get() for _ in processes)
    wall = time.time() - begun
    of_servers, busy = processor_seconds(servers) - used, busy_seconds() - busy
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    latencies = np.sort(np.concatenate([np.array(told.latencies) for told in found]))
    of_texts = np.sort(np.concatenate([np.array(told.of_texts) for told in found]))
    outcomes = sum((told.outcomes for told in found), Counter())
    p50, p90, p99 = np.quantile(latencies, [0.5, 0.9, 0.99])
    print(
        f"{options.servers} servers, {each * PROCESSES} clients, {wall:.0f} s: {len(latencies)} "
        f"answers, {len(latencies) / wall:.0f} a second; p50 {p50:.3f} s, p90 {p90:.3f} s, "
        f"p99 {p99:.3f} s, longest {latencies[-1]:.3f} s"
    )
    p50, p99 = np.quantile(of_texts, [0.5, 0.99])
    print(f"texts of {K} passages, {len(of_texts)} times: p50 {p50:.3f} s, p99 {p99:.3f} s")
    print(f"outcomes: {json.dumps(outcomes)}")
    if not options.kill:
        milli = 1000 / len(latencies)
        cores = os.cpu_count() or 1
        print(
            f"processor: servers {of_servers:.0f} s, clients {of_clients:.0f} s, others "
            f"{busy - of_servers - of_clients:.0f} s, {busy / wall / cores:.0%} of {cores} cores; "
            f"an answer {of_servers * milli:.2f} + {of_clients * milli:.2f} ms"
        )
    print(f"memory of servers, MB: {before} before, {megabytes(servers)} after")
    for fault in [fault for told in found for fault in told.faults][:5]:
        print(f"  {fault}")


if __name__ == "__main__":
    main()
