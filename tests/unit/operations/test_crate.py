"""A run as an RO-Crate: every file and its digest, as the crate's own library reads them."""

from __future__ import annotations

import hashlib
import json
import zipfile

import pandas as pd
import pytest

import tttnn
from synthetic_run import make_run
from tttnn.command import main
from tttnn.digests import write_record
from tttnn.files import write_json
from tttnn.operations.started import Start

COMMITS = {
    "git commit of the workflow when the run was started": "bb22, changed",
    "git commit of the workflow's files in this crate": "cc33",
}
rocrate = pytest.importorskip("rocrate.rocrate", reason="needs the extra `crate`")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run, as far as a crate reads it."""
    tables = make_run(tmp_path / "made", {"pile_arxiv": 2}, resamples=10)
    results = tmp_path / "results/mine"
    results.mkdir(parents=True)
    tables.rename(results / "tables")
    made_with = {"stage": "evaluate_part", "name": "small/ttt", "python": "3.11.7"}
    made_with |= {"torch": "2.13.0", "device": "cpu: some", "files": 3, "mixed": None}
    pd.DataFrame([{"run": "mine", **made_with}]).to_csv(
        results / "tables/environment.csv", index=False
    )
    (results / "corpus").mkdir()
    write_record(results / "corpus/00.json", {"documents": 7, "sha256": "ab12"})
    (results / "models/small").mkdir(parents=True)
    files = {"config.json": "11", "model.safetensors": "22"}
    manifest = {"kind": "train", "model_type": "gpt2", "files": files}
    write_json(results / "models/small/manifest.json", manifest)
    write_json(results / "config.json", {"run": "mine"})
    (tmp_path / "figures/mine").mkdir(parents=True)
    (tmp_path / "figures/mine/curves.svg").write_text("<svg/>")
    start = Start(
        run="mine", program=[], arguments=[], folder="", directory="", configfiles=[], settings=[],
        host="here", process=1, since=0.0, commits=["aa11", "bb22, changed"],
    )  # fmt: skip
    write_json(results / "started.json", start._asdict())
    monkeypatch.setattr("tttnn.operations.crate.of_workflow", lambda: "cc33")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_holds_what_was_made_and_what_made_it(run, capsys):
    main(["crate", "--run", "mine", "--output", "mine.zip", "--author", "A. Researcher"])
    assert "mine.zip" in capsys.readouterr().out
    crate = rocrate.ROCrate("mine.zip")
    (action,) = crate.get_by_type("CreateAction")
    assert [entity["sha256"] for entity in action["object"]] == ["ab12", ["22"]]
    made = {entity.id for entity in action["result"]}
    assert {"tables/scores.csv", "figures/curves.svg", "config.json"} <= made
    assert action["instrument"].id == crate.mainEntity.id == "software/workflow/Snakefile"
    versions = {e["name"]: e["value"] for e in action["environment"] if e.get("value")}
    assert versions == {"python": "3.11.7", "torch": "2.13.0", "device": "cpu: some", **COMMITS}
    (package,) = crate.get_by_type("SoftwareApplication")
    assert package["softwareVersion"] == tttnn.__version__ == crate.mainEntity["version"]
    (_, model) = action["object"]
    assert "version" not in model.properties()  # it was trained here and has no revision
    for module in ("tttnn/methods/ttt/engine.py", "tttnn/published/curves.parquet", "dag.py"):
        assert crate.get(f"software/workflow/{module}")["sha256"]
    assert crate.creator["name"] == "A. Researcher"


def test_every_file_is_described_with_its_digest(run):
    main(["crate", "--run", "mine", "--output", "mine.zip"])
    with zipfile.ZipFile("mine.zip") as archive:
        graph = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
        digests = {e["@id"]: e["sha256"] for e in graph if "sha256" in e and e["@id"][0] != "#"}
        files = set(archive.namelist()) - {"ro-crate-metadata.json"}
        assert set(digests) == files and any(name.endswith("cpu.lock") for name in files)
        for name, digest in digests.items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--run", "yours", "--output", "a.zip"], "no folder results/yours"),
        (["--run", "begun", "--output", "a.zip"], "scores.csv is missing: run it to its end"),
        (["--run", "mine", "--output", "a.tar"], "name a new file that ends in .zip"),
    ],
)
def test_what_does_not_go_is_said_and_leaves_nothing(run, words, message):
    (run / "results/begun").mkdir()
    with pytest.raises(SystemExit, match=message):
        main(["crate", *words])
    assert not list(run.glob("*a.*"))
