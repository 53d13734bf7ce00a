"""Connections that nobody uses any more are closed, for gRPC, as pyarrow gives it, closes none.

gRPC's server takes every connection, waits for ever for a client that does not read its answer, and
reads a request of any size before it shows it to us; none of its options for these can be set
through pyarrow. So a thread looks at the process's own sockets, and shuts down those of clients
that have not read in time, that send more than a request may have, or that are too many.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from tttnn.live.limits import Limits, Refused
from tttnn.live.metrics import Log, Metrics

EVERY = 1.0  # seconds
DESCRIPTORS = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
BYTES_RECEIVED = struct.Struct("=Q")
AT = 128  # of `tcpi_bytes_received` in Linux's `struct tcp_info`
SMALL = 1 << 16  # bytes of an answer
OTHER = 64  # descriptors that are no connections

Peer = tuple[str, int]
"""Address and port of a client."""


def raise_descriptor_limit() -> int:
    """As many open files as this process may have; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with suppress(ValueError, OSError):  # macOS has a lower one that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def peer_of(said: str) -> Peer:
    """What gRPC calls a client: `ipv4:127.0.0.1:5` or `ipv6:%5B::1%5D:5`."""
    address, _, port = unquote(said).partition(":")[2].rpartition(":")
    return address.strip("[]").removeprefix("::ffff:"), int(port) if port.isdigit() else 0


def _received(connection: socket.socket) -> int:
    """Bytes that a connection has sent us so far; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, AT + BYTES_RECEIVED.size)
    return BYTES_RECEIVED.unpack_from(info, AT)[0] if len(info) >= AT + 8 else 0


@contextmanager
def _duplicate(descriptor: int) -> Iterator[socket.socket]:
    """A socket of our own for a connection of gRPC's, so that none is closed for another."""
    own = os.dup(descriptor)
    try:
        if not stat.S_ISSOCK(os.fstat(own).st_mode):
            raise OSError(errno.ENOTSOCK, "no socket")
        connection = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise
    try:
        yield connection
    finally:
        connection.close()


class Connections:
    """A server's connections, by peer; `port` is the one that it listens on."""

    def __init__(self, port: int, limits: Limits, metrics: Metrics, log: Log) -> None:
        self._port, self._limits, self._metrics, self._log = port, limits, metrics, log
        self._most = min(limits.connections, raise_descriptor_limit() - OTHER)
        self._lock = threading.Lock()
        self._unread: dict[object, tuple[Peer, float]] = {}
        self._unread_bytes = 0
        self._accounted: dict[Peer, int] = {}  # bytes of requests, of those who made one
        self._stopped = threading.Event()
        self.open = 0
        threading.Thread(target=self._work, name="connections", daemon=True).start()

    def asked(self, peer: Peer, size: int) -> None:
        """A client was heard: a request of this size was of its bytes."""
        with self._lock:
            self._accounted[peer] = self._accounted.get(peer, 0) + size

    @contextmanager
    def reading(self, peer: Peer, size: int) -> Iterator[None]:
        """While a client reads an answer of this size.

        Raises `Refused` as busy where too much has not been read; small answers have their room,
        whoever does not read large ones.
        """
        key = object()
        with self._lock:
            if size > SMALL and self._unread_bytes + size > self._limits.unread_bytes:
                raise Refused("busy", "too many answers have not been read: try again later")
            self._unread[key] = peer, time.monotonic()
            self._unread_bytes += size
        try:
            yield
        finally:
            with self._lock:
                del self._unread[key]
                self._unread_bytes -= size

    @property
    def unread(self) -> int:
        return len(self._unread)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def close_all(self) -> None:
        """Shut down every connection."""
        for connection, _ in self._each():
            connection.shutdown(socket.SHUT_RDWR)

    def _each(self) -> Iterator[tuple[socket.socket, Peer]]:
        """The connections to our port, with their peers."""
        for name in os.listdir(DESCRIPTORS):  # noqa: PTH208 - ten thousand of them
            try:
                with _duplicate(int(name)) as connection:
                    if connection.family not in (socket.AF_INET, socket.AF_INET6):
                        continue
                    address, port = connection.getpeername()[:2]
                    if connection.getsockname()[1] == self._port:
                        yield connection, (address.removeprefix("::ffff:"), port)
            except OSError:  # no socket, one that listens, or gone by now
                continue

    def _work(self) -> None:
        while not self._stopped.wait(EVERY):
            try:
                self._look()
            except Exception as error:
                self._log("connections", error=repr(error))

    def _look(self) -> None:
        now = time.monotonic()
        with self._lock:
            since = list(self._unread.values())
        slow = {peer for peer, start in since if now - start > self._limits.read_seconds}
        found: set[Peer] = set()
        for connection, peer in self._each():
            found.add(peer)
            accounted = self._accounted.get(peer)
            if peer in slow:
                self._close(connection, peer, "unread")
            elif _received(connection) - 2 * (accounted or 0) > 4 * self._limits.max_request_bytes:
                self._close(connection, peer, "too much sent")
            elif len(found) > self._most and accounted is None:
                self._close(connection, peer, "too many")
        self.open = len(found)
        with self._lock:
            for peer in self._accounted.keys() - found:
                del self._accounted[peer]

    def _close(self, connection: socket.socket, peer: Peer, why: str) -> None:
        connection.shutdown(socket.SHUT_RDWR)
        self._metrics.count(f"closed, {why}")
        self._log("closed", peer=f"{peer[0]}:{peer[1]}", why=why)
