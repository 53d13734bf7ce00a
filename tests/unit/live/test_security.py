"""Who has no token, or not the right one, learns nothing; beyond this machine there is TLS."""

from __future__ import annotations

import hmac
import shutil
import socket
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from live_run import servers_file, serving, write_run
from tttnn.live import security
from tttnn.live.client import IncompleteError, Servers
from tttnn.live.remote import Remote, RemoteError
from tttnn.live.serve import _certificates, serve

TOKEN = "0123456789abcdef0123"
VECTORS = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), [[50]], VECTORS)


@pytest.mark.parametrize("given", [None, TOKEN[:-1], TOKEN + "0", TOKEN.upper(), "ä" * 20, ""])
@pytest.mark.parametrize("action", ["health", "search", "metrics", "texts", "other"])
def test_a_call_without_the_token_is_turned_away_whatever_it_asks(action, given, live):
    with serving(live.run, "00", token=TOKEN) as server:
        with flight.FlightClient(("127.0.0.1", server.port)) as client:
            headers = [] if given is None else [(b"authorization", f"Bearer {given}".encode())]
            options = flight.FlightCallOptions(headers=headers, timeout=5)
            with pytest.raises((flight.FlightUnauthenticatedError, pa.ArrowException)) as caught:
                list(client.do_action((action, b""), options))
            if given is None or given.isascii():  # gRPC itself refuses others
                assert isinstance(caught.value, flight.FlightUnauthenticatedError)
                assert "token: the call has no token, or not the server's" in str(caught.value)
                assert server.metrics.told()["requests"] == {"call.token": 1}
        one = Remote(f"grpc://127.0.0.1:{server.port}", TOKEN, None)
        assert one.ask("health", 5.0)["status"] == "serving"
        one.close()


def test_tokens_are_compared_in_constant_time(monkeypatch):
    asked = []
    monkeypatch.setattr(hmac, "compare_digest", lambda *values: bool(asked.append(values)))
    (factory,) = security.middleware(TOKEN, lambda: None).values()
    with pytest.raises(flight.FlightUnauthenticatedError):
        factory.start_call(None, {"authorization": [f"Bearer {TOKEN}"]})
    assert asked == [(f"Bearer {TOKEN}".encode(),) * 2]


def test_a_token_comes_from_a_private_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(security.TOKEN, raising=False)
    assert security.read_token(None) is None
    monkeypatch.setenv(security.TOKEN, TOKEN)
    assert security.read_token(None) == TOKEN
    file = tmp_path / "token"
    file.write_text(TOKEN[::-1] + "\n")
    file.chmod(0o640)
    assert security.read_token(file) == TOKEN[::-1]
    file.chmod(0o644)
    with pytest.raises(ValueError, match="can be read by everyone: chmod o="):
        security.read_token(file)
    file.chmod(0o600)
    for bad in ("", "short", "with a space in its middle", "täglich-neu-0123456789"):
        file.write_text(bad)
        with pytest.raises(ValueError, match=r"token holds no token: .*openssl rand"):
            security.read_token(file)


def test_beyond_this_machine_there_is_tls_and_a_token(monkeypatch):
    check = security.check_reach
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        check(host, None, has_tls=False, insecure=False)
    for host in ("0.0.0.0", "192.0.2.7", "::", "2001:db8::1"):
        with pytest.raises(ValueError, match=r"without TLS: give the certificates, or --insecure"):
            check(host, TOKEN, has_tls=False, insecure=False)
        for values in ({"has_tls": True, "insecure": False}, {"has_tls": False, "insecure": True}):
            check(host, TOKEN, **values)
            with pytest.raises(ValueError, match=r"anyone could ask: give --token-file"):
                check(host, None, **values)

    def unknown(*_):
        raise socket.gaierror(1, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ValueError, match="'nowhere' is not known here"):
        check("nowhere", TOKEN, has_tls=True, insecure=False)


def test_a_server_refuses_to_listen_to_the_world(live, monkeypatch):
    monkeypatch.chdir(live.root)
    monkeypatch.delenv(security.TOKEN, raising=False)
    with pytest.raises(ValueError, match="without TLS"):
        serve("live", "00", listen="0.0.0.0:0")
    with pytest.raises(ValueError, match="anyone could ask"):
        serve("live", "00", listen="0.0.0.0:0", insecure=True)


# --- TLS -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Two pairs of a certificate for this machine and its key, each its own authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    pairs = []
    for name in ("one", "two"):
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        command += ["ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        subprocess.run([*command, "-out", cert, "-keyout", key], check=True, capture_output=True)
        key.chmod(0o600)
        pairs.append((cert, key))
    return pairs


def test_answers_come_through_tls_from_whom_is_trusted(certificates, live, tmp_path):
    (cert, key), (other, _) = certificates
    options = _certificates(cert, key, None)
    with serving(live.run, "00", scheme="grpc+tls", token=TOKEN, **options) as server:
        file = servers_file(tmp_path / "servers", server)
        with Servers(file, token=TOKEN, roots=cert.read_bytes()) as servers:
            assert servers.search(VECTORS[:1], 3).ids[0, 0] == 0
        with (
            Servers(file, token=TOKEN, roots=other.read_bytes(), deadline=2) as servers,
            pytest.raises(IncompleteError, match=rf"127.0.0.1:{server.port}: "),
        ):
            servers.search(VECTORS[:1], 3)
        with (
            Servers(file, token=TOKEN, deadline=2) as servers,  # without TLS
            pytest.raises(IncompleteError),
        ):
            servers.search(VECTORS[:1], 3)
        one = Remote(f"grpc+tls://127.0.0.1:{server.port}", None, cert.read_bytes())
        with pytest.raises(RemoteError, match="token: "):
            one.ask("health", 5.0)
        one.close()


def test_only_clients_with_a_certificate_are_let_in_where_that_is_said(certificates, live):
    (cert, key), _ = certificates
    options = _certificates(cert, key, cert)
    with serving(live.run, "00", scheme="grpc+tls", **options) as server:
        one = Remote(f"grpc+tls://127.0.0.1:{server.port}", None, cert.read_bytes())
        with pytest.raises(RemoteError):
            one.ask("health", 2.0)
        one.close()
        with flight.FlightClient(
            f"grpc+tls://127.0.0.1:{server.port}",
            tls_root_certs=cert.read_bytes(),
            cert_chain=cert.read_bytes(),
            private_key=key.read_bytes(),
        ) as client:
            assert list(client.do_action(("health", b"")))


def test_a_key_is_private_and_has_its_certificate(certificates):
    (cert, key), _ = certificates
    assert _certificates(None, None, None) == {}
    for pair in ((cert, None), (None, key)):
        with pytest.raises(ValueError, match="--tls-cert and --tls-key belong together"):
            _certificates(*pair, None)
    with pytest.raises(ValueError, match="--tls-client-ca needs"):
        _certificates(None, None, cert)
    key.chmod(0o644)
    try:
        with pytest.raises(ValueError, match=r"one.key can be read by everyone"):
            _certificates(cert, key, None)
    finally:
        key.chmod(0o600)
