"""One server, as a client sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

from tttnn.live.limits import Refused
from tttnn.live.security import headers

RECONNECT = 1000  # milliseconds, at most, until a server that was away is tried again
CONNECT = 5000  # milliseconds, at most, until a connection stands
DETAIL = re.compile(r"(\. Detail: |\. gRPC client debug context|\. Client context).*", re.S)
SAID = re.compile(r"^Flight (returned|error)[^:]*: ")


class RemoteError(ValueError):
    """A server that gave no answer; the message names it and says why."""

    def __init__(self, location: str, name: str, reason: str) -> None:
        super().__init__(f"{location}: {reason}")
        self.location, self.name = location, name


def _reason(error: BaseException) -> str:
    """What Flight says, without what it adds for its own developers, in one line."""
    text = DETAIL.sub("", SAID.sub("", " ".join(str(error).split())))
    return text.removeprefix("with message: ")[:300] or type(error).__name__


class Remote:
    """A connection, made when it is first used and again after it broke."""

    def __init__(self, location: str, token: str | None, roots: bytes | None) -> None:
        self.location = location
        self._headers = headers(token)
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", CONNECT),  # for which gRPC lets one attempt go on
            ("grpc.max_reconnect_backoff_ms", RECONNECT),
            ("grpc.keepalive_time_ms", 120_000),
            ("grpc.enable_http_proxy", 0),
        ]
        self._client = flight.FlightClient(location, tls_root_certs=roots, generic_options=options)

    def call(self, action: str, body: pa.Buffer, seconds: float) -> pa.Buffer:
        """The answer's one message; raises `RemoteError`."""
        if seconds <= 0:
            raise RemoteError(self.location, "deadline", f"no time was left to ask for {action}")
        options = flight.FlightCallOptions(timeout=seconds, headers=self._headers)
        try:
            results = list(self._client.do_action(flight.Action(action, body), options))
        except flight.FlightTimedOutError:
            raise RemoteError(
                self.location, "deadline", f"no answer to {action} in {seconds:.3g} s"
            ) from None
        except flight.FlightServerError as error:
            raise RemoteError(self.location, _name(error), _reason(error)) from None
        except flight.FlightUnauthenticatedError as error:
            raise RemoteError(self.location, "token", _reason(error)) from None
        except flight.FlightUnavailableError as error:
            raise RemoteError(self.location, "unavailable", _reason(error)) from None
        except (pa.ArrowException, OSError) as error:
            raise RemoteError(self.location, "failed", _reason(error)) from None
        if len(results) != 1:
            raise RemoteError(self.location, "failed", f"{len(results)} messages for one answer")
        return results[0].body

    def ask(self, action: str, seconds: float) -> dict[str, Any]:
        """The answer to an action that takes nothing and answers in JSON."""
        body = self.call(action, pa.py_buffer(b""), seconds)
        try:
            told = json.loads(body.to_pybytes())
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise RemoteError(self.location, "failed", f"its {action} is no JSON object")
        return told

    @contextmanager
    def reading(self) -> Iterator[None]:
        """An answer that cannot be read is the server's fault: raises `RemoteError`."""
        try:
            yield
        except Refused as refused:
            raise RemoteError(self.location, "failed", str(refused)) from None

    def close(self) -> None:
        self._client.close()


def _name(error: flight.FlightServerError) -> str:
    try:
        return str(json.loads(error.extra_info)["name"])
    except (ValueError, TypeError, KeyError):
        return "failed"
