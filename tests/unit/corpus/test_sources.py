"""Sources against real servers on this machine: what arrives is whole, or an error says why."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tttnn.corpus.documents import CorpusError
from tttnn.corpus.sources import http, local
from tttnn.corpus.sources.http import HttpSource
from tttnn.corpus.sources.huggingface import HuggingFaceSource
from tttnn.corpus.sources.local import LocalSource

PACKAGES = Path(http.__file__).parents[3]
BODY = random.Random(0).randbytes(1_500_000)
DIGEST = hashlib.sha256(BODY).hexdigest()
UNUSED = Path("unused")  # what a source makes a file at, if it has to make one


@pytest.fixture
def serve() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    """Start a server with a handler; gives its URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# --- local ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train").mkdir()
    for name in ("train/00.jsonl.zst", "train/01.parquet", "val.jsonl"):
        (tmp_path / name).write_bytes(b"\0" + name.encode())
    return tmp_path


@pytest.mark.parametrize(
    ("shard", "name"),
    [("00", "train/00.jsonl.zst"), ("01", "train/01.parquet"), ("val", "val.jsonl")],
)
def test_local_finds_each_shard_in_its_format(folder: Path, shard: str, name: str) -> None:
    fetched = local.fetch(LocalSource(kind="local", path=str(folder)), shard, 4, UNUSED)
    assert fetched.path == folder / name
    assert fetched.sha256 == hashlib.sha256(b"\0" + name.encode()).hexdigest()
    assert not fetched.temporary


def test_local_says_what_it_looked_for_and_what_is_there(folder: Path) -> None:
    source = LocalSource(kind="local", path=str(folder))
    with pytest.raises(CorpusError) as raised:
        local.fetch(source, "02", 4, UNUSED)
    for part in ("train/02.jsonl.zst", "train/02.parquet", "00.jsonl.zst, 01.parquet"):
        assert part in str(raised.value)
    with pytest.raises(CorpusError, match="nowhere/train does not exist"):
        local.fetch(LocalSource(kind="local", path=str(folder / "nowhere")), "00", 4, UNUSED)


def _write_as_link(path: Path) -> None:
    path.symlink_to("../away/00.jsonl")


NEAR = {
    "00.jsonl.gz": (gzip.compress(b'{"text": "x"}\n'), "is compressed by gzip: .*gzip -dc"),
    "00.ndjson": (b'{"text": "x"}\n', r"rename it to end in \.jsonl\."),
    "00.json": (b'[\n  {"text": "x"}\n]\n', r"is not read\. .*jq -c '\.\[\]'"),
    "00.csv": (b"text,subset\nx,ArXiv\n", "is not read: rename or convert"),
    "00": (b'{"text": "x"}\n', r"rename it to end in \.jsonl\."),
    "00.jsonl": (Path.mkdir, "is a folder: the shard must be one file"),
    "00.parquet": (os.mkfifo, "is no file that can be read"),
    "00.jsonl.zst": (_write_as_link, "is a link to ../away/00.jsonl, which .*: repair it"),
}


@pytest.mark.parametrize("name", NEAR)
def test_local_says_what_to_do_with_the_very_entry_that_is_the_shards(name, tmp_path) -> None:
    content, said = NEAR[name]
    path = tmp_path / "train" / name
    path.parent.mkdir()
    (path.parent / "000.jsonl").touch()  # none of the shard's
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    with pytest.raises(CorpusError, match=f"{path} {said}|{path} .*{said}") as raised:
        local.fetch(LocalSource(kind="local", path=str(tmp_path)), "00", 4, UNUSED)
    assert "lower corpus.shards" not in str(raised.value)
    assert str(path.parent / "000.jsonl") not in str(raised.value)


def test_local_tells_how_to_get_what_an_annex_holds(tmp_path: Path) -> None:
    (tmp_path / "val.jsonl").symlink_to(".git/annex/objects/aB/cD/SHA256E-s9--00.jsonl/x.jsonl")
    with pytest.raises(CorpusError, match=r"val\.jsonl is a link to .*git annex get"):
        local.fetch(LocalSource(kind="local", path=str(tmp_path)), "val", 4, UNUSED)


def test_local_refuses_two_files_of_one_shard(folder: Path) -> None:
    (folder / "train/00.jsonl").touch()
    with pytest.raises(CorpusError, match=r"train/00\.jsonl\.zst and train/00\.jsonl\."):
        local.fetch(LocalSource(kind="local", path=str(folder)), "00", 4, UNUSED)


def test_local_checks_the_digest_whatever_its_case(folder: Path) -> None:
    right = hashlib.sha256(b"\0val.jsonl").hexdigest()
    source = LocalSource(kind="local", path=str(folder), sha256={"val.jsonl": right.upper()})
    local.fetch(source, "val", 4, UNUSED)
    source = LocalSource(kind="local", path=str(folder), sha256={"val.jsonl": "0" * 64})
    with pytest.raises(CorpusError, match=f"expected {'0' * 64}, got {right}"):
        local.fetch(source, "val", 4, UNUSED)


def test_local_names_its_input_and_leaves_faults_to_the_fetch(folder: Path) -> None:
    source = LocalSource(kind="local", path=str(folder))
    for shard, name in [("00", "train/00.jsonl.zst"), ("01", "train/01.parquet")]:
        assert source.input_file(shard) == folder / name
        assert source.input_file(shard) == local.fetch(source, shard, 4, UNUSED).path
    assert source.input_file("02") is None
    (folder / "train/00.parquet").touch()
    assert source.input_file("00") is None  # which of the two, the fetch asks


def test_naming_the_input_loads_no_heavy_library() -> None:
    """Snakemake asks for every shard, each time it starts."""
    code = (
        "import sys; import tttnn.corpus.sources.local\n"
        "print(sorted({'pyarrow', 'numpy', 'zstandard', 'torch', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(PACKAGES)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_local_names_a_pointer_before_it_compares_digests(folder: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 7\n"
    (folder / "val.jsonl").write_bytes(pointer)
    source = LocalSource(kind="local", path=str(folder), sha256={"val.jsonl": "0" * 64})
    with pytest.raises(CorpusError, match=r"val\.jsonl is named \.jsonl but .*`git lfs pull`"):
        local.fetch(source, "val", 4, UNUSED)


NO_NAMES = ["../x.jsonl", "/data/x.jsonl", "C:/x.jsonl", "a\\x.jsonl", "a/../../x.jsonl", ""]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_source_s_files_are_names_and_never_paths(name: str) -> None:
    hub = {"kind": "huggingface", "dataset": "some/pile", "revision": "main"}
    digests = {"sha256": {name: "0" * 64}}
    for source in (
        lambda: HuggingFaceSource(**hub, files={"00": name}),
        lambda: HuggingFaceSource(**hub, files={"00": "x.jsonl"}, **digests),
        lambda: HttpSource(kind="http", base_url="http://x", **digests),
        lambda: LocalSource(kind="local", path="/data", **digests),
    ):
        with pytest.raises(ValueError, match="the source names the file"):
            source()


# --- http ----------------------------------------------------------------------------------------


class Mirror:
    """A server of one file with ETag, Range and If-Range, which misbehaves as `script` says.

    Each item of `script` is for one request: `status` answers so; `cut` ends the connection after
    so many bytes of the body; `stall` keeps it open instead, and `trickle` then sends a byte every
    so many seconds; `flip` sends a wrong last byte;
    `claim` adds to the Content-Length; `new` replaces the file first; `deaf` ignores Range and
    `careless` If-Range; `range` is a false Content-Range; `most` answers with that many bytes of
    the range at most; `chunked` gives no Content-Length.
    """

    def __init__(self) -> None:
        self.body = BODY
        self.named = True  # whether versions have an ETag
        self.script: list[dict] = []
        self.log: list[tuple[str, str | None, int]] = []  # path, Range, status

    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:8]}"'

    def handler(mirror) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                act = mirror.script.pop(0) if mirror.script else {}
                mirror.body = act.get("new", mirror.body)
                body, status, headers = mirror.body, 200, {}
                asked = self.headers.get("Range")
                fresh = "careless" in act or self.headers["If-Range"] in (None, mirror.etag())
                if "status" in act:
                    status, body, headers = act["status"], b"", act.get("headers", {})
                elif asked and fresh and "deaf" not in act:
                    start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
                    size = len(body)
                    body = body[start:][: act.get("most", size)]
                    status = 206 if body else 416
                    span = f"{start}-{start + len(body) - 1}" if body else "*"
                    headers["Content-Range"] = act.get("range", f"bytes {span}/{size}")
                mirror.log.append((self.path, asked, status))
                if "flip" in act:
                    body = body[:-1] + bytes([body[-1] ^ 1])
                self.send_response(status)
                if mirror.named:
                    self.send_header("ETag", mirror.etag())
                if "chunked" not in act:
                    self.send_header("Content-Length", str(len(body) + act.get("claim", 0)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[: act.get("cut", len(body))])
                self.wfile.flush()
                if "trickle" in act:
                    with suppress(OSError):  # whoever asked has gone
                        for byte in body[act["cut"] :]:
                            self.wfile.write(bytes([byte]))
                            self.wfile.flush()
                            time.sleep(act["trickle"])
                if "stall" in act:
                    time.sleep(60)
                if act.keys() & {"cut", "claim", "chunked"}:
                    self.close_connection = True

        return Handler


@pytest.fixture
def mirror() -> Mirror:
    return Mirror()


@pytest.fixture
def fetch(mirror: Mirror, serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "FIRST_WAIT", 0.001)
    url = serve(mirror.handler())

    def fetch(shard: str = "00", **options: object):
        source = HttpSource(kind="http", base_url=url, **{"retries": 3, "timeout": 5} | options)
        return http.fetch(source, shard, 4, tmp_path / "corpus" / ".00.part")

    return fetch


def ranges(mirror: Mirror) -> list[tuple[str | None, int]]:
    return [(asked, status) for _, asked, status in mirror.log]


def test_http_fetches_the_pile_layout(mirror: Mirror, fetch) -> None:
    fetched = fetch("00", sha256={"train/00.jsonl.zst": DIGEST})
    assert fetched.path.read_bytes() == BODY
    assert fetched.sha256 == DIGEST
    assert fetched.origin["url"].endswith("/train/00.jsonl.zst")
    fetch("val", suffix=".parquet")
    assert [path for path, *_ in mirror.log] == ["/train/00.jsonl.zst", "/val.parquet"]


def test_http_resumes_after_a_break(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 700_000}, {"cut": 300_000}]
    assert fetch().path.read_bytes() == BODY
    (_, second, third) = ranges(mirror)
    assert second == ("bytes=700000-", 206)
    assert third == ("bytes=1000000-", 206)


def test_http_goes_on_while_each_attempt_brings_something(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 100_000} for _ in range(10)]
    assert fetch(retries=1).path.read_bytes() == BODY
    assert len(mirror.log) == 11


def test_http_gives_up_and_continues_in_the_next_run(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 900_000}, {"cut": 0}, {"cut": 0}]
    with pytest.raises(CorpusError, match="900,000 bytes are kept"):
        fetch(retries=2)
    mirror.log.clear()
    assert fetch().path.read_bytes() == BODY
    assert ranges(mirror) == [("bytes=900000-", 206)]


def test_http_asks_again_for_a_whole_file_but_does_not_transfer_it(mirror: Mirror, fetch) -> None:
    fetch()
    assert fetch().path.read_bytes() == BODY
    assert ranges(mirror) == [(None, 200), ("bytes=1500000-", 416)]


def test_http_survives_a_killed_process(mirror: Mirror, serve, tmp_path: Path) -> None:
    mirror.script = [{"cut": 1_200_000, "stall": True}]
    source = HttpSource(kind="http", base_url=serve(mirror.handler()))
    partial = tmp_path / ".00.part.jsonl.zst"
    code = (
        "import sys; from pathlib import Path; from tttnn.corpus.sources.http import HttpSource\n"
        "from tttnn.corpus.sources import http\n"
        "http.fetch(HttpSource.model_validate_json(sys.argv[1]), '00', 4, Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, source.model_dump_json(), str(tmp_path / ".00.part")]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(PACKAGES)}, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size >= 2 * http.BLOCK):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    arrived = partial.stat().st_size
    assert 0 < arrived < len(BODY)
    assert http.fetch(source, "00", 4, tmp_path / ".00.part").path.read_bytes() == BODY
    assert ranges(mirror) == [(None, 200), (f"bytes={arrived}-", 206)]


def test_http_starts_over_where_ranges_are_ignored(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 700_000}, {"deaf": True}]
    assert fetch().path.read_bytes() == BODY
    assert ranges(mirror) == [(None, 200), ("bytes=700000-", 200)]


def test_http_never_joins_two_versions(mirror: Mirror, fetch) -> None:
    changed = random.Random(1).randbytes(1_400_000)
    mirror.script = [{"cut": 700_000}, {"new": changed}]
    assert fetch().path.read_bytes() == changed
    assert ranges(mirror) == [(None, 200), ("bytes=700000-", 200)]


def test_http_never_joins_two_versions_for_a_server_without_if_range(mirror: Mirror, fetch) -> None:
    changed = random.Random(1).randbytes(len(BODY))
    mirror.script = [{"cut": 700_000}, {"new": changed, "careless": True}]
    assert fetch().path.read_bytes() == changed
    assert ranges(mirror) == [(None, 200), ("bytes=700000-", 206), (None, 200)]


def test_http_continues_after_a_part_of_the_range(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 700_000}, {"most": 300_000}]
    assert fetch().path.read_bytes() == BODY
    assert ranges(mirror)[1:] == [("bytes=700000-", 206), ("bytes=1000000-", 206)]


def test_http_never_joins_two_versions_between_runs(mirror: Mirror, fetch) -> None:
    fetch()
    changed = random.Random(1).randbytes(len(BODY))
    mirror.script = [{"new": changed}]
    assert fetch().path.read_bytes() == changed


def test_http_never_joins_two_files(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 700_000}, {"cut": 0}]
    with pytest.raises(CorpusError):
        fetch("00", retries=0)
    mirror.script = []
    assert fetch("01").path.read_bytes() == BODY
    assert mirror.log[-1] == ("/train/01.jsonl.zst", None, 200)


def test_http_does_not_resume_what_has_no_version(mirror: Mirror, fetch) -> None:
    mirror.named = False
    mirror.script = [{"cut": 700_000}]
    assert fetch().path.read_bytes() == BODY
    assert ranges(mirror) == [(None, 200), (None, 200)]


def test_http_starts_over_after_a_range_that_was_not_asked(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 700_000}, {"range": "bytes 600000-1499999/1500000"}]
    assert fetch().path.read_bytes() == BODY
    assert ranges(mirror)[-1] == (None, 200)


def test_http_starts_over_when_more_is_there_than_the_file_holds(mirror: Mirror, fetch) -> None:
    path = fetch().path
    with path.open("ab") as file:
        file.write(b"too much")
    assert fetch().path.read_bytes() == BODY
    assert ranges(mirror)[1:] == [("bytes=1500008-", 416), (None, 200)]


def test_http_waits_as_long_as_the_server_says(
    mirror: Mirror, fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(http.time, "sleep", waits.append)
    mirror.script = [
        {"status": 503, "headers": {"Retry-After": "17"}},
        {"status": 429},
        {"status": 500},
    ]
    assert fetch().path.read_bytes() == BODY
    assert waits == [17, 0.002, 0.004]


def test_http_gives_up_on_a_server_that_stays_down(mirror: Mirror, fetch) -> None:
    mirror.script = [{"status": 503} for _ in range(9)]
    with pytest.raises(CorpusError, match="status 503; gave up after 4 attempts"):
        fetch(retries=3)
    assert len(mirror.log) == 4


@pytest.mark.parametrize(
    ("status", "remedy"), [(404, "check base_url"), (403, "forbids"), (401, "netrc"), (410, "Gone")]
)
def test_http_does_not_insist_on_what_cannot_be_had(
    mirror: Mirror, fetch, status: int, remedy: str
) -> None:
    mirror.script = [{"status": status}]
    with pytest.raises(CorpusError, match=f"/train/00.jsonl.zst: status {status}: .*{remedy}"):
        fetch()
    assert len(mirror.log) == 1


def test_http_does_not_take_a_short_body_for_a_whole_one(mirror: Mirror, fetch) -> None:
    mirror.script = [{"claim": 500}] * 3
    mirror.named = False
    with pytest.raises(CorpusError, match="gave up"):
        fetch(retries=1)


def test_http_wants_to_know_the_length(mirror: Mirror, fetch) -> None:
    mirror.script = [{"chunked": True}]
    with pytest.raises(CorpusError, match="does not say how long the file is"):
        fetch()


def test_http_deletes_what_has_a_wrong_digest(mirror: Mirror, fetch, tmp_path: Path) -> None:
    mirror.script = [{"flip": True}]
    wrong = hashlib.sha256(BODY[:-1] + bytes([BODY[-1] ^ 1])).hexdigest()
    with pytest.raises(CorpusError, match=f"train/00.jsonl.zst .* expected {DIGEST}, got {wrong}"):
        fetch(sha256={"train/00.jsonl.zst": DIGEST})
    assert list((tmp_path / "corpus").iterdir()) == []
    assert fetch(sha256={"train/00.jsonl.zst": DIGEST}).sha256 == DIGEST


def test_http_retries_a_server_that_does_not_answer(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(http, "FIRST_WAIT", 0.001)
    source = HttpSource(kind="http", base_url="http://127.0.0.1:9", retries=1, timeout=1)
    with pytest.raises(CorpusError, match=r"127.0.0.1:9/test.jsonl.zst: .*gave up after 2"):
        http.fetch(source, "test", 4, tmp_path / "part")


def test_http_times_out_and_resumes(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 1_000_000, "stall": True}]
    assert fetch(timeout=0.3).path.read_bytes() == BODY
    assert ranges(mirror)[1][1] == 206


def test_http_keeps_the_little_that_arrived_before_each_stall(mirror: Mirror, fetch) -> None:
    """Far less than a block: it must not wait in a buffer, to be lost with the connection."""
    mirror.body = BODY[:2500]
    mirror.script = [{"cut": 1000, "stall": True}, {"cut": 700, "stall": True}]
    assert fetch(timeout=0.2, slowest=10).path.read_bytes() == BODY[:2500]
    assert ranges(mirror) == [(None, 200), ("bytes=1000-", 206), ("bytes=1700-", 206)]


def test_http_goes_on_after_each_stall_while_enough_arrives(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 250_000, "stall": True} for _ in range(5)]
    assert fetch(timeout=0.1, retries=1).path.read_bytes() == BODY
    assert [asked for asked, _ in ranges(mirror)[1:]] == [
        f"bytes={250_000 * attempt}-" for attempt in range(1, 6)
    ]


def test_http_asks_again_where_a_body_trickles(mirror: Mirror, fetch) -> None:
    """A byte comes within every time-out, so the socket never complains."""
    mirror.script = [{"cut": 100_000, "trickle": 0.01}, {"cut": 1, "trickle": 0.01}]
    assert fetch(timeout=0.2, slowest=1_000_000).path.read_bytes() == BODY
    assert [status for _, status in ranges(mirror)] == [200, 206, 206]
    starts = [int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) for asked, _ in ranges(mirror)[1:]]
    assert 100_000 < starts[0] < starts[1] < 101_000


def test_http_gives_up_on_a_body_that_only_trickles(mirror: Mirror, fetch, tmp_path) -> None:
    """Each attempt brings a few bytes, which is no reason to try for ever."""
    mirror.script = [{"cut": 0, "trickle": 0.02} for _ in range(9)]
    with pytest.raises(CorpusError, match=r"bytes a second.*gave up after 3 attempts.*are kept"):
        fetch(timeout=0.15, slowest=1000, retries=2)
    assert len(mirror.log) == 3
    mirror.script = []
    assert fetch().path.read_bytes() == BODY  # with what arrived
    assert mirror.log[-1][1] is not None


def test_http_may_be_told_to_bear_a_slow_body(mirror: Mirror, fetch) -> None:
    mirror.body = BODY[:40]
    mirror.script = [{"cut": 0, "trickle": 0.01}]
    assert fetch(timeout=0.1, slowest=0).path.read_bytes() == BODY[:40]
    assert len(mirror.log) == 1


@pytest.mark.parametrize(
    "wrong",
    ["bytes 0-1499999/1500000", "bytes 700001-1499999/1500000", "bytes */1500000", "700000", ""],
)
def test_http_starts_over_wherever_a_stall_is_followed_by_a_wrong_range(
    mirror: Mirror, fetch, wrong: str
) -> None:
    mirror.script = [{"cut": 700_000, "stall": True}, {"range": wrong}]
    assert fetch(timeout=0.1).path.read_bytes() == BODY
    assert ranges(mirror) == [(None, 200), ("bytes=700000-", 206), (None, 200)]


def test_http_gives_up_on_ranges_that_stay_wrong(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 700_000}, {"range": "bytes 0-1/2"}] * 9
    with pytest.raises(CorpusError, match="gave up after 3 attempts"):
        fetch(retries=2)


def test_http_notes_which_version_of_a_file_it_has(mirror: Mirror, fetch) -> None:
    mirror.script = [{"cut": 700_000}]
    assert fetch().version == {"bytes": len(BODY), "etag": mirror.etag()}
    mirror.named = False
    mirror.script = [{"status": 503}, {"new": BODY[:5]}]
    assert fetch("01").version == {"bytes": 5}


PAGE = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head></html>"


def test_http_names_a_web_page_and_forgets_it(mirror: Mirror, fetch, tmp_path: Path) -> None:
    mirror.script = [{"new": PAGE}]
    with pytest.raises(CorpusError, match=r"is a web page .* needs a login"):
        fetch(sha256={"train/00.jsonl.zst": DIGEST})
    assert list((tmp_path / "corpus").iterdir()) == []
    mirror.script = [{"new": BODY}]
    assert fetch().path.read_bytes() == BODY


# --- huggingface ---------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "train/00.jsonl.zst"


class Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks of the hub for a file: a redirect with its digest, then its bytes.

    Headers as the hub's own for a large file; error codes are those the library looks for.
    """

    sent = BODY

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/cdn/blob":
            self.answer(200, {"ETag": '"cdn"'}, self.sent)
            return
        asked = re.fullmatch(r"/datasets/(\w+/\w+)/resolve/(\w+)/(.+)", self.path)
        if asked is None:  # the library asks for things of its own, too
            self.answer(404, {})
            return
        dataset, revision, name = asked.groups()
        if dataset == "some/gated":
            self.answer(403, {"X-Error-Code": "GatedRepo"})
        elif dataset != "some/pile":
            self.answer(404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in (COMMIT, "main"):
            self.answer(404, {"X-Error-Code": "RevisionNotFound"})
        elif name != NAME:
            self.answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            headers = {
                "X-Repo-Commit": COMMIT,
                "X-Linked-Etag": f'"{DIGEST}"',
                "X-Linked-Size": str(len(BODY)),
                # another host: the library takes the digest from the answer that leaves the hub
                "Location": f"http://localhost:{self.server.server_port}/cdn/blob",
            }
            self.answer(302, headers)

    do_HEAD = do_GET


class WrongHub(Hub):
    sent = BODY[:-1] + bytes([BODY[-1] ^ 1])


@pytest.fixture
def ask_hub(tmp_path: Path):
    """Fetch shard 00 in a fresh process, as huggingface_hub reads its settings when imported."""
    code = (
        "import json, sys; from pathlib import Path\n"
        "from tttnn.corpus.sources.huggingface import HuggingFaceSource\n"
        "from tttnn.corpus.documents import CorpusError\n"
        "from tttnn.corpus.sources import huggingface\n"
        "source = HuggingFaceSource.model_validate_json(sys.argv[1])\n"
        "try: fetched = huggingface.fetch(source, '00', 4, Path('unused'))\n"
        "except CorpusError as error: sys.exit(f'CorpusError: {error}')\n"
        "print(json.dumps([str(fetched.path), fetched.sha256, fetched.origin]))"
    )

    def ask(endpoint: str, *, offline: bool = False, **options: object) -> str:
        values = {"dataset": "some/pile", "revision": COMMIT, "files": {"00": NAME}} | options
        source = HuggingFaceSource(kind="huggingface", **values)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("HF_")
        } | {
            "PYTHONPATH": str(PACKAGES),
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_OFFLINE": str(int(offline)),
        }
        done = subprocess.run(
            [sys.executable, "-c", code, source.model_dump_json()],
            env=environment,
            capture_output=True,
            text=True,
        )
        return done.stdout if done.returncode == 0 else done.stderr

    return ask


def test_hub_file_is_fetched_checked_and_then_found_offline(serve, ask_hub, tmp_path) -> None:
    url = serve(Hub)
    for offline in (False, True):
        answer = ask_hub("http://127.0.0.1:9" if offline else url, offline=offline)
        path, digest, origin = json.loads(answer)
        assert Path(path).read_bytes() == BODY
        assert Path(path).is_relative_to(tmp_path / "hf")
        assert digest == DIGEST
        expected = {"dataset": "some/pile", "revision": COMMIT, "commit": COMMIT, "file": NAME}
        assert origin == expected


def test_hub_branch_is_recorded_as_its_commit(serve, ask_hub) -> None:
    origin = json.loads(ask_hub(serve(Hub), revision="main"))[2]
    assert (origin["revision"], origin["commit"]) == ("main", COMMIT)


def test_hub_content_is_compared_with_the_digest_the_hub_gives(serve, ask_hub) -> None:
    answer = ask_hub(serve(WrongHub))
    wrong = hashlib.sha256(WrongHub.sent).hexdigest()
    assert re.search(f"CorpusError: .*{NAME}.* expected {DIGEST}, got {wrong}.*Delete", answer)


def test_hub_content_is_compared_with_the_configured_digest(serve, ask_hub) -> None:
    answer = ask_hub(serve(Hub), sha256={NAME: "1" * 64})
    assert f"expected {'1' * 64}, got {DIGEST}" in answer


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"revision": "f" * 40}, "no such revision"),
        ({"files": {"00": "train/99.jsonl.zst"}}, "the revision has no such file"),
        ({"dataset": "some/thing"}, "no such data set, or it is private"),
        ({"dataset": "some/gated"}, "the data set is gated: accept its terms"),
        ({"dataset": "not an id"}, "cannot fetch"),
        ({"files": {"00": "train/00.jsonl.gz"}}, "ends in one of"),
        ({"offline": True}, "HF_HUB_OFFLINE is set"),
    ],
)
def test_hub_errors_say_what_to_do(serve, ask_hub, options: dict, remedy: str) -> None:
    answer = ask_hub(serve(Hub), **options)
    assert re.search(rf"^CorpusError: .*{remedy}", answer, re.MULTILINE), answer
    assert "Traceback" not in answer
