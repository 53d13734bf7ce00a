"""The download stage: what it keeps, what it rewrites, what it counts, what it refuses."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections import Counter
from email.utils import parsedate_to_datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tttnn.corpus.documents import read_documents
from tttnn.corpus.download import DownloadSpec, download_shard
from tttnn.corpus.formats import ArchiveError, CorpusError

GOOD = [
    {"text": "Eins €一", "meta": {"pile_set_name": "ArXiv", "n": 1}},
    {"text": "Two", "meta": {"pile_set_name": "Github"}},
    {"text": "Three", "meta": {"pile_set_name": "ArXiv"}},
]
BAD = b'{"text": "", "meta": {"pile_set_name": "ArXiv"}}\n{"text": "cut\nnothing\n'


def jsonl(records: list[dict]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=9).compress(data)


class Stage:
    """A local source at `source`, and the outputs of one download."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "pile"
        (self.source / "train").mkdir(parents=True)
        self.documents = folder / "corpus" / "00.jsonl.zst"
        self.rejected = folder / "corpus" / "00.rejected.jsonl"
        self.manifest_file = folder / "corpus" / "00.json"

    def put(self, name: str, content: bytes) -> Path:
        path = self.source / name
        path.write_bytes(content)
        return path

    def run(self, shard: str = "00", source: dict | None = None, **options: object) -> dict:
        source = source or {"kind": "local", "path": str(self.source)}
        defaults = {"shards": 2, "on_bad_record": "fail", "train_has_subsets": True}
        spec = DownloadSpec.model_validate({"source": source, **defaults, **options})
        download_shard(spec, shard, self.documents, self.rejected, self.manifest_file)
        return json.loads(self.manifest_file.read_text())

    def records(self) -> list[dict]:
        with zstandard.open(self.documents, "rb") as file:
            return [json.loads(line) for line in file.read().splitlines()]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.documents.parent.iterdir())


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_good_archive_is_kept_byte_for_byte_and_described(stage: Stage) -> None:
    content = zst(jsonl(GOOD[:1])) + zst(jsonl(GOOD[1:]))
    path = stage.put("train/00.jsonl.zst", content)
    manifest = stage.run()
    assert stage.documents.read_bytes() == content
    assert path.read_bytes() == content
    assert stage.rejected.read_bytes() == b""
    digest = hashlib.sha256(content).hexdigest()
    del manifest["record_sha256"]
    assert manifest == {
        "shard": "00",
        "source": {"kind": "local", "file": str(path), "sha256": digest},
        "sha256": digest,
        "bytes": len(content),
        "documents": 3,
        # four letters and a space, two characters of three bytes; "Two"; "Three"
        "text_bytes": 5 + 2 * 3 + 3 + 5,
        "subsets": {"ArXiv": 2, "Github": 1},
        "rejected": {},
    }
    assert stage.files() == ["00.json", "00.jsonl.zst", "00.rejected.jsonl"]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_other_formats_become_the_same_archive(stage: Stage, suffix: str) -> None:
    path = stage.put(f"train/00{suffix}", jsonl(GOOD))
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(GOOD), path)
    manifest = stage.run()
    assert [record["text"] for record in stage.records()] == [record["text"] for record in GOOD]
    assert stage.records()[0]["meta"] == GOOD[0]["meta"]
    assert manifest["source"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest["sha256"] == hashlib.sha256(stage.documents.read_bytes()).hexdigest()
    assert (manifest["documents"], manifest["text_bytes"]) == (3, 19)
    first = stage.documents.read_bytes()
    stage.run()
    assert stage.documents.read_bytes() == first


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst"])
def test_rejected_records_are_listed_counted_and_left_out(stage: Stage, suffix: str) -> None:
    content = jsonl(GOOD[:2]) + BAD + jsonl(GOOD[2:])
    stage.put(f"train/00{suffix}", zst(content) if suffix == ".jsonl.zst" else content)
    manifest = stage.run(on_bad_record="reject")
    assert stage.records() == GOOD
    rejected = [json.loads(line) for line in stage.rejected.read_text().splitlines()]
    assert [(entry["line"], entry["reason"]) for entry in rejected] == [
        (3, "empty text"),
        (4, "malformed JSON"),
        (5, "malformed JSON"),
    ]
    assert rejected[1]["excerpt"] == '{"text": "cut'
    assert manifest["rejected"] == {"empty text": 1, "malformed JSON": 2}
    assert manifest["documents"] == 3


def test_a_bad_record_fails_the_stage_and_leaves_no_output(stage: Stage) -> None:
    path = stage.put("train/00.jsonl", jsonl(GOOD) + BAD)
    with pytest.raises(CorpusError, match=f"{path}, line 4: empty text"):
        stage.run()
    assert stage.files() == []


def test_text_that_utf8_cannot_hold_is_listed(stage: Stage) -> None:
    surrogate = b'{"text": "\\udfff", "meta": {"pile_set_name": "ArXiv"}}\n'
    stage.put("train/00.jsonl", jsonl(GOOD) + surrogate)
    assert stage.run(on_bad_record="reject")["rejected"] == {"text has a lone surrogate": 1}


def test_train_may_lack_subsets_but_held_out_shards_may_not(stage: Stage) -> None:
    for name in ("train/00.jsonl", "val.jsonl", "test.jsonl"):
        stage.put(name, b'{"text": "x"}\n')
    with pytest.raises(CorpusError, match="no subset"):
        stage.run("00")
    manifest = stage.run("00", train_has_subsets=False)
    assert manifest["subsets"] == {"": 1}
    assert stage.records() == [{"text": "x", "meta": {}}]
    for shard in ("val", "test"):
        with pytest.raises(CorpusError, match="line 1: no subset"):
            stage.run(shard, train_has_subsets=False)


def test_a_subset_beside_the_text_moves_into_meta(stage: Stage) -> None:
    stage.put("train/00.jsonl", b'{"text": "x", "pile_set_name": "Books3"}\n')
    stage.run()
    assert stage.records() == [{"text": "x", "meta": {"pile_set_name": "Books3"}}]


@pytest.mark.parametrize("content", [b"", BAD])
def test_a_shard_without_documents_is_an_error(stage: Stage, content: bytes) -> None:
    stage.put("train/00.jsonl", content)
    with pytest.raises(CorpusError, match="has no document"):
        stage.run(on_bad_record="reject")
    assert stage.files() == []


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_of_which_nothing_is_left_comes_with_a_hint(stage: Stage, indent) -> None:
    stage.put("train/00.jsonl", json.dumps(GOOD, indent=indent).encode())
    with pytest.raises(CorpusError, match=r"has no document \(.*\)\. .*jq -c '\.\[\]'"):
        stage.run(on_bad_record="reject")


def test_a_wrong_digest_is_an_error(stage: Stage) -> None:
    stage.put("train/00.jsonl", jsonl(GOOD))
    digests = {"train/00.jsonl": "0" * 64}
    with pytest.raises(CorpusError, match="SHA-256 expected 0000"):
        stage.run(source={"kind": "local", "path": str(stage.source), "sha256": digests})


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst"])
def test_what_windows_writes_is_kept_and_counted_alike(stage: Stage, suffix: str) -> None:
    content = b"\xef\xbb\xbf" + jsonl(GOOD).replace(b"\n", b"\r\n") + b"\r\n"
    stage.put(f"train/00{suffix}", zst(content) if suffix == ".jsonl.zst" else content)
    manifest = stage.run()
    assert (manifest["documents"], manifest["text_bytes"]) == (3, 19)
    again = list(read_documents(stage.documents, needs_subset=True))
    assert [document.text for document in again] == [record["text"] for record in GOOD]


def test_a_file_under_a_wrong_name_leaves_no_output_and_says_where_it_is_from(stage: Stage) -> None:
    stage.put("train/00.jsonl.zst", gzip.compress(jsonl(GOOD)))
    with pytest.raises(CorpusError, match=r"is compressed by gzip: .*gzip -dc"):
        stage.run(on_bad_record="reject")
    assert stage.files() == []


@pytest.fixture
def http(stage: Stage):
    """The stage's folder as an http source."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(stage.source))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield {"kind": "http", "base_url": f"http://127.0.0.1:{server.server_port}", "retries": 0}
    server.shutdown()
    server.server_close()


def test_http_leaves_only_the_outputs(stage: Stage, http) -> None:
    content = zst(jsonl(GOOD))
    stage.put("train/00.jsonl.zst", content)
    manifest = stage.run(source=http)
    assert stage.documents.read_bytes() == content
    assert manifest["source"]["url"] == http["base_url"] + "/train/00.jsonl.zst"
    assert manifest["source"]["bytes"] == len(content)  # and when it last changed, to compare with
    assert parsedate_to_datetime(manifest["source"]["last_modified"]).timestamp() == int(
        (stage.source / "train/00.jsonl.zst").stat().st_mtime
    )
    assert stage.files() == ["00.json", "00.jsonl.zst", "00.rejected.jsonl"]


def test_http_keeps_a_whole_file_with_a_bad_record_for_the_next_attempt(stage: Stage, http) -> None:
    stage.put("train/00.jsonl.zst", zst(jsonl(GOOD) + BAD))
    with pytest.raises(CorpusError, match=r"line 4: empty text.*http://.*/train/00\.jsonl\.zst"):
        stage.run(source=http)
    assert ".00.part.jsonl.zst" in stage.files()
    assert stage.run(source=http, on_bad_record="reject")["documents"] == 3
    assert stage.files() == ["00.json", "00.jsonl.zst", "00.rejected.jsonl"]


def test_http_throws_a_damaged_archive_away(stage: Stage, http) -> None:
    stage.put("train/00.jsonl.zst", zst(jsonl(GOOD))[:-5])
    with pytest.raises(ArchiveError, match=r"cut short or damaged.*/train/00\.jsonl\.zst"):
        stage.run(source=http)
    assert stage.files() == []


def test_demo_corpus_passes_its_own_check(stage: Stage) -> None:
    pytest.importorskip("tttnn.demo.corpus")
    counts = {"train_documents": 60, "val_documents": 30, "test_documents": 40}
    source = {"kind": "demo", **counts, "copies": 0.5}
    for shard, expected in (("00", 60), ("val", 30), ("test", 40)):
        manifest = stage.run(shard, source=source, on_bad_record="reject")
        assert manifest["documents"] + sum(manifest["rejected"].values()) == expected
        assert manifest["rejected"].keys() <= {"empty text"}
        assert manifest["source"].keys() == {"kind", "sha256"}
        assert stage.files() == ["00.json", "00.jsonl.zst", "00.rejected.jsonl"]


def test_real_shards(stage: Stage, shared: Path) -> None:
    pile = shared / "data" / "pile-mini"
    manifest = stage.run("test", source={"kind": "local", "path": str(pile)})
    assert stage.documents.read_bytes() == (pile / "test.jsonl.zst").read_bytes()
    assert manifest["documents"] == 1820  # what the data's own description says
    by_subset = Counter(
        document.pile_set_name for document in read_documents(stage.documents, needs_subset=True)
    )
    assert manifest["subsets"] == by_subset
    assert by_subset["NIH ExPorter"] == 20
