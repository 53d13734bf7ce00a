"""`tttnn serve`: hold some shards of a run's index and answer until told to stop."""

from __future__ import annotations

import dataclasses
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.flight as flight

from tttnn.live import registry, security
from tttnn.live.limits import Limits
from tttnn.live.metrics import Log
from tttnn.live.registry import joined, split_location
from tttnn.live.server import Server
from tttnn.live.shard import Build, OpenShard, Run
from tttnn.live.texts import Kept
from tttnn.reading import read_json
from tttnn.sections.base import nearest

TOLD_EVERY = 60.0  # seconds


def _certificates(cert: Path | None, key: Path | None, client_ca: Path | None) -> dict[str, Any]:
    if (cert is None) != (key is None):
        raise ValueError("--tls-cert and --tls-key belong together: give both")
    if cert is None or key is None:
        if client_ca is not None:
            raise ValueError("--tls-client-ca needs --tls-cert and --tls-key")
        return {}
    if key.stat().st_mode & 0o007:
        raise ValueError(f"{key} can be read by everyone: chmod o= {key}")
    given: dict[str, Any] = {
        "tls_certificates": [flight.CertKeyPair(cert.read_bytes(), key.read_bytes())]
    }
    if client_ca is not None:
        given |= {"verify_client": True, "root_certificates": client_ca.read_bytes()}
    return given


def _names(shards: str, build: Build) -> list[str]:
    names = [name.strip() for name in shards.split(",")]
    for name in names:
        if name not in build.shards:
            raise ValueError(
                f"--shards: run {build.run} has no {name!r}.{nearest(name, build.shards)}"
            )
    if len(set(names)) < len(names):
        raise ValueError(f"--shards {shards} names a shard twice")
    return names


def _told(build: Build, names: list[str], location: str) -> dict[str, Any]:
    return {
        "location": location,
        "run": build.run,
        "index": build.index,
        "build": build.digest,
        "shards": names,
        "host": socket.gethostname(),
        "since": time.time(),
    }


def _unregister(file: Path, told: dict[str, Any]) -> None:
    """Remove our file, and not one that another server has put in its place."""
    with suppress(OSError, ValueError):
        if read_json(file) == told:
            file.unlink()


def serve(
    run: Path,
    shards: str,
    listen: str = "127.0.0.1:0",
    index: str | None = None,
    register: Path | None = None,
    name: str | None = None,
    host: str | None = None,
    token_file: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    tls_client_ca: Path | None = None,
    insecure: bool = False,
    threads: int = 1,
    max_k: int = Limits.max_k,
    max_vectors: int = Limits.max_vectors,
    max_ids: int = Limits.max_ids,
    max_request_bytes: int = Limits.max_request_bytes,
    max_answer_bytes: int = Limits.max_answer_bytes,
    unread_bytes: int = Limits.unread_bytes,
    text_bytes: int = Limits.text_bytes,
    in_flight: int = Limits.in_flight,
    waiting: int = Limits.waiting,
    wait_seconds: float = Limits.wait_seconds,
    read_seconds: float = Limits.read_seconds,
    connections: int = Limits.connections,
    grace_seconds: float = Limits.grace_seconds,
) -> None:
    """Hold shards of a run's index and answer questions about them, until told to stop.

    --run            the run: its name in this folder, or the path of its results/NAME
    --index          the run's index; without: its first
    --shards         the shards' names, with commas between
    --listen         HOST:PORT; port 0: one that is free, which is logged and registered
    --register       a folder in which a file says where this server is
    --name           of that file; without: made of host and port
    --host           the name by which others reach this machine, to be registered
    --token-file     who asks must have this token; without: TTTNN_TOKEN in the environment
    --tls-cert, --tls-key  the server's certificate and key, PEM
    --tls-client-ca  only let in clients with a certificate of these, PEM
    --insecure       listen beyond this machine without TLS
    --threads        of a search
    --max-k          passages that a request may ask for
    --max-vectors    vectors that a request may have
    --max-ids        passages whose texts a request may ask for
    --max-request-bytes, --max-answer-bytes  of a request, and of its answer
    --unread-bytes   large answers are sent while no more of them than this have not been read
    --text-bytes     of the texts that were asked for last, which stay in memory
    --in-flight      requests that are worked on at once
    --waiting        requests that wait; more are refused as busy
    --wait-seconds   that they wait, at most, and are refused as busy then
    --read-seconds   that a client has to read an answer
    --connections    of more, those are closed that never asked
    --grace-seconds  for what is in flight when the server is told to end

    SIGTERM and SIGINT end it.
    """
    stopping = threading.Event()
    signals: list[int] = []

    def stop(number: int, frame: object) -> None:
        signals.append(number)
        stopping.set()

    limits = Limits(
        max_k=max_k,
        max_vectors=max_vectors,
        max_ids=max_ids,
        max_request_bytes=max_request_bytes,
        max_answer_bytes=max_answer_bytes,
        unread_bytes=unread_bytes,
        text_bytes=text_bytes,
        in_flight=in_flight,
        waiting=waiting,
        wait_seconds=wait_seconds,
        read_seconds=read_seconds,
        connections=connections,
        grace_seconds=grace_seconds,
    )
    if threads < 1:
        raise ValueError(f"--threads is {threads}: it must be 1 or more")
    _, address, port = split_location(listen, "--listen")
    token = security.read_token(token_file)
    tls = _certificates(tls_cert, tls_key, tls_client_ca)
    security.check_reach(address, token, has_tls=bool(tls), insecure=insecure)
    opened = Run(run, index)
    build = opened.build()
    names = _names(shards, build)
    log = Log(run=build.run, index=build.index, shards=names)
    log("opening", build=build.digest)
    kept = Kept(text_bytes)
    held = [OpenShard(opened, each, kept) for each in names]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    scheme = "grpc+tls" if tls else "grpc"
    try:
        server = Server(
            joined(scheme, address, port),
            build,
            held,
            limits,
            token=token,
            log=log,
            threads=threads,
            **tls,
        )
    except (OSError, flight.FlightError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot listen on {listen} ({reason}): choose another port") from None
    if host is None:
        everywhere = address in ("0.0.0.0", "::")
        host = socket.getfqdn() if everywhere else address
    location = joined(scheme, host, server.port)
    told = _told(build, names, location)
    file = None
    if register is not None:
        file = registry.register(register, name or f"{host.replace(':', '.')}-{server.port}", told)
    log(
        "serving",
        location=location,
        rows=sum(shard.rows for shard in held),
        limits=dataclasses.asdict(limits),
        token=token is not None,
        tls=bool(tls),
    )
    while not stopping.wait(TOLD_EVERY):
        log("metrics", **server.metrics.told())
    log("stopping", signal=signal.Signals(signals[0]).name)
    if file is not None:
        _unregister(file, told)
    is_done = server.stop()
    log("stopped", finished=is_done, **server.metrics.told())
    sys.exit(0 if is_done else 1)
