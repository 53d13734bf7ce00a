"""Recorded runs: what stands in them, what does not, and how their damage is noticed."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest

from recorded_run import write_run
from synthetic_run import row, run_score, write_rows
from tttnn.command import main
from tttnn.config.figures import FIGURES
from tttnn.digests import read_record, write_record
from tttnn.figures.draw import FigureSpec, draw_figure
from tttnn.findings.page import findings
from tttnn.operations.redraw import _of_run, redraw
from tttnn.records.manifest import FORMAT, read_manifest, without_paths
from tttnn.records.record import record
from tttnn.records.runs import Record, Results

ROOT = Path(__file__).parents[3]
TEXTS = {"pile_github": ["def one(): 1", "def two(): 22"], "pile_arxiv": ["Let x be ä.", "Proof."]}
CURVES = {
    (model, method, task): {0: [1.0, 1.4], 5: [0.9 - k / 10, 1.0], 20: [0.7 - k / 10, 0.9]}
    for k, (model, method) in enumerate([("small", "ttt"), ("small", "sift"), ("large", "ttt")])
    for task in TEXTS
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = {"sources": {"folder": {"kind": "folder", "path": "/home/ann/pile-mini"}}}
    return write_run(folder, TEXTS, CURVES, config=config)


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "whole"
    record(run, folder, licence="CC0-1.0", author="Ann")
    return folder


@pytest.fixture
def copied(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copied")


def test_rows_are_those_of_the_evaluations(run, whole):
    kept = pd.read_parquet(whole / "evaluations.parquet")
    files = sorted(run.glob("evaluation/*/*/*/*.parquet"))
    written = pd.concat([pd.read_parquet(file) for file in files])[kept.columns]
    key = ["model", "method", "task", "document_id", "num_neighbors"]
    pd.testing.assert_frame_equal(
        kept.sort_values(key).reset_index(drop=True),
        written.sort_values(key).reset_index(drop=True),
        check_dtype=False,
    )


def test_documents_are_known_by_the_digest_of_their_text(whole):
    kept = pd.read_parquet(whole / "selected.parquet").set_index(["task", "document_id"])["sha256"]
    expected = {
        (task, number): hashlib.sha256(text.encode()).hexdigest()
        for task, texts in TEXTS.items()
        for number, text in enumerate(texts)
    }
    assert kept.to_dict() == expected
    github = sorted(expected["pile_github", number] for number in (0, 1))
    digest = hashlib.sha256(f"{github[0]}\n{github[1]}\n".encode()).hexdigest()
    told = read_record(whole / "manifest.json")["documents"]["pile_github"]
    assert told == {"count": 2, "sha256": digest}


def test_tables_are_those_of_the_run(run, whole):
    for csv in sorted((run / "tables").glob("*.csv")):
        kept = pd.read_parquet(whole / f"{csv.stem}.parquet")
        pd.testing.assert_frame_equal(kept, pd.read_csv(csv), check_dtype=False)


def test_a_manifest_says_of_what_and_with_what(whole):
    told = read_record(whole / "manifest.json")
    assert (told["format"], told["name"], told["licence"]) == (FORMAT, "made-up", "CC0-1.0")
    assert told["author"] == "Ann" and told["contact"] is None
    assert told["corpus"]["00"]["sha256"] == "of the corpus"
    assert told["models"]["small"]["files"] == {"model.safetensors": "digest of small"}
    assert told["made_with"][0]["torch"] == "a torch" and told["machine"]["cores"] >= 1
    for name, table in told["tables"].items():
        content = (whole / f"{name}.parquet").read_bytes()
        assert table["sha256"] == hashlib.sha256(content).hexdigest()


def test_there_is_neither_text_nor_path_in_a_record(run, whole):
    content = b"".join(path.read_bytes() for path in whole.iterdir())
    for private in ("/home/ann", str(run), "def one", "Proof."):
        assert private.encode() not in content
    config = read_record(whole / "manifest.json")["config"]
    assert config["sources"]["folder"]["path"] == "pile-mini"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("/home/ann/models/Smol", "Smol"),
        ("~/models", "models"),
        ("../shared/pile", "pile"),
        (r"C:\Users\Ann\pile", "pile"),
        ("file:///home/ann/x.zst", "x.zst"),
        ("take /home/ann/x.zst now", "take x.zst now"),
        ("https://ann:secret@host/pile", "https://host/pile"),
        ("EleutherAI/gpt-neo-1.3B", "EleutherAI/gpt-neo-1.3B"),
        ("train/{shard}.jsonl.zst", "train/{shard}.jsonl.zst"),
        ("IVF64,Flat", "IVF64,Flat"),
        ("a / b, about ~ 5", "a / b, about ~ 5"),
        ("<|endoftext|>", "<|endoftext|>"),
        (0.5, 0.5),
        (None, None),
    ],
)
def test_of_a_path_the_last_name_is_kept(value, kept):
    assert without_paths({"a": [value]}) == {"a": [kept]}


def test_a_table_with_a_path_is_not_recorded(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    table = pd.read_csv(copy / "tables/corpus.csv").assign(reasons="see /home/ann/log")
    table.to_csv(copy / "tables/corpus.csv", index=False)
    with pytest.raises(ValueError, match=r"corpus, column reasons: '/home/ann/log' is a path"):
        record(copy, tmp_path / "record")
    assert not (tmp_path / "record").exists()


def test_what_is_no_record_is_not_overwritten(run, tmp_path):
    (tmp_path / "precious.txt").write_text("precious")
    with pytest.raises(ValueError, match="is there and is no record: name a folder"):
        record(run, tmp_path)
    assert (tmp_path / "precious.txt").is_file()


def test_a_record_is_read_as_the_results_are(run, whole):
    of_record, of_results = Record(whole), Results(run)
    assert of_record.cells.keys() == of_results.cells.keys()
    for name, rows in of_results.cells.items():
        for kept, written in zip(of_record.cells[name], rows, strict=True):
            assert (kept == written).all()
    assert of_record.selected.equals(of_results.selected)


def test_findings_of_a_record_are_those_of_the_run(run, whole, tmp_path):
    pages = []
    for folder in (run, whole):
        findings([folder], tmp_path / folder.name)
        text = (tmp_path / folder.name / "findings/appendix.md").read_text()
        pages.append(text[text.index("## What was run") :])
    assert pages[0] == pages[1]


def test_figures_are_redrawn_byte_by_byte(run, whole, tmp_path, capsys, monkeypatch):
    some = ["cost", "overlap", "control", "distances"]
    monkeypatch.setattr("tttnn.operations.redraw._of_run", lambda manifest: some)
    redraw(whole, tmp_path / "redrawn")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("not drawn: control: the figure compares 'ttt' with a method whose")
    assert said[1] == "not drawn: distances: the record lacks a table of the run's"
    assert said[2].endswith("redrawn: cost, overlap")
    for name in ("cost", "overlap"):
        spec = FigureSpec(name=name, module=FIGURES[name].module)
        draw_figure(spec, run / "tables", tmp_path / "own.svg", tmp_path / "own.pdf")
        redrawn = (tmp_path / f"redrawn/{name}.svg").read_bytes()
        assert (tmp_path / "own.svg").read_bytes() == redrawn


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("demo", {"positions", "break_even"}),
        ("pretrained", {"models", "recall", "recall_cost"}),
    ],
)
def test_only_the_figures_that_the_run_had_are_drawn_again(name, lacks):
    """`models` compares two and more, `recall` indexes that are not exact, `recall_cost` several.

    `positions` is of long documents, `break_even` of experts.
    """
    manifest = read_manifest(ROOT / "docs/records" / name)
    assert manifest.config["figures"] == "all"
    assert _of_run(manifest) == [figure for figure in FIGURES if figure not in lacks]
    named = manifest.model_copy(update={"config": manifest.config | {"figures": ["curves"]}})
    assert _of_run(named) == ["curves"]
    older = manifest.model_copy(update={"config": {"run": "of other keys"}})
    assert _of_run(older) == list(FIGURES)


def test_a_run_is_recorded_and_compared_by_its_name(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "results").mkdir()
    shutil.copytree(run, tmp_path / "results/mine")
    monkeypatch.chdir(tmp_path)
    main(["record", "mine", "recorded"])
    main(["compare", "mine", "recorded"])
    assert "mine" in capsys.readouterr().out
    digests = [read_manifest(tmp_path / "recorded").tables["evaluations"].sha256]
    main(["record", str(tmp_path / "results/mine"), "again"])
    assert digests == [read_manifest(tmp_path / "again").tables["evaluations"].sha256]


def test_a_mixture_is_recorded_at_the_share_that_was_chosen(tmp_path):
    cell = ("small", "interpolate", "pile_github")
    evaluations = []
    for kind, better in (("evaluation", 0.2), ("validation", 0.1)):
        rows = [row(n, 0, model=cell[0], method=cell[1], task=cell[2]) for n in (0, 1)]
        rows += [
            row(n, 5, model=cell[0], method=cell[1], task=cell[2], alpha=alpha)
            | {"loglikelihood": -50.0 if alpha == better else -70.0}
            for n in (0, 1)
            for alpha in (0.1, 0.2)
        ]
        path = tmp_path / kind / "/".join(cell) / "0.parquet"
        evaluations.append(write_rows(path, rows))
    (tmp_path / "config.json").write_text(json.dumps({"run": "mixed"}))
    run_score(
        tmp_path,
        evaluations[:1],
        {"pile_github": 2},
        validation={"pile_github": 2},
        candidates={"interpolate": "flat"},
        mixtures={"interpolate": False},
        halves=[],
    )
    (rows,) = Results(tmp_path).cells.values()
    assert rows.loglikelihood.tolist() == [[-100.0, -70.0]] * 2  # 0.1 is best on validation


# --- damage ----------------------------------------------------------------------------------


def fault(folder, capsys, command="compare"):
    """What a command says of a record, in one line."""
    words = [command, str(folder)] + ([str(folder / "drawn")] if command == "redraw" else [])
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = str(ended.value.code)
    assert said.startswith(f"tttnn {command}: ") and "\n" not in said
    return said


@pytest.mark.parametrize("command", ["compare", "redraw"])
def test_a_damaged_table_is_named(copied, capsys, command):
    content = bytearray((copied / "scores.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (copied / "scores.parquet").write_bytes(content)
    said = fault(copied, capsys, command)
    assert "scores.parquet has SHA-256" in said and "record the run again" in said


@pytest.mark.parametrize("command", ["compare", "redraw"])
def test_a_missing_table_is_named(copied, capsys, command):
    (copied / "evaluations.parquet").unlink()
    said = fault(copied, capsys, command)
    assert "evaluations.parquet is missing" in said and "record the run again" in said


def rewritten(folder, **values):
    told = read_record(folder / "manifest.json")
    write_record(folder / "manifest.json", told | values)


def test_a_newer_format_asks_for_a_newer_version(copied, capsys):
    rewritten(copied, format=FORMAT + 1, more="of what nobody knows yet")
    said = fault(copied, capsys)
    assert f"manifest.json, format: {FORMAT + 1} is newer than {FORMAT}" in said
    assert "install a newer version" in said


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "one"}, "manifest.json, format: 'one' is no format of records"),
        ({"recorded": None}, "manifest.json, recorded: "),
        (
            {"machine": {"processor": "x", "cores": "m", "gpus": []}},
            "manifest.json, machine.cores",
        ),
        ({"tables": {}}, "manifest.json, tables: lacks evaluations"),
    ],
)
def test_a_manifest_of_other_values_is_refused(copied, capsys, values, message):
    rewritten(copied, **values)
    said = fault(copied, capsys)
    assert message in said and "record the run again" in said


def test_a_manifest_that_someone_edited_is_refused(copied, capsys):
    path = copied / "manifest.json"
    path.write_text(path.read_text().replace('"name": "made-up"', '"name": "better"'))
    assert "manifest.json has values of SHA-256" in fault(copied, capsys)


def test_a_table_that_leads_out_of_the_folder_is_refused(copied, capsys):
    told = read_record(copied / "manifest.json")["tables"]
    rewritten(copied, tables=told | {"../secret": told["scores"]})
    assert "leads out of its folder" in fault(copied, capsys)


def replaced(folder, name, change):
    """Another table in the place of one, with its digest in the manifest."""
    frame = change(pd.read_parquet(folder / f"{name}.parquet"))
    frame.to_parquet(folder / f"{name}.parquet", index=False)
    told = read_record(folder / "manifest.json")["tables"]
    digest = hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest()
    rewritten(folder, tables=told | {name: told[name] | {"sha256": digest}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[1:], "not every document is there once at each of 0, 5, 20"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "not every document is there once"),
        (lambda t: t[t["num_neighbors"] > 0], "nothing at 0 neighbours"),
        (lambda t: t.assign(loglikelihood=math.nan), "loglikelihood is not everywhere a number"),
        (lambda t: t.assign(bytes=0), "bytes of a document change, or are below 1"),
    ],
)
def test_rows_that_are_not_whole_are_refused(copied, capsys, change, message):
    replaced(copied, "evaluations", change)
    said = fault(copied, capsys)
    assert "evaluations.parquet, small/ttt/pile_" in said and message in said


def test_what_is_no_record_is_said(tmp_path, capsys):
    assert "neither a record nor a run's results" in fault(tmp_path, capsys)
    assert "name a folder that `tttnn record` wrote" in fault(tmp_path, capsys, "redraw")
