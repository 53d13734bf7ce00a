"""Who may ask: a token that both sides have from a file or the environment, and TLS."""

from __future__ import annotations

import hmac
import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

import pyarrow.flight as flight

TOKEN = "TTTNN_TOKEN"
HEADER = "authorization"
LEAST = 16  # characters of a token


def read_token(file: Path | None) -> str | None:
    """The token of a file, or of the environment, or none; raises `ValueError` for a bad one."""
    value = os.environ.get(TOKEN)
    said_by = f"{TOKEN} in the environment"
    if file is not None:
        said_by = str(file)
        if file.stat().st_mode & 0o007:
            raise ValueError(f"{file} can be read by everyone: chmod o= {file}")
        value = file.read_text(encoding="utf-8").strip()
    if value is None:
        return None
    if len(value) < LEAST or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(
            f"{said_by} holds no token: {LEAST} or more printable ASCII characters without a "
            "space (openssl rand -hex 32)"
        )
    return value


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host of this name."""
    try:
        found = {address[4][0] for address in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise ValueError(f"host {host!r} is not known here ({error.strerror})") from None
    addresses = (str(address).partition("%")[0] for address in found)
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


def check_reach(host: str, token: str | None, *, has_tls: bool, insecure: bool) -> None:
    """Raise `ValueError` where texts or a token would go beyond this machine unguarded."""
    if is_loopback(host):
        return
    if not has_tls and not insecure:
        raise ValueError(
            f"{host} is beyond this machine, where token and texts would go without TLS: give the "
            "certificates, or --insecure if the network is your own"
        )
    if token is None:
        raise ValueError(
            f"{host} is beyond this machine, where anyone could ask: give --token-file, or {TOKEN} "
            "in the environment"
        )


class _CheckToken(flight.ServerMiddlewareFactory):
    """Lets in calls with the token and no others, before anything of them is looked at."""

    def __init__(self, token: str, refused: Any) -> None:
        self._expected = f"Bearer {token}".encode()
        self._refused = refused

    def start_call(self, info: flight.CallInfo, headers: dict[str, list[str]]) -> None:
        given = headers.get(HEADER, [])
        value = given[0] if len(given) == 1 else ""
        as_bytes = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
        if not hmac.compare_digest(as_bytes, self._expected):
            self._refused()
            raise flight.FlightUnauthenticatedError(
                "token: the call has no token, or not the server's"
            )


def middleware(token: str | None, refused: Any) -> dict[str, flight.ServerMiddlewareFactory]:
    """What a server is made with; `refused` is called for each call that is turned away."""
    return {} if token is None else {"token": _CheckToken(token, refused)}


def headers(token: str | None) -> list[tuple[bytes, bytes]]:
    """What a client sends with each call."""
    return [] if token is None else [(HEADER.encode(), f"Bearer {token}".encode())]
