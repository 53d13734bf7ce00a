"""The Pile's layout below a URL: resumed after a break, never joined to another version."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import requests
import urllib3
from pydantic import Field
from tqdm import tqdm

from tttnn.corpus.formats import CorpusError
from tttnn.corpus.layout import Fetched, check_fetched
from tttnn.files import write_json
from tttnn.sections.source import DigestedSource, stem

BLOCK = 1 << 18  # bytes
FIRST_WAIT = 1.0  # seconds before the first retry; doubled for each further one
LONGEST_WAIT = 60.0
ASKED = 3.0  # seconds to say which version a file is of
REMEDIES = {
    401: "the server wants a login: put it into ~/.netrc",
    403: "the server forbids it: check that you may read the file",
    404: "there is no such file: check base_url, suffix and corpus.shards",
}


class HttpSource(DigestedSource):
    """The same layout below a base URL, as `.jsonl.zst` (or what `suffix` says)."""

    kind: Literal["http"]
    base_url: str  # of the layout train/NN.*, val.*, test.*
    # that the files' names end in
    suffix: Literal[".jsonl.zst", ".jsonl", ".parquet"] = ".jsonl.zst"
    retries: int = Field(default=8, ge=0)  # attempts in a row that bring nothing new
    timeout: float = Field(default=60, gt=0)  # seconds without a byte
    # bytes a second, over every `timeout` seconds: a body that trickles more slowly is asked for
    # again from where it is, and an attempt that is slower counts as one that brought nothing
    slowest: float = Field(default=1000, ge=0)


class _TransferError(Exception):
    """A transfer that broke off and may be tried again, after `wait` seconds if the server said."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Partial:
    """The bytes that arrived so far, and beside them which version of which file they are of."""

    path: Path

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self, url: str) -> str | None:
        """What the server called the version that these bytes are of, if they are from `url`."""
        try:
            noted = json.loads(self.note.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return noted["version"] if noted["url"] == url else None

    def begin(self, url: str, version: str | None) -> None:
        """Forget what has arrived; from now on bytes are of this version."""
        self.discard()
        write_json(self.note, {"url": url, "version": version})

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _version(response: requests.Response) -> str | None:
    """What If-Range takes: a strong ETag, or else a date of change (RFC 9110, section 13.1.5)."""
    etag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if etag.startswith("W/") else etag


def _check_status(response: requests.Response) -> None:
    """Raise `_TransferError` for a status that may pass, `CorpusError` for any other fault."""
    status = response.status_code
    if status in (408, 429) or status >= 500:
        after = response.headers.get("Retry-After")
        raise _TransferError(
            f"status {status}", urllib3.Retry().parse_retry_after(after) if after else None
        )
    if status not in (200, 206, 416):
        remedy = REMEDIES.get(status, f"{response.reason}; check base_url and suffix")
        raise CorpusError(f"{response.request.url}: status {status}: {remedy}.")


def _expected_size(
    response: requests.Response, url: str, partial: Partial, noted: str | None
) -> int:
    """Size of the whole file in bytes; leaves `partial` as what the response's body continues.

    Raises `_TransferError` where what has arrived is of no use, and `CorpusError` where the
    server gives no size.
    """
    offset = partial.size
    if response.status_code == 200:  # from the start: no range was asked, or none was given
        partial.begin(url, _version(response))
        size = response.headers.get("Content-Length")
    else:
        content_range = response.headers.get("Content-Range", "")
        kept = re.fullmatch(r"bytes (\*|(?P<first>\d+)-\d+)/(?P<size>\d+)", content_range)
        continues = kept is not None and int(kept["first"] or kept["size"]) == offset
        if kept is None or not continues or _version(response) not in (noted, None):
            partial.discard()
            raise _TransferError("the server's range does not continue what has arrived")
        size = kept["size"]
    if size is None:
        raise CorpusError(
            f"{url}: the server does not say how long the file is, so a transfer that breaks off "
            "could not be told from a whole one. Fetch it by other means and use a local source."
        )
    return int(size)


def _append(
    response: requests.Response, file: BinaryIO, source: HttpSource, progress: tqdm
) -> None:
    """Write the body as it arrives, block by block, so that a break loses nothing that arrived.

    Raises `_TransferError` if fewer than `source.slowest` bytes a second come in a whole
    `source.timeout`; that nothing comes is the socket's to say.
    """
    began, arrived = time.monotonic(), 0
    # read1: whatever is there, where `read` and `stream` would hold it back to fill a block;
    # not decoded: a server may say `Content-Encoding: zstd` of a .zst file
    while block := response.raw.read1(BLOCK, decode_content=False):
        file.write(block)
        progress.update(len(block))
        arrived += len(block)
        if (seconds := time.monotonic() - began) >= source.timeout:
            if arrived < source.slowest * seconds:
                raise _TransferError(
                    f"{arrived / seconds:.0f} bytes a second arrive, less than {source.slowest:g}"
                )
            began, arrived = time.monotonic(), 0


def _transfer(url: str, partial: Partial, source: HttpSource) -> dict[str, Any]:
    """One request: append to `partial` what it lacks, or raise `_TransferError` to try again.

    Gives what the server says of the file's version: `bytes`, and `etag` and `last_modified` if
    it says them.
    """
    # compressed on the way, the body's length would not be the file's
    headers = {"Accept-Encoding": "identity"}
    noted = partial.version(url)
    if noted is None:  # nothing tells whether the server still has the same file
        partial.discard()
    elif partial.size:
        headers |= {"Range": f"bytes={partial.size}-", "If-Range": noted}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=source.timeout) as response:
            _check_status(response)
            size = _expected_size(response, url, partial, noted)
            with (
                partial.path.open("ab") as file,
                tqdm(
                    desc=url,
                    initial=file.tell(),
                    total=size,
                    unit="B",
                    unit_scale=True,
                    mininterval=0.5 if sys.stderr.isatty() else 10,
                ) as progress,
            ):
                if response.status_code != 416:  # which means that nothing is lacking
                    _append(response, file, source, progress)
    except requests.exceptions.SSLError as error:
        raise CorpusError(f"{url}: {error}. Check the certificates and the URL.") from None
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise _TransferError(str(error)) from None
    except requests.RequestException as error:
        raise CorpusError(f"{url}: {error}. Check base_url.") from None
    if partial.size != size:
        raise _TransferError(f"{partial.size:,} of {size:,} bytes arrived")
    return {"bytes": size} | _versions(response)


def _url(source: HttpSource, shard: str) -> str:
    return f"{source.base_url.rstrip('/')}/{stem(shard)}{source.suffix}"


def _versions(response: requests.Response) -> dict[str, Any]:
    """What the server says of a file's version: `etag` and `last_modified`, those it gives."""
    said = {"etag": "ETag", "last_modified": "Last-Modified"}
    return {
        name: response.headers[header]
        for name, header in said.items()
        if header in response.headers
    }


def changed(source: HttpSource, shard: str, manifest: Mapping[str, Any]) -> str | None:
    """How the server's file differs from the one that a shard's manifest is of; None if it doesn't.

    Asks for the file's headers alone, once, for `ASKED` seconds at most. None, too, where the
    server cannot be reached, answers anything but 200, or gives nothing that can be compared.
    """
    noted, url = manifest["source"], _url(source, shard)
    if noted.get("url") != url:
        return None  # another place is another setting
    headers = {"Accept-Encoding": "identity"}
    try:
        answer = requests.head(url, headers=headers, timeout=ASKED, allow_redirects=True)
    except requests.RequestException:
        return None
    if answer.status_code != 200:
        return None
    said = _versions(answer)
    if answer.headers.get("Content-Length", "").isdecimal():
        said["bytes"] = int(answer.headers["Content-Length"])
    # the same content may have several dates, and a tag may be called weak by a compressing server
    tags = [str(tag).removeprefix("W/") for each in (noted, said) if (tag := each.get("etag"))]
    if len(tags) == 2:
        compared = ["etag"] if tags[0] != tags[1] else []
    else:
        compared = ["bytes", "last_modified"]
    differ = [
        f"{name} was {noted[name]}, is {said[name]}"
        for name in compared
        if name in noted and name in said and noted[name] != said[name]
    ]
    return f"{url}: {', '.join(differ)}" if differ else None


def fetch(source: HttpSource, shard: str, shards: int, partial: Path) -> Fetched:
    """Transfer the shard's file to `partial`, which survives a killed process and is continued.

    What has arrived is continued only if the server says by its ETag or date that the file is
    still the same, and is of the size the server gives. `source.retries` counts the attempts in a
    row that bring nothing new, or less than `source.slowest` bytes a second. Raises `CorpusError`
    when they are used up, when the server says that asking again is of no use, and, with the
    file deleted, for a wrong digest or content.
    """
    name, url = stem(shard) + source.suffix, _url(source, shard)
    path = partial.with_name(partial.name + source.suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrived = Partial(path)
    failures, furthest = 0, arrived.size
    while True:
        began = time.monotonic()
        try:
            version = _transfer(url, arrived, source)
            break
        except _TransferError as error:
            new = arrived.size - furthest
            is_progress = new > 0 and new >= source.slowest * (time.monotonic() - began)
            failures = 1 if is_progress else failures + 1
            furthest = max(furthest, arrived.size)
            if failures > source.retries:
                raise CorpusError(
                    f"{url}: {error}; gave up after {failures} attempts that brought nothing "
                    f"new, or less than {source.slowest:g} bytes a second. "
                    f"{arrived.size:,} bytes are kept: run again to continue."
                ) from None
            wait = min(FIRST_WAIT * 2 ** (failures - 1), LONGEST_WAIT)
            wait = wait if error.wait is None else error.wait
            tqdm.write(f"{url}: {error}; next attempt in {wait:g} s", file=sys.stderr)
            time.sleep(wait)
    remedy = "It was deleted: run again, or correct sha256 in the source."
    try:
        digest = check_fetched(path, url, remedy, source.sha256.get(name))
    except CorpusError:
        arrived.discard()
        raise
    return Fetched(path, digest, {"url": url}, temporary=True, version=version)
