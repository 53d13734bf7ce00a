"""Servers asked together answer as one search would; what is wrong is an error that names it."""

from __future__ import annotations

import re
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from live_run import SUBSET, servers_file, serving, write_run
from shards import brute_force, write_queries, write_query_vectors
from tttnn.live.client import IncompleteError, Servers
from tttnn.live.limits import Limits
from tttnn.live.messages import search_request, texts_request
from tttnn.live.registry import register
from tttnn.live.remote import Remote, RemoteError
from tttnn.live.shard import OpenShard
from tttnn.retrieval.vectors import in_share
from workflow_search import searched

COUNTS = [[40, 30], [0, 50], [60, 20]]
D = 8
GENERATOR = np.random.default_rng(0)
VECTORS = GENERATOR.normal(size=(200, D)).astype(np.float32)
QUERIES = GENERATOR.normal(size=(9, D)).astype(np.float32)
VECTORS[[3, 80, 90, 150, 151, 199]] = QUERIES[4]  # ties, in all shards


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), COUNTS, VECTORS)


@pytest.fixture
def three(live, tmp_path):
    """A file that names three servers, of a shard each."""
    with (
        serving(live.run, "00") as first,
        serving(live.run, "01") as second,
        serving(live.run, "02") as third,
    ):
        yield servers_file(tmp_path / "servers", first, second, third), (first, second, third)


# --- the same answer -------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 5, 50, 300])
def test_answers_are_the_workflows_own_bit_for_bit(k, live, three, tmp_path):
    ids = list(range(1, 10))
    queries = write_queries(tmp_path / "queries/some.parquet", ids)
    vectors = write_query_vectors(tmp_path / "queries.safetensors", ids, QUERIES)
    expected = searched(live, queries, vectors, k, tmp_path)
    with Servers(three[0]) as servers:
        found = servers.search(QUERIES, k)
        one_by_one = [servers.search(query[None], k) for query in QUERIES]
    k = min(k, 200)
    assert found.ids.shape == (9, k) and not found.missing
    assert expected["passage_id"].to_numpy().reshape(9, k).tobytes() == found.ids.tobytes()
    assert expected["distance"].to_numpy().reshape(9, k).tobytes() == found.distances.tobytes()
    assert np.concatenate([each.ids for each in one_by_one]).tobytes() == found.ids.tobytes()
    assert (
        np.concatenate([each.distances for each in one_by_one]).tobytes()
        == found.distances.tobytes()
    )
    _, brute = brute_force(QUERIES, live.vectors, live.ids, k)
    assert (found.ids == brute).all()


def test_company_in_a_batch_changes_nothing(live, tmp_path):
    """Clients that ask at once, each for its own k, get what they would get alone."""
    with (
        serving(live.run, "00", "01", "02") as server,
        Servers(servers_file(tmp_path / "servers", server)) as servers,
    ):
        asked = [(query, k) for query in range(9) for k in (3, 20)] * 6
        alone = {one: servers.search(QUERIES[one[0]][None], one[1]) for one in set(asked)}
        found: dict[int, tuple] = {}

        def ask(number: int) -> None:
            query, k = asked[number]
            found[number] = servers.search(QUERIES[query][None], k)

        threads = [threading.Thread(target=ask, args=[number]) for number in range(len(asked))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, one in enumerate(asked):
            assert found[number].ids.tobytes() == alone[one].ids.tobytes()
            assert found[number].distances.tobytes() == alone[one].distances.tobytes()


def test_a_share_of_the_passages_is_searched(tmp_path):
    live = write_run(tmp_path, COUNTS, VECTORS, share=0.3)
    with (
        serving(live.run, "00", "01", "02") as server,
        Servers(servers_file(tmp_path / "servers", server)) as servers,
    ):
        found = servers.search(QUERIES, 200)
    assert sorted(found.ids[0]) == live.ids[in_share(live.ids, 0.3)].tolist()


def test_texts_are_those_of_the_ids_in_several_answers(live, tmp_path):
    with (
        serving(live.run, "00", "01", limits=Limits(max_answer_bytes=64)) as first,
        serving(live.run, "02") as second,
        Servers(servers_file(tmp_path / "servers", first, second)) as servers,
    ):
        build = servers.build()
        ids = [int(passage) for passage in live.ids[::3]]
        texts = servers.texts(build, [*ids, *ids])
        assert texts == {passage: (f"passage {passage}", SUBSET) for passage in ids}
        assert first.metrics.told()["requests"]["texts.answered"] > 3
        with pytest.raises(ValueError, match=r"passage \d+ is of no shard of run live"):
            servers.texts(build, [9 << 40])


def test_a_shard_served_twice_is_asked_once(live, tmp_path):
    with (
        serving(live.run, "00", "01") as first,
        serving(live.run, "01", "02") as second,
        Servers(servers_file(tmp_path / "servers", first, second)) as servers,
    ):
        found = servers.search(QUERIES, 200)
        assert (np.sort(found.ids, axis=1) == live.ids).all()


# --- what is missing -------------------------------------------------------------------------


def test_a_shard_that_nobody_serves_is_missed(live, tmp_path):
    with serving(live.run, "00", "02") as server:
        file = servers_file(tmp_path / "servers", server)
        with (
            Servers(file) as servers,
            pytest.raises(IncompleteError, match="no answer from shards 01: shard 01: no server"),
        ):
            servers.search(QUERIES, 5)
        with Servers(file, allow_partial=True) as servers:
            found = servers.search(QUERIES, 5)
    assert found.missing == ["01"]
    there = live.ids >> 40 != 1
    assert (found.ids == brute_force(QUERIES, live.vectors[there], live.ids[there], 5)[1]).all()


def test_a_server_that_went_is_named_and_comes_back(live, three):
    file, (_, second, _) = three
    with Servers(file) as servers, Servers(file, allow_partial=True) as partial:
        whole, port = servers.search(QUERIES, 5), second.port
        partial.search(QUERIES, 5)
        second.stop()
        with pytest.raises(IncompleteError, match=rf"shard.* 01: .*127.0.0.1:{port}: "):
            servers.search(QUERIES, 5)
        assert partial.search(QUERIES, 5).missing == ["01"]
        assert str(port) in " ".join(partial.search(QUERIES, 5).reasons)
        with serving(live.run, "01", port=port):
            end = time.monotonic() + 20
            while partial.search(QUERIES, 5).missing and time.monotonic() < end:
                time.sleep(0.1)
            assert partial.search(QUERIES, 5).ids.tobytes() == whole.ids.tobytes()
            assert servers.search(QUERIES, 5).ids.tobytes() == whole.ids.tobytes()


def test_another_server_of_a_shard_is_asked_where_one_has_gone(live, tmp_path):
    with (
        serving(live.run, "00", "01") as first,
        serving(live.run, "00", "01", "02") as second,
        Servers(servers_file(tmp_path / "servers", first, second)) as servers,
    ):
        before = servers.search(QUERIES, 5)
        first.stop()
        assert servers.search(QUERIES, 5).ids.tobytes() == before.ids.tobytes()


def test_a_slow_shard_is_named_at_the_deadline(live, three, monkeypatch):
    file, (_, second, _) = three
    search = OpenShard.search

    def slow(self, vectors, k):
        if self.name == "01":
            time.sleep(1.5)
        return search(self, vectors, k)

    with (
        Servers(file, deadline=0.5) as servers,
        Servers(file, deadline=0.5, allow_partial=True) as partial,
    ):
        servers.build(), partial.build()
        monkeypatch.setattr(OpenShard, "search", slow)
        started = time.monotonic()
        with pytest.raises(IncompleteError, match=rf"shard 01: .*:{second.port}: no answer .* s"):
            servers.search(QUERIES, 5)
        assert partial.search(QUERIES, 5).missing == ["01"]
        assert time.monotonic() - started < 1.4


# --- builds ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same run, of which one vector is another."""
    changed = VECTORS.copy()
    changed[100] += 1
    return write_run(tmp_path_factory.mktemp("other"), COUNTS, changed)


def test_a_build_is_told_by_vectors_and_settings(live, other, tmp_path):
    digests = {live.run.build().digest, other.run.build().digest}
    digests.add(write_run(tmp_path, COUNTS, VECTORS, share=0.5).run.build().digest)
    assert len(digests) == 3
    first, second = live.run.build().shards, other.run.build().shards
    assert [name for name in first if first[name] != second[name]] == ["01"]


def test_shards_of_two_builds_are_not_merged(live, other, tmp_path):
    with (
        serving(live.run, "00", "02") as first,
        serving(other.run, "01") as second,
    ):
        file = servers_file(tmp_path / "servers", first, second)
        with (
            Servers(file) as servers,
            pytest.raises(IncompleteError, match=rf"shards 01: .*:{second.port} .*of build"),
        ):
            servers.search(QUERIES, 5)
        with Servers(file, allow_partial=True) as servers:
            found = servers.search(QUERIES, 5)
            assert (found.missing, found.build.digest) == (["01"], live.run.build().digest)
            assert not (found.ids >> 40 == 1).any()


def test_as_many_shards_of_two_builds_are_an_error(live, other, tmp_path):
    with (
        serving(live.run, "00") as first,
        serving(other.run, "01") as second,
        Servers(servers_file(tmp_path / "s", first, second), allow_partial=True) as servers,
        pytest.raises(IncompleteError, match="as many shards of each: stop those of one"),
    ):
        servers.search(QUERIES, 5)


def test_a_server_that_comes_back_with_another_build_is_refused(live, other, three):
    file, (_, second, _) = three
    with Servers(file) as servers:
        servers.search(QUERIES, 5)
        port = second.port
        second.stop()
        with (
            serving(other.run, "01", port=port),
            pytest.raises(IncompleteError, match=rf"shard 01: .*:{port}: it answers for build"),
        ):
            servers.search(QUERIES, 5)


def test_all_servers_may_be_started_again_with_another_build(live, other, tmp_path):
    with serving(live.run, "00", "01", "02") as server:
        file = servers_file(tmp_path / "servers", server)
        with Servers(file) as servers:
            assert servers.search(QUERIES, 5).build.digest == live.run.build().digest
            server.stop()
            time.sleep(1.0)
            with serving(other.run, "00", "01", "02", port=server.port):
                found = servers.search(QUERIES, 5)
        assert found.build.digest == other.run.build().digest
        assert (found.ids == brute_force(QUERIES, other.vectors, other.ids, 5)[1]).all()


# --- registration ----------------------------------------------------------------------------


def test_a_folder_of_registrations_is_read_again_and_stale_ones_are_found(live, tmp_path):
    def entry(name: str, port: int) -> None:
        register(tmp_path, name, {"location": f"grpc://127.0.0.1:{port}"})

    with (
        serving(live.run, "00", "01") as first,
        Servers(tmp_path, allow_partial=True) as servers,
    ):
        entry("first", first.port)
        entry("stale", 1)
        found = servers.search(QUERIES, 5)
        assert found.missing == ["02"]
        assert "127.0.0.1:1: " in " ".join(found.reasons)
        with serving(live.run, "02") as second:
            entry("stale", second.port)
            end = time.monotonic() + 20
            while servers.search(QUERIES, 5).missing and time.monotonic() < end:
                time.sleep(0.1)
            assert not servers.search(QUERIES, 5).missing


# --- one server, asked directly --------------------------------------------------------------


@pytest.fixture(scope="module")
def server(live):
    limits = Limits(max_k=50, max_vectors=20, max_ids=30, max_request_bytes=1 << 20)
    with serving(live.run, "00", "01", limits=limits) as server:
        yield server


def refusal(server, action: str, body: pa.Buffer | bytes) -> RemoteError:
    remote = Remote(f"grpc://127.0.0.1:{server.port}", None, None)
    try:
        with pytest.raises(RemoteError) as caught:
            remote.call(action, pa.py_buffer(body), 5.0)
        assert remote.ask("health", 5.0)["status"] == "serving"
    finally:
        remote.close()
    return caught.value


@pytest.mark.parametrize(
    ("action", "body", "name", "reason"),
    [
        ("search", search_request(QUERIES, 51, ["00"]), "k", "k is 51, .* 1 to 50"),
        ("search", search_request(QUERIES, 0, ["00"]), "k", "k is 0"),
        ("search", search_request(QUERIES[:, :5], 5, ["00"]), "dimension", "have 5 .* index 8"),
        ("search", search_request(QUERIES * np.nan, 5, ["00"]), "finite", "vector 0 has a NaN"),
        ("search", search_request(np.tile(QUERIES, (3, 1)), 5, ["00"]), "vectors", "27 .* to 20"),
        ("search", search_request(QUERIES, 5, ["02"]), "shards", "'02' is not held here: 00, 01"),
        ("search", texts_request([1]), "column", "'vector' alone is expected"),
        ("search", b"garbage", "garbage", "no Arrow stream"),
        ("search", bytes(2 << 20), "bytes", "2097152 bytes, 1048576 at most"),
        ("texts", b"", "garbage", "no Arrow stream"),
        ("texts", texts_request(list(range(31))), "ids", "31 ids; 1 to 30"),
        ("texts", texts_request([70]), "passage", "70: not all are passages"),
        ("texts", texts_request([-1]), "passage", "shard -1, which is not held"),
        ("texts", texts_request([2 << 40]), "passage", "shard 2, which is not held"),
        ("drop", b"", "action", "search, texts, health, metrics, and no other"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(action, body, name, reason, server):
    found = refusal(server, action, body)
    assert found.name == name
    assert str(found).startswith(f"grpc://127.0.0.1:{server.port}: {name}: ")
    assert re.search(reason, str(found))


def test_a_fault_of_the_program_is_told_to_the_log_and_not_to_the_client(live, monkeypatch):
    def broken(self, vectors, k):
        raise RuntimeError("secret/path")

    with serving(live.run, "00") as server:
        monkeypatch.setattr(OpenShard, "search", broken)
        found = refusal(server, "search", search_request(QUERIES, 5, ["00"]))
        assert found.name == "internal" and "secret" not in str(found)
        assert any("secret/path" in event.get("error", "") for event in server.log.events)


def test_what_flight_has_beside_actions_is_not_there(server):
    with flight.FlightClient(("127.0.0.1", server.port)) as client:
        assert {action.type for action in client.list_actions()} == {
            "search", "texts", "health", "metrics",
        }  # fmt: skip
        for call in (
            lambda: client.do_get(flight.Ticket(b"x")),
            lambda: list(client.list_flights()),
            lambda: client.get_flight_info(flight.FlightDescriptor.for_command(b"x")),
        ):
            with pytest.raises((NotImplementedError, pa.ArrowException)):
                call()


def test_metrics_count_answers_and_refusals(live):
    with serving(live.run, "00") as server:
        remote = Remote(f"grpc://127.0.0.1:{server.port}", None, None)
        for _ in range(3):
            remote.call("search", search_request(QUERIES, 5, ["00"]), 5.0)
        with pytest.raises(RemoteError):
            remote.call("search", search_request(QUERIES, 0, ["00"]), 5.0)
        told = remote.ask("metrics", 5.0)
        remote.close()
    assert told["requests"] == {"search.answered": 3, "search.k": 1}
    assert 0 < told["latency"]["search"]["p50"] <= told["latency"]["search"]["p99"] < 5
    assert (told["in_flight"], told["waiting"], told["batches"]) == (0, 0, 3)
