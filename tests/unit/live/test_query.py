"""`tttnn query` finds what brute force finds, on this machine and through servers."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest

from live_run import SUBSET, servers_file, serving, write_run
from shards import brute_force
from tiny import save_encoder, write_manifest
from tttnn.command import main
from tttnn.files import sha256
from tttnn.live.query import Embedder

D = 32
TEXT = "Once upon a time there was a query."
VECTORS = np.random.default_rng(0).normal(size=(60, D)).astype(np.float32)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    model = save_encoder(root / "results/live/models/embedder")
    write_manifest(model)
    digest = sha256(model / "manifest.json")
    return write_run(root, [[20, 10], [15, 15]], VECTORS, embedder=digest)


@pytest.fixture
def here(live, monkeypatch):
    monkeypatch.chdir(live.root)
    monkeypatch.setenv("COLUMNS", "80")
    return live


def rows(capsys, *words: str) -> list[dict]:
    main(["query", *words, "--run", "live", "--json"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def expected(live, k: int) -> list[dict]:
    vector = Embedder(live.run).vector(TEXT)
    assert vector.shape == (1, D) and vector.dtype == np.float32
    distances, ids = brute_force(vector, live.vectors, live.ids, k)
    return [
        {
            "rank": rank,
            "passage_id": passage,
            "distance": distance,
            "subset": SUBSET,
            "text": f"passage {passage}",
        }
        for rank, (passage, distance) in enumerate(
            zip(ids[0].tolist(), distances[0].tolist(), strict=True)
        )
    ]


def same(found: list[dict], wanted: list[dict]) -> bool:
    close = [a.pop("distance") - b.pop("distance") for a, b in zip(found, wanted, strict=True)]
    return found == wanted and np.abs(close).max() < 1e-9


def test_it_answers_from_this_machine_and_from_servers_alike(here, tmp_path, capsys):
    local = rows(capsys, TEXT, "-k", "7")
    with serving(here.run, "00") as first, serving(here.run, "01") as second:
        file = servers_file(tmp_path / "servers", first, second)
        remote = rows(capsys, TEXT, "-k", "7", "--servers", str(file))
    assert local == remote
    assert same(local, expected(here, 7))


def test_a_text_may_come_from_a_file_or_the_standard_input(here, tmp_path, capsys, monkeypatch):
    file = tmp_path / "text"
    file.write_text(TEXT)
    given = rows(capsys, TEXT, "-k", "3")
    assert rows(capsys, "--file", str(file), "-k", "3") == given
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert rows(capsys, "--file", "-", "-k", "3") == given


def test_people_get_a_line_each_that_fits(here, capsys):
    main(["query", TEXT, "-k", "4", "--run", "live"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[0].split() == [
        "rank", "passage_id", "distance^2", "subset", "text",
    ]  # fmt: skip
    assert all(len(line) <= 80 for line in lines)
    assert f"passage {expected(here, 1)[0]['passage_id']}" in lines[1]


def test_more_than_there_are_gives_them_all(here, capsys):
    assert len(rows(capsys, TEXT, "-k", "500")) == 60


def test_what_is_missing_is_an_error_or_said(here, tmp_path, capsys):
    with serving(here.run, "01") as server:
        file = servers_file(tmp_path / "servers", server)
        words = ["query", TEXT, "--run", "live", "-k", "3", "--servers", str(file)]
        with pytest.raises(SystemExit) as caught:
            main(words)
        reason = "shards 00: shard 00: no server holds it"
        assert f"tttnn query: no answer from {reason}" in str(caught.value)
        main([*words, "--allow-partial"])
        said = capsys.readouterr()
        assert f"warning: without {reason}" in said.err
        assert here.run.build().digest in said.err
        assert len(said.out.splitlines()) == 4


def test_servers_of_another_run_or_embedder_are_refused(here, tmp_path):
    other = write_run(tmp_path, [[20, 10], [15, 15]], VECTORS)  # of embedder "some"
    with serving(other.run, "00", "01") as server:
        file = servers_file(tmp_path / "servers", server)
        with pytest.raises(SystemExit, match=r"embedder some.* asked is flat of live"):
            main(["query", TEXT, "--run", "live", "--servers", str(file)])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--run", "live"], "give the text, or --file"),
        ([TEXT, "--file", "x", "--run", "live"], "give the text, or --file"),
        ([" \n", "--run", "live"], "the text is empty"),
        ([TEXT, "--run", "live", "-k", "0"], "-k is 0"),
        ([TEXT, "--run", "live", "--deadline", "0"], "--deadline is 0"),
        ([TEXT, "--run", "other"], "there is no folder results/other: give the name of a run"),
        ([TEXT, "--run", "live", "--index", "fla"], "no index 'fla'. Did you mean 'flat'"),
        ([TEXT, "--run", "live", "--servers", "absent"], "absent"),
    ],
)
def test_what_cannot_be_asked_is_one_line(words, reason, here):
    with pytest.raises(SystemExit) as caught:
        main(["query", *words])
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_a_run_of_another_version_is_named(live, tmp_path, monkeypatch):
    folder = tmp_path / "results/live"
    folder.mkdir(parents=True)
    values = json.loads((live.root / "results/live/config.json").read_text())
    del values["gather"]
    (folder / "config.json").write_text(json.dumps(values))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"config\.json was written by another version.*gather"):
        main(["query", TEXT, "--run", "live"])
