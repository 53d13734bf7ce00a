"""Who asks too much, hangs or never reads is refused or cut off, and the others are answered."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from live_run import ROOT, serving, write_run
from tttnn.live.connections import peer_of
from tttnn.live.gate import Gate
from tttnn.live.limits import Limits, Refused
from tttnn.live.messages import search_request, texts_request
from tttnn.live.metrics import LINES_A_SECOND, Histogram, Log
from tttnn.live.remote import Remote, RemoteError
from tttnn.live.shard import OpenShard

D = 8
VECTORS = np.random.default_rng(0).normal(size=(600, D)).astype(np.float32)
ASKED = search_request(VECTORS[:1], 3, ["00"])


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), [[600]], VECTORS)


def remote(server) -> Remote:
    return Remote(f"grpc://127.0.0.1:{server.port}", None, None)


def until(condition, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def held(monkeypatch):
    """Searches begin, and end when this event is set."""
    event, search = threading.Event(), OpenShard.search

    def waits(self, vectors, k):
        event.wait(20)
        return search(self, vectors, k)

    monkeypatch.setattr(OpenShard, "search", waits)
    yield event
    event.set()


def in_background(server, count: int, seconds: float = 20.0) -> tuple[list, list]:
    """Searches that run beside the test: threads, and what became of each."""
    became: list = []

    def ask() -> None:
        one = remote(server)
        try:
            became.append(one.call("search", ASKED, seconds).size)
        except RemoteError as error:
            became.append(error.name)
        finally:
            one.close()

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, became


def test_the_rest_wait_and_what_is_more_is_busy(live, held):
    limits = Limits(in_flight=2, waiting=2, wait_seconds=20.0)
    with serving(live.run, "00", limits=limits) as server:
        one = remote(server)
        threads, became = in_background(server, 4)
        told = lambda: one.ask("metrics", 5.0)  # noqa: E731
        assert until(lambda: (told()["in_flight"], told()["waiting"]) == (2, 2))
        with pytest.raises(RemoteError, match="busy: 2 requests wait already"):
            one.call("search", ASKED, 5.0)
        held.set()
        for thread in threads:
            thread.join()
        assert len(became) == 4 and all(isinstance(size, int) for size in became)
        one.close()


def test_who_waits_too_long_is_told_busy(live, held):
    limits = Limits(in_flight=1, wait_seconds=0.2)
    with serving(live.run, "00", limits=limits) as server:
        threads, _ = in_background(server, 1)
        one = remote(server)
        assert until(lambda: one.ask("metrics", 5.0)["in_flight"] == 1)
        with pytest.raises(RemoteError, match=r"busy: no place was free for 0\.2 s"):
            one.call("search", ASKED, 5.0)
        held.set()
        for thread in threads:
            thread.join()
        one.close()


def test_a_client_that_gave_up_holds_no_place_and_is_not_searched_for(live, held):
    limits = Limits(in_flight=8)
    with serving(live.run, "00", limits=limits) as server:
        threads, became = in_background(server, 5, seconds=0.5)
        for thread in threads:
            thread.join()
        assert became == ["deadline"] * 5
        held.set()
        one = remote(server)
        assert until(lambda: one.ask("metrics", 5.0)["in_flight"] == 0)
        told = one.ask("metrics", 5.0)
        assert told["requests"]["search.cancelled"] >= 1
        assert told["batches"] < 5
        assert one.call("search", ASKED, 5.0).size
        one.close()


def test_a_client_that_never_reads_is_cut_off_and_holds_no_place(live):
    """Answers of more than a connection buffers, to a client that takes none."""
    limits = Limits(in_flight=1, read_seconds=0.5, max_k=600, max_vectors=600)
    with serving(live.run, "00", limits=limits) as server:
        # Flight's own client reads whatever it is sent; so this one says what that one would say,
        # and then nothing
        recorded = record(server.port, search_request(VECTORS, 600, ["00"]))
        hung = socket.create_connection(("127.0.0.1", server.port))
        hung.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        hung.sendall(recorded)
        assert until(lambda: server.metrics.told()["requests"].get("search.answered", 0) >= 2)
        assert server._gate.inside == 0
        one = remote(server)
        assert one.call("search", ASKED, 5.0).size  # though the other has read nothing yet
        assert until(lambda: server.metrics.told()["amounts"].get("closed, unread") == 1)
        assert until(lambda: one.ask("metrics", 5.0)["unread"] <= 1)
        hung.close()
        one.close()


def record(port: int, body: pa.Buffer) -> bytes:
    """The bytes that a client sends for a search, taken down between it and the server."""
    taken = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def relay() -> None:
            near, _ = listening.accept()
            far = socket.create_connection(("127.0.0.1", port))

            def back() -> None:
                with suppress(OSError):
                    while data := far.recv(1 << 16):
                        near.sendall(data)

            threading.Thread(target=back, daemon=True).start()
            with suppress(OSError):
                while data := near.recv(1 << 16):
                    taken.extend(data)
                    far.sendall(data)
            far.close()

        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        through = flight.FlightClient(("127.0.0.1", listening.getsockname()[1]))
        found = list(through.do_action(flight.Action("search", body)))
        assert len(found) == 1
        through.close()
        thread.join(5)
    return bytes(taken)


def test_a_client_that_sends_more_than_a_request_may_have_is_cut_off(live, monkeypatch):
    monkeypatch.setattr("tttnn.live.connections.EVERY", 0.02)
    limits = Limits(max_request_bytes=1 << 16)
    with serving(live.run, "00", limits=limits) as server:
        one, other = remote(server), remote(server)
        for _ in range(40):  # of an honest client's requests there may be any number
            one.call("search", ASKED, 5.0)
        body = pa.py_buffer(bytes(200 << 20))
        with pytest.raises(RemoteError) as caught:
            other.call("search", body, 20.0)

        def closed() -> int:
            return server.metrics.told()["amounts"].get("closed, too much sent", 0)

        # cut off on its way; or, where whoever watches has no turn in time, refused at its end
        assert caught.value.name == "bytes" or (
            caught.value.name == "unavailable" and until(lambda: closed() >= 1)
        )
        assert one.call("search", ASKED, 5.0).size
        one.close()
        other.close()


def test_connections_beyond_the_limit_are_closed_and_clients_are_not(live):
    with serving(live.run, "00", limits=Limits(connections=20)) as server:
        one = remote(server)
        one.call("search", ASKED, 5.0)
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
        assert until(lambda: server.metrics.told()["amounts"].get("closed, too many", 0) >= 40)
        assert one.call("search", ASKED, 5.0).size
        for each in idle:
            each.close()
        one.close()


@pytest.mark.parametrize(
    ("said", "peer"),
    [
        ("ipv4:127.0.0.1:5", ("127.0.0.1", 5)),
        ("ipv6:%5B::1%5D:77", ("::1", 77)),
        ("ipv6:[::ffff:10.0.0.1]:7", ("10.0.0.1", 7)),
        ("unix:/x", ("", 0)),
    ],
)
def test_a_peer_is_told_as_its_socket_tells_it(said, peer):
    assert peer_of(said) == peer


@pytest.mark.parametrize("values", [{"max_k": 0}, {"in_flight": -1}, {"read_seconds": 0.0}])
def test_limits_of_nothing_are_refused(values):
    (name,) = values
    with pytest.raises(ValueError, match=f"--{name.replace('_', '-')} is"):
        Limits(**values)


def test_a_search_that_fails_fails_alone(live, monkeypatch):
    search = OpenShard.search

    def fails(self, vectors, k):
        time.sleep(0.05)
        if (vectors[:, 0] == 7).any():
            raise RuntimeError("no sevens")
        return search(self, vectors, k)

    monkeypatch.setattr(OpenShard, "search", fails)
    bad = VECTORS[:1].copy()
    bad[0, 0] = 7
    with serving(live.run, "00") as server:
        remotes = [remote(server) for _ in range(8)]
        became: dict[int, str] = {}

        def ask(number: int) -> None:
            body = search_request(bad, 3, ["00"]) if number == 3 else ASKED
            try:
                remotes[number].call("search", body, 20.0)
                became[number] = "answered"
            except RemoteError as error:
                became[number] = error.name

        threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in remotes:
            one.close()
        assert server._batches.batches < 8
    assert became == {n: "internal" if n == 3 else "answered" for n in range(8)}


def test_large_answers_that_nobody_reads_have_a_bound_and_small_ones_their_room(live):
    limits = Limits(unread_bytes=100_000)
    with serving(live.run, "00", limits=limits) as server:
        connections = server._connections
        with connections.reading(("x", 1), 90_000):
            with (
                pytest.raises(Refused, match="busy: too many answers have not been read"),
                connections.reading(("x", 2), 70_000),
            ):
                pass
            with connections.reading(("x", 3), 60_000):
                assert connections.unread == 2
        with connections.reading(("x", 4), 70_000):
            assert connections.unread == 1


# --- the end ---------------------------------------------------------------------------------


def test_a_closed_gate_lets_finish_and_nobody_in():
    gate = Gate(Limits(in_flight=1, waiting=5, wait_seconds=20.0))
    entered, leave = threading.Event(), threading.Event()
    became = []

    def inside() -> None:
        with gate.place():
            entered.set()
            leave.wait(10)

    def outside() -> None:
        try:
            with gate.place():
                became.append("in")
        except Refused as refused:
            became.append(refused.name)

    threads = [threading.Thread(target=inside), threading.Thread(target=outside)]
    threads[0].start()
    entered.wait(10)
    threads[1].start()
    assert until(lambda: gate.waiting == 1)
    assert not gate.close(0.05)
    threads[1].join()
    assert became == ["stopping"]
    leave.set()
    assert gate.close(10)
    threads[0].join()


def test_a_server_that_stops_finishes_what_it_has(live, held):
    with serving(live.run, "00", limits=Limits(grace_seconds=10.0)) as server:
        threads, became = in_background(server, 3)
        assert until(lambda: server._gate.inside == 3)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert until(lambda: server._gate.is_closed)
        late, lately = in_background(server, 1)
        late[0].join()
        held.set()
        for thread in (*threads, stopping):
            thread.join()
        assert len(became) == 3 and all(isinstance(size, int) for size in became)
        assert lately[0] in ("stopping", "unavailable")


def test_a_server_stops_though_a_client_never_says_goodbye(live):
    """One whose connection stays, and who answers nothing to what gRPC sends at the end."""
    with serving(live.run, "00", limits=Limits(grace_seconds=20.0)) as server:
        recorded = record(server.port, ASKED)
        with socket.create_connection(("127.0.0.1", server.port)) as silent:
            silent.sendall(recorded)
            assert until(lambda: server.metrics.told()["requests"].get("search.answered") == 2)
            started = time.monotonic()
            assert server.stop()
            assert time.monotonic() - started < 10


def test_the_command_serves_registers_logs_and_ends_at_sigterm(live, tmp_path):
    folder = tmp_path / "registered"
    words = ["serve", "--run", "live", "--shards", "00", "--register", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tttnn", *words, "--name", "one"],
        cwd=live.root,
        env={"PYTHONPATH": str(ROOT / "workflow"), "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert until((folder / "one.json").is_file, 60)
        told = json.loads((folder / "one.json").read_text())
        assert (told["shards"], told["build"]) == (["00"], live.run.build().digest)
        one = Remote(told["location"], None, None)
        assert one.call("search", ASKED, 5.0).size
        assert texts_request([1]).size and one.call("texts", texts_request([1]), 5.0).size
        one.close()
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    events = [json.loads(line) for line in log.splitlines()]
    assert [event["event"] for event in events] == ["opening", "serving", "stopping", "stopped"]
    assert events[-1]["requests"] == {"search.answered": 1, "texts.answered": 1}
    assert not (folder / "one.json").exists()


# --- counting --------------------------------------------------------------------------------


def test_percentiles_are_right_to_within_a_bucket():
    histogram = Histogram()
    assert histogram.percentile(0.5) is None
    values = np.random.default_rng(0).lognormal(-4, 1.5, 5000)
    for value in values:
        histogram.add(value)
    for share in (0.5, 0.9, 0.99):
        exact = np.quantile(values, share)
        assert exact / 1.02 < histogram.percentile(share) < exact * 1.12
    for value in (0.0, 1e9):
        histogram.add(value)


def test_a_log_does_not_drown(capsys):
    log = Log(run="some")
    for number in range(500):
        log("refused", number=number)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert LINES_A_SECOND <= len(lines) <= 3 * LINES_A_SECOND
    assert {(line["event"], line["run"]) for line in lines} == {("refused", "some")}
