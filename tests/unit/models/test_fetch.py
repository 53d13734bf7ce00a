"""Fetching models: from a folder, and from a stand-in of the hub on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tiny import save_causal, save_encoder
from tttnn.models.fetch import FetchSpec, fetch_model
from tttnn.models.folder import ModelError, load_causal

COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40
WORKFLOW = Path(__file__).parents[3] / "workflow"


def local(path: Path) -> FetchSpec:
    return FetchSpec.model_validate({"kind": "local", "path": str(path)})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_local_model_is_copied_without_what_is_not_its_own(tmp_path: Path) -> None:
    source = save_causal(tmp_path / "source")
    (source / "pytorch_model.bin").write_bytes(b"a pickle")
    (source / "README.md").write_text("about it")
    output = tmp_path / "models" / "copy"
    fetch_model(local(source), output)
    copied = contents(output)
    manifest = json.loads(copied.pop("manifest.json"))
    original = contents(source)
    assert copied == {
        name: original[name]
        for name in original
        if name not in {"pytorch_model.bin", "README.md", "manifest.json"}
    }
    assert (manifest["kind"], manifest["path"]) == ("local", str(source))
    load_causal(output)


def test_a_failed_fetch_leaves_what_was_there(tmp_path: Path) -> None:
    source = save_causal(tmp_path / "source")
    output = tmp_path / "models" / "copy"
    fetch_model(local(source), output)
    before = contents(output)
    (source / "config.json").write_text('{"model_type": "no such type"}')
    with pytest.raises(ModelError, match="cannot be"):
        fetch_model(local(source), output)
    assert contents(output) == before
    assert [path.name for path in output.parent.iterdir()] == ["copy"]


class Hub(BaseHTTPRequestHandler):
    """The few routes of the hub that a snapshot takes; repositories are folders.

    Repository `tttnn/gated` refuses its files; `tttnn/full` has the branch `main` and the pull
    request `refs/pr/1`; `tttnn/pickled` has no safetensors.
    """

    root: Path

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._answer_api("/".join(parts[2:4]), parts[4], "/".join(parts[5:]))
        elif parts[2:3] == ["resolve"]:
            self._answer_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._send(404, b"{}")

    do_HEAD = do_GET

    def _answer_api(self, repository: str, what: str, revision: str) -> None:
        folder = self.root / repository
        if not folder.is_dir():
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in {"main", "refs/pr/1", COMMIT, OTHER_COMMIT}:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif what == "revision":
            sha = OTHER_COMMIT if revision == "refs/pr/1" else COMMIT
            self._send(200, json.dumps({"id": repository, "sha": sha}).encode())
        else:
            tree = [
                {
                    "type": "file",
                    "path": path.relative_to(folder).as_posix(),
                    "size": path.stat().st_size,
                    "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
                }
                for path in folder.rglob("*")
                if path.is_file()
            ]
            self._send(200, json.dumps(tree).encode())

    def _answer_file(self, repository: str, revision: str, name: str) -> None:
        if repository == "tttnn/gated":
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
            return
        content = (self.root / repository / name).read_bytes()
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        self._send(200, content, {"ETag": etag, "X-Repo-Commit": revision})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ((headers or {}) | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def hub(folder: Path) -> Iterator[str]:
    """The stand-in's address."""
    root = folder / "repositories" / "tttnn"
    save_causal(root / "full")
    save_causal(root / "gated")
    (root / "full" / "pytorch_model.bin").write_bytes(b"a pickle")
    pickled = save_causal(root / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    (save_causal(root / "adapted") / "adapter_config.json").write_text("{}")
    bare = save_causal(root / "bare")
    (bare / "tokenizer.json").unlink()
    (bare / "tokenizer_config.json").unlink()
    sentences = save_encoder(root / "sentences")
    (sentences / "1_Pooling").mkdir()
    (sentences / "1_Pooling/config.json").write_text('{"pooling_mode_cls_token": true}')
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    modules = [{"type": f"sentence_transformers.models.{k}", "path": path} for k, path in kinds]
    (sentences / "modules.json").write_text(json.dumps(modules))
    handler = type("Handler", (Hub,), {"root": root.parent})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


FETCH_EACH = """
import json, sys
from pathlib import Path
from tttnn.models.fetch import FetchSpec, fetch_model
answers = {}
for name, spec in json.load(sys.stdin).items():
    try:
        fetch_model(FetchSpec.model_validate(spec), Path(sys.argv[1], name))
        answers[name] = "fetched"
    except ValueError as error:
        answers[name] = str(error)
json.dump(answers, sys.stdout)
"""


def fetch_each(specs: dict[str, dict], output: Path, **environment: str) -> dict[str, str]:
    """Fetch in a process of its own, because the library reads its environment on import."""
    process = subprocess.run(
        [sys.executable, "-c", FETCH_EACH, str(output)],
        input=json.dumps({name: {"kind": "huggingface", **spec} for name, spec in specs.items()}),
        env=os.environ | {"PYTHONPATH": str(WORKFLOW), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.fixture(scope="module")
def online(hub: str, folder: Path) -> dict[str, str]:
    """What came of each fetch with the hub in reach."""
    specs = {
        "branch": {"id": "tttnn/full", "revision": "main"},
        "pull-request": {"id": "tttnn/full", "revision": "refs/pr/1"},
        "commit": {"id": "tttnn/full", "revision": COMMIT},
        "with-tokenizer": {
            "id": "tttnn/bare",
            "revision": COMMIT,
            "tokenizer": "tttnn/full@refs/pr/1",
        },
        "no-tokenizer": {"id": "tttnn/bare", "revision": COMMIT},
        "unpinned-tokenizer": {"id": "tttnn/bare", "revision": COMMIT, "tokenizer": "tttnn/full"},
        "pickled": {"id": "tttnn/pickled", "revision": COMMIT},
        "adapted": {"id": "tttnn/adapted", "revision": COMMIT},
        "no-revision": {"id": "tttnn/full", "revision": "v9"},
        "no-repository": {"id": "tttnn/none", "revision": "main"},
        "gated": {"id": "tttnn/gated", "revision": COMMIT},
        "sentences": {"id": "tttnn/sentences", "revision": COMMIT},
        "as-set": {"id": "tttnn/sentences", "revision": COMMIT, "pooling": "mean", "prompt": "q"},
    }
    environment = {"HF_ENDPOINT": hub, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "0"}
    return fetch_each(specs, folder / "online", **environment)


@pytest.fixture(scope="module")
def offline(online: dict[str, str], hub: str, folder: Path) -> dict[str, str]:
    """What came of each fetch with nothing but the cache."""
    specs = {
        "cached": {"id": "tttnn/full", "revision": COMMIT},
        "not-cached": {"id": "tttnn/full", "revision": "c" * 40},
    }
    environment = {"HF_ENDPOINT": hub, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
    return fetch_each(specs, folder / "offline", **environment)


@pytest.mark.parametrize(
    ("name", "commit"), [("branch", COMMIT), ("pull-request", OTHER_COMMIT), ("commit", COMMIT)]
)
def test_a_hub_model_arrives_and_its_commit_is_recorded(
    online: dict[str, str], folder: Path, name: str, commit: str
) -> None:
    assert online[name] == "fetched"
    fetched = contents(folder / "online" / name)
    manifest = json.loads(fetched.pop("manifest.json"))
    assert (manifest["id"], manifest["revision"]) == ("tttnn/full", commit)
    published = contents(folder / "repositories" / "tttnn" / "full")
    del published["pytorch_model.bin"], published["manifest.json"]
    assert fetched == published
    assert not any(path.is_symlink() for path in (folder / "online" / name).iterdir())
    load_causal(folder / "online" / name)


def test_the_tokenizer_may_come_from_another_repository(
    online: dict[str, str], folder: Path
) -> None:
    assert online["with-tokenizer"] == "fetched"
    fetched = folder / "online" / "with-tokenizer"
    load_causal(fetched)
    manifest = json.loads((fetched / "manifest.json").read_text())
    assert manifest["tokenizer"] == f"tttnn/full@{OTHER_COMMIT}"
    assert "tokenizer.json" in manifest["files"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-tokenizer", ["tttnn/bare has no tokenizer", COMMIT, "tokenizer: id@revision"]),
        ("unpinned-tokenizer", ["tttnn/full", "id@revision"]),
        ("pickled", ["tttnn/pickled", "no safetensors", COMMIT, "refs/pr/N", "kind: local"]),
        ("adapted", ["tttnn--adapted", "an adapter (adapter_config.json)", "merge_and_unload()"]),
        ("no-revision", ["tttnn/full has no revision v9"]),
        ("no-repository", ["no repository tttnn/none"]),
        ("gated", ["tttnn/gated", "is gated", "hf auth login"]),
    ],
)
def test_what_cannot_be_fetched_is_explained(
    online: dict[str, str], folder: Path, name: str, words: list[str]
) -> None:
    assert [word for word in words if word not in online[name]] == []
    assert not (folder / "online" / name).exists()


def test_a_cached_model_needs_no_network(offline: dict[str, str], folder: Path) -> None:
    assert offline["cached"] == "fetched"
    assert contents(folder / "offline" / "cached") == contents(folder / "online" / "commit")


def test_offline_and_not_cached_is_explained(offline: dict[str, str]) -> None:
    for word in ("tttnn/full", "c" * 40, "HF_HUB_OFFLINE", "hf download", "HF_HOME"):
        assert word in offline["not-cached"]


def test_what_says_how_vectors_are_made_arrives_with_the_pinned_model(
    online: dict[str, str], folder: Path
) -> None:
    assert (online["sentences"], online["as-set"]) == ("fetched", "fetched")
    own, asked = (
        json.loads((folder / "online" / name / "manifest.json").read_text())
        for name in ("sentences", "as-set")
    )
    assert own["revision"] == COMMIT
    assert own["representation"] == {"pooling": "cls", "normalize": True, "prompt": ""}
    assert asked["representation"] == {"pooling": "mean", "normalize": True, "prompt": "q"}
    assert {"modules.json", "1_Pooling/config.json"} <= own["files"].keys()


# --- a model that a command names ----------------------------------------------------------------


NAME_EACH = """
import json, sys
from tttnn.models.hub import named
for name, revision in json.load(sys.stdin):
    try:
        print(json.dumps(str(named(name, revision))))
    except ValueError as error:
        print(json.dumps(f"error: {error}"))
"""


def name_each(names: list, folder: Path, **environment: str) -> tuple[list[str], list[str]]:
    """Answers and what was said, in a folder of models, in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-c", NAME_EACH],
        input=json.dumps(names),
        env=os.environ
        | {"PYTHONPATH": str(WORKFLOW), "HF_HOME": str(folder / "home")}
        | environment,
        cwd=folder / "repositories/tttnn",
        capture_output=True,
        text=True,
        check=True,
    )
    said = [line for line in process.stderr.splitlines() if line.startswith("there is no folder")]
    return [json.loads(line) for line in process.stdout.splitlines()], said


def test_a_name_without_a_folder_is_the_hubs_and_that_is_said(
    online: dict[str, str], hub: str, folder: Path
) -> None:
    names = [["full", None], ["tttnn/full", None], ["tttnn/full", "refs/pr/1"], ["tttnn/ful", None]]
    names += [["./ful", None], ["full", "main"]]
    environment = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0"}
    found, said = name_each(names, folder, **environment)
    assert found[0] == "full"
    assert [Path(path).name for path in found[1:3]] == [COMMIT, OTHER_COMMIT]
    load_causal(Path(found[1]))
    assert found[3].startswith("error: the hub has no repository tttnn/ful, or it is private")
    assert found[4] == (
        "error: there is no folder ./ful, and no model on the hub is named so. Did you mean the "
        "folder full?"
    )
    assert "--revision main is of a model on the hub, and full is a folder" in found[5]
    assert said == [
        "there is no folder tttnn/full: taking the model tttnn/full of the hub at revision main.",
        "there is no folder tttnn/full: taking the model tttnn/full of the hub at revision "
        "refs/pr/1.",
        "there is no folder tttnn/ful: taking the model tttnn/ful of the hub at revision main.",
    ]


def test_offline_a_name_is_looked_for_in_the_cache_alone(
    online: dict[str, str], hub: str, folder: Path
) -> None:
    environment = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "1"}
    names = [["tttnn/full", COMMIT], ["tttnn/other", None], ["ful", None]]
    found, said = name_each(names, folder, **environment)
    assert Path(found[0]).name == COMMIT
    for word in ("tttnn/other", "HF_HUB_OFFLINE", "hf download", "HF_HOME", "name their folder"):
        assert word in found[1]
    assert found[2].startswith("error: ful at revision main is not in the local cache")
    assert said[2].endswith("revision main. Did you mean the folder full?")
