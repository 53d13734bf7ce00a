"""What is known before the first job, and what SLURM's refusals mean."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from huggingface_hub import constants

from tiny import save_causal
from tttnn.corpus.sources.http import HttpSource
from tttnn.corpus.sources.local import LocalSource
from tttnn.models.kinds.huggingface import HubModel
from tttnn.models.kinds.local import LocalModel
from tttnn.operations.preflight import changed_shards, missing_image, missing_models
from tttnn.operations.refusals import remedies

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"published": HubModel(kind="huggingface", id="some/model", revision=COMMIT)}


def test_a_folder_without_a_model_is_named(tmp_path):
    models = {"mine": LocalModel(kind="local", path=str(tmp_path))}
    (fault,) = missing_models(models, ["mine"])
    assert "models.mine.path" in fault and str(tmp_path) in fault and "no config.json" in fault
    save_causal(tmp_path)
    assert missing_models(models, ["mine"]) == []
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (fault,) = missing_models(models, ["mine"])
    assert fault.startswith("models.mine.path: the weights") and "awq" in fault


def test_an_image_is_a_file_a_folder_or_an_address(tmp_path):
    image = tmp_path / "cpu.sif"
    assert "correct it in the configuration's key `image`" in missing_image(str(image))
    image.with_suffix(".def").touch()
    assert f"`apptainer build {image} {tmp_path}/cpu.def`" in missing_image(str(image))
    image.touch()
    assert [missing_image(str(one)) for one in (image, tmp_path, "docker://a/b:c")] == [None] * 3


@pytest.mark.parametrize("offline", ["1", "true", "ON"])
def test_offline_a_hub_model_must_be_in_the_cache(tmp_path, monkeypatch, offline):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    (fault,) = missing_models(HUB, ["published"])
    assert f"hf download some/model --revision {COMMIT}" in fault
    snapshot = tmp_path / "models--some--model" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert missing_models(HUB, ["published"]) == []


def test_with_network_the_hub_is_asked_later(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert missing_models(HUB, ["published"]) == []


def test_a_refusal_names_the_setting():
    # what sbatch of SLURM 22.05 prints
    log = (
        "sbatch: error: Batch job submission failed: Requested node configuration is not available"
    )
    (remedy,) = remedies(f"Some lines\n{log}\n")
    assert remedy.startswith("slurm/config.yaml: ") and "gpu_model" in remedy
    assert remedies("Error in rule evaluate_part") == []


# --- has the corpus changed at its source? -----------------------------------------------------


class Files(BaseHTTPRequestHandler):
    """A server of headers alone, by path; whatever else is asked for is a fault of the test."""

    answers: ClassVar[dict[str, tuple[int, dict[str, str]]]] = {}
    asked: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        status, headers = self.answers.get(self.path, (404, {}))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def source():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    Files.answers.clear()
    Files.asked.clear()
    yield HttpSource(kind="http", base_url=f"http://127.0.0.1:{server.server_port}/pile/")
    server.shutdown()
    server.server_close()


def fetched(source: HttpSource, corpus: Path, shard: str, **version: object) -> str:
    """Leave the manifest of a shard of that version; the path on the server."""
    stem = shard if shard in ("val", "test") else f"train/{shard}"
    url = f"{source.base_url}{stem}.jsonl.zst"
    (corpus / f"{shard}.json").write_text(json.dumps({"source": {"url": url} | version}))
    return f"/pile/{stem}.jsonl.zst"


@pytest.mark.parametrize(
    ("noted", "status", "headers", "change"),
    [
        ({"etag": '"a"'}, 200, {"ETag": '"b"'}, 'etag was "a", is "b"'),
        ({"etag": '"a"'}, 200, {"ETag": '"a"'}, None),
        ({"etag": 'W/"a"'}, 200, {"ETag": '"a"'}, None),
        # the same content, copied to the server again
        ({"etag": '"a"', "last_modified": "x"}, 200, {"ETag": '"a"', "Last-Modified": "y"}, None),
        ({"last_modified": "x"}, 200, {"Last-Modified": "y"}, "last_modified was x, is y"),
        ({"bytes": 7}, 200, {"Content-Length": "8"}, "bytes was 7, is 8"),
        ({"bytes": 7}, 200, {"Content-Length": "7", "ETag": '"new"'}, None),
        ({"bytes": 7}, 200, {}, None),
        ({}, 200, {"ETag": '"b"', "Content-Length": "8"}, None),
        ({"etag": '"a"'}, 404, {"ETag": '"b"'}, None),
        ({"etag": '"a"'}, 503, {"ETag": '"b"'}, None),
    ],
)
def test_a_file_that_changed_on_its_server_is_named(
    noted, status, headers, change, source, tmp_path
):
    Files.answers[fetched(source, tmp_path, "00", **noted)] = (status, headers)
    said = changed_shards(source, ["00"], tmp_path, set())
    assert len(said) == (change is not None)
    if change:
        assert f"{source.base_url}train/00.jsonl.zst: {change}. " in said[0]
        assert f"add --forcerun {tmp_path / '00.jsonl.zst'} to the command" in said[0]


def test_only_shards_that_stay_are_asked_for(source, tmp_path):
    paths = [fetched(source, tmp_path, shard, etag='"a"') for shard in ("00", "02", "03", "test")]
    Files.answers.update(dict.fromkeys(paths, (200, {"ETag": '"b"'})))
    (tmp_path / "03.json").write_text("not a manifest")
    said = changed_shards(
        source, ["00", "01", "02", "03", "test"], tmp_path, {str(tmp_path / "02.json")}
    )
    assert [line.split()[1] for line in said] == ["00", "test"]
    assert sorted(Files.asked) == [paths[3], paths[0]]


def test_a_file_of_another_url_is_not_compared(source, tmp_path):
    Files.answers[fetched(source, tmp_path, "val", etag='"a"')] = (200, {"ETag": '"b"'})
    elsewhere = source.model_copy(update={"base_url": f"{source.base_url}other"})
    assert changed_shards(elsewhere, ["val"], tmp_path, set()) == []


def test_without_a_network_nothing_is_said(tmp_path):
    source = HttpSource(kind="http", base_url="http://127.0.0.1:1")
    fetched(source.model_copy(update={"base_url": "http://127.0.0.1:1/"}), tmp_path, "00", bytes=1)
    assert changed_shards(source, ["00"], tmp_path, set()) == []


def test_a_source_that_cannot_tell_is_not_asked(tmp_path):
    (tmp_path / "00.json").write_text(json.dumps({"source": {"kind": "local"}}))
    assert changed_shards(LocalSource(kind="local", path="x"), ["00"], tmp_path, set()) == []
