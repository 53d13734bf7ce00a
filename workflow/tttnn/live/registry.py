"""Where servers are: a file of host:port lines, or a folder in which each server has put a file.

A server writes its file when it can answer and removes it when it is stopped. One that was killed
leaves it behind: whoever reads the folder asks each server how it is, and so finds out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tttnn.files import write_json
from tttnn.reading import ReadingError, read_json

SCHEMES = ("grpc+tls", "grpc+tcp", "grpc")
LOCATION = re.compile(
    r"((?P<scheme>[a-z+]+)://)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})"
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def split_location(location: str, said_by: object) -> tuple[str, str, int]:
    """Scheme, `grpc+tls` or `grpc` or empty, host and port; raises `ValueError`."""
    match = LOCATION.fullmatch(location)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"{said_by}: {location[:200]!r} is no HOST:PORT")
    scheme = match["scheme"] or ""
    if scheme and scheme not in SCHEMES:
        raise ValueError(f"{said_by}: {location[:200]!r} begins with none of {', '.join(SCHEMES)}")
    return scheme.replace("grpc+tcp", "grpc"), match["host"].strip("[]"), int(match["port"])


def joined(scheme: str, host: str, port: int) -> str:
    """The location as gRPC takes it."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def register(folder: Path, name: str, told: dict[str, Any]) -> Path:
    """Put a server's file into the folder, whole or not at all, in the place of an older one."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} names no server: use letters, digits, '.', '_', '-'")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    write_json(file, told)
    return file


def locations(source: Path, scheme: str) -> list[str]:
    """Every server's location, each once; `scheme` is for those that say none.

    Raises `ValueError` for a line that is no location, and where there are none.
    """
    found: list[str] = []
    if source.is_dir():
        for file in sorted(source.glob("[!.]*.json")):
            try:
                told = read_json(file)
            except (FileNotFoundError, ReadingError) as error:
                if not file.exists():  # its server was stopped just now
                    continue
                raise ValueError(f"{error}") from None
            found.append(joined(*split_location(str(told.get("location")), file)))
    else:
        for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), start=1):
            line = line.partition("#")[0].strip()
            if line:
                own, host, port = split_location(line, f"{source}, line {number}")
                found.append(joined(own or scheme, host, port))
    if not found:
        raise ValueError(f"{source} names no server: start some with tttnn serve")
    return list(dict.fromkeys(found))
