"""Evaluating in parts, and going on after being killed, give what one run gives."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from families import save_decoder
from shards import write_queries
from tiny import save_causal, write_manifest
from tttnn.corpus.omissions import left_out
from tttnn.environment import environment, environments_of
from tttnn.methods.evaluate import ROWS, EvaluateSpec, evaluate_part
from tttnn.methods.interpolate.settings import Interpolate
from tttnn.methods.measure import Query
from tttnn.methods.split import SplitSpec, split_documents
from tttnn.methods.ttt.engine import adapt
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import load_causal
from tttnn.retrieval.gather import NEIGHBORS
from tttnn.tables import write_table

WORKFLOW = Path(__file__).parents[3] / "workflow"
RECIPE = Recipe(num_neighbors=2, evaluate_at=[0, 1, 2], learning_rate=1e-3)
SECONDS = ["train_seconds", "evaluate_seconds"]
DOCUMENTS = 12


class Task(NamedTuple):
    """The inputs of a task: 12 documents, whose ids are in no order, with 3 neighbours each."""

    model: Path
    queries: Path
    neighbors: Path


def neighbor_text(name: int, rank: int) -> str:
    return f"neighbour {rank} of {name}: " + "the same words again and again " * 4


def write_neighbors(
    path: Path, ids: list[int], per_query: int = 3, overlaps: Sequence[float] = (0.25, 0.125, 0.5)
) -> Path:
    rows = [
        {
            "query_id": name,
            "rank": rank,
            "distance": float(rank),
            "exact": rank == 1,
            "overlap": overlaps[rank],
            "jaccard": [0.1, 0.2, 0.7, 0.0][rank],
            "text": neighbor_text(name, rank),
        }
        for name in ids
        for rank in range(per_query)
    ]
    write_table(path, pa.Table.from_pylist(rows, schema=NEIGHBORS))
    return path


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("task")
    ids = [(7 * number) % DOCUMENTS + 1 for number in range(DOCUMENTS)]
    texts = [f"document {name} " + "says the same words again " * 20 for name in ids]
    return Task(
        save_causal(folder / "gpt2"),
        write_queries(folder / "queries.parquet", ids, texts),
        write_neighbors(folder / "neighbors.parquet", ids),
    )


def evaluate(
    task: Task,
    output: Path,
    recipe: Recipe = RECIPE,
    parts: int = 1,
    part: int = 0,
    engine: str = "reference",
    **spec,
) -> pa.Table:
    evaluate_part(
        EvaluateSpec(recipe=recipe, parts=parts, **spec),
        model=task.model,
        queries=task.queries,
        neighbors=[task.neighbors],
        method="ttt",
        task="pile_github",
        part=part,
        output=output,
        engine=engine,
    )
    return pq.read_table(output)


def results(table: pa.Table) -> list[dict]:
    """Rows without what a clock measured, by document."""
    rows = table.drop_columns(SECONDS).to_pylist()
    return sorted(rows, key=lambda row: (row["document_id"], row["num_neighbors"]))


@pytest.fixture(scope="module")
def whole(task, tmp_path_factory):
    return evaluate(task, tmp_path_factory.mktemp("whole") / "0.parquet")


def test_a_row_for_each_document_and_number_of_neighbours(task, whole):
    assert whole.schema == ROWS
    ids = pq.read_table(task.queries)["query_id"].to_pylist()
    assert whole["document_id"].to_pylist() == [name for name in ids for _ in range(3)]
    assert whole["num_neighbors"].to_pylist() == [0, 1, 2] * DOCUMENTS
    names = ("model", "method", "task")
    assert {tuple(row[n] for n in names) for row in whole.to_pylist()} == {
        ("gpt2", "ttt", "pile_github")
    }


def test_rows_are_what_the_loop_measures(task, whole):
    text = pq.read_table(task.queries)["text"].to_pylist()[5]
    rows = whole.slice(15, 3).to_pylist()
    name = rows[0]["document_id"]
    query = Query(name, text, [neighbor_text(name, rank) for rank in range(2)])
    (adapted,) = adapt(*load_causal(task.model), [query], RECIPE, 64)
    for row, measured in zip(rows, adapted.measurements, strict=True):
        assert row["loglikelihood"] == measured.loglikelihood
        assert (row["steps"], row["train_tokens"]) == (measured.steps, measured.train_tokens)
        assert row["bytes"] == row["tokens"] == len(text.encode())
        assert row["words"] == len(text.split()) + 1  # the harness counts what a last space ends
    assert rows[0]["train_loss"] is None
    assert rows[2]["train_loss"] == adapted.measurements[2].train_loss


def test_overlap_is_the_largest_so_far_of_the_neighbours_trained_on(whole):
    """The neighbours' are 0.25, 0.125, and 0.5 of one that is not trained on."""
    assert whole["overlap"].to_pylist() == [0.0, 0.25, 0.25] * DOCUMENTS
    assert whole["jaccard"].to_pylist() == [0.0, 0.1, 0.2] * DOCUMENTS
    assert whole["exact"].to_pylist() == [False, False, True] * DOCUMENTS


def test_neighbours_that_overlap_too_much_are_passed_over(task, tmp_path):
    recipe = RECIPE.model_copy(update={"num_neighbors": 1, "evaluate_at": [0, 1]})
    table = evaluate(task, tmp_path / "0.parquet", recipe, max_overlap=0.25)
    assert table["overlap"].to_pylist() == [0.0, 0.125] * DOCUMENTS
    rows = table.to_pylist()
    query = pq.read_table(task.queries).to_pylist()[0]
    texts = Query(query["query_id"], query["text"], [neighbor_text(query["query_id"], 1)])
    (adapted,) = adapt(*load_causal(task.model), [texts], recipe, 64)
    assert rows[1]["loglikelihood"] == adapted.measurements[1].loglikelihood


def test_the_next_ones_take_the_places_of_those_passed_over(task, tmp_path):
    """Of four, ranks 0 and 2 share too much: two are asked for, and 1 and 3 are trained on."""
    ids = pq.read_table(task.queries)["query_id"].to_pylist()
    overlaps = (0.5, 0.0, 0.05, 0.04)
    path = write_neighbors(tmp_path / "four.parquet", ids, per_query=4, overlaps=overlaps)
    table = evaluate(task._replace(neighbors=path), tmp_path / "0.parquet", max_overlap=0.05)
    assert table["used_neighbors"].to_pylist() == [0, 1, 2] * DOCUMENTS
    assert table["overlap"].to_pylist() == [0.0, 0.0, 0.04] * DOCUMENTS
    row = table.to_pylist()[2]
    query = pq.read_table(task.queries).to_pylist()[0]
    texts = [neighbor_text(query["query_id"], rank) for rank in (1, 3)]
    asked = Query(query["query_id"], query["text"], texts)
    (adapted,) = adapt(*load_causal(task.model), [asked], RECIPE, 64)
    assert row["loglikelihood"] == adapted.measurements[2].loglikelihood


def test_a_document_with_copies_for_neighbours_is_trained_on_what_is_left(task, whole, tmp_path):
    """Ranks 1 and 2 are passed over, rank 0 is used; two are asked for and three were found."""
    ids = pq.read_table(task.queries)["query_id"].to_pylist()
    copies = write_neighbors(tmp_path / "copies.parquet", ids, overlaps=(0.125, 0.5, 0.75))
    copied = task._replace(neighbors=copies)
    rows = results(evaluate(copied, tmp_path / "0.parquet", max_overlap=0.5))
    same = ("loglikelihood", "steps")
    for one, two, expected in zip(rows[1::3], rows[2::3], results(whole)[1::3], strict=True):
        assert [one[name] for name in same] == [two[name] for name in same]
        assert [one[name] for name in same] == [expected[name] for name in same]

    few = write_neighbors(tmp_path / "few.parquet", ids, per_query=1)
    with pytest.raises(ValueError, match="has 1 neighbours, but the method uses 2"):
        evaluate(task._replace(neighbors=few), tmp_path / "1.parquet", max_overlap=0.5)


def test_a_likelihood_that_is_not_finite_says_what_to_change(task, tmp_path):
    diverging = RECIPE.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        ValueError, match=r"after 1 neighbours: .* lower the method's learning_rate"
    ):
        evaluate(task, tmp_path / "0.parquet", diverging)

    network, _ = load_causal(task.model)
    with torch.no_grad():
        network.transformer.wpe.weight[16:] = float("nan")  # beyond what loading tries
    shutil.copytree(task.model, tmp_path / "model")
    network.save_pretrained(tmp_path / "model")
    write_manifest(tmp_path / "model")
    with pytest.raises(ValueError, match="after 0 neighbours: check the model"):
        evaluate(task._replace(model=tmp_path / "model"), tmp_path / "1.parquet")


def test_a_stopped_document_stays_as_it_is(task, whole, tmp_path):
    """A selection may end a document's neighbours early; elsewhere that is an error."""
    ids = pq.read_table(task.queries)["query_id"].to_pylist()
    few = write_neighbors(tmp_path / "neighbors.parquet", ids, per_query=1)
    table = evaluate(task._replace(neighbors=few), tmp_path / "0.parquet", stops=True)
    rows, expected = results(table), results(whole)
    for point in (0, 1):
        assert rows[point::3] == expected[point::3]
    constant = {"loglikelihood", "steps", "train_tokens", "overlap", "jaccard", "exact"}
    for one, two in zip(rows[1::3], rows[2::3], strict=True):
        assert two["num_neighbors"] == 2
        assert {name: one[name] for name in constant} == {name: two[name] for name in constant}


def test_the_second_half_is_evaluated_and_the_first_trained_on(task, tmp_path):
    """Dynamic evaluation needs no neighbours."""
    halves = pa.table(
        {"query_id": [5], "text": ["the first half " * 3], "continuation": ["and the second"]}
    )
    write_table(tmp_path / "halves.parquet", halves)
    recipe = RECIPE.model_copy(update={"text": "split", "train_on": "query"})
    evaluate_part(
        EvaluateSpec(recipe=recipe, parts=1),
        model=task.model,
        queries=tmp_path / "halves.parquet",
        neighbors=[],
        method="dynamic",
        task="pile_github",
        part=0,
        output=tmp_path / "0.parquet",
        engine="reference",
    )
    rows = pq.read_table(tmp_path / "0.parquet").to_pylist()
    assert {row["bytes"] for row in rows} == {len("and the second")}
    query = Query(5, "and the second", ["the first half " * 3] * 2)
    (adapted,) = adapt(*load_causal(task.model), [query], RECIPE, 64)
    assert [row["loglikelihood"] for row in rows] == [
        measured.loglikelihood for measured in adapted.measurements
    ]


def test_documents_left_out_of_the_halves_are_listed_in_some_part(task, tmp_path):
    texts = ["x", "the first and the second", "y", "z", "other halves"]
    documents = write_queries(tmp_path / "whole.parquet", [4, 6, 8, 3, 1], texts)
    split_documents(SplitSpec(tokens=9), [documents], task.model, [tmp_path / "halves.parquet"])
    recipe = RECIPE.model_copy(update={"text": "split", "train_on": "query"})
    evaluated, omitted = [], []
    for part in range(2):
        evaluate_part(
            EvaluateSpec(recipe=recipe, parts=2),
            model=task.model,
            queries=tmp_path / "halves.parquet",
            neighbors=[],
            method="dynamic",
            task="pile_github",
            part=part,
            output=tmp_path / f"{part}.parquet",
        )
        table = pq.read_table(tmp_path / f"{part}.parquet")
        assert table.schema == ROWS
        evaluated += table["document_id"].unique().to_pylist()
        omitted += left_out(table.schema)
    assert sorted(evaluated) == [1, 6]
    assert sorted(omitted) == [3, 4, 8]


def lacking(task: Task, folder: Path, letters: str) -> Path:
    """The task's model, whose tokenizer drops these letters."""
    shutil.copytree(task.model, folder)
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    for letter in letters:
        tokenizer["model"]["vocab"][f"not {letter}"] = tokenizer["model"]["vocab"].pop(letter)
    file.write_text(json.dumps(tokenizer))
    write_manifest(folder)
    return folder


def test_characters_without_a_token_are_counted_and_warned_of(task, whole, tmp_path, capsys):
    assert set(whole["lost_characters"].to_pylist()) == {0}
    other = task._replace(model=lacking(task, tmp_path / "other", "yw"))
    texts = ["sunny day, yes", "no such letter", "way"]
    queries = write_queries(tmp_path / "queries.parquet", [1, 2, 3], texts)
    rows = evaluate(other._replace(queries=queries), tmp_path / "0.parquet").to_pylist()
    lost = {row["document_id"]: row["lost_characters"] for row in rows}
    assert lost == {1: 3, 2: 0, 3: 2}
    assert [row["tokens"] for row in rows[::3]] == [11, 14, 1]
    assert [row["bytes"] for row in rows[::3]] == [14, 14, 3]
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert "no token for 5 characters in 2 of 3 documents" in warnings[0]


def test_a_document_of_no_token_at_all_is_refused(task, tmp_path):
    other = task._replace(model=lacking(task, tmp_path / "other", "yw"))
    queries = write_queries(tmp_path / "queries.parquet", [1, 2], ["some", "yyw"])
    with pytest.raises(ValueError, match=r"document 2: .* no token for any of its 3 char"):
        evaluate(other._replace(queries=queries), tmp_path / "0.parquet")


def test_a_mixture_has_a_row_for_each_alpha(task, tmp_path):
    recipe = Interpolate(
        kind="interpolate", num_neighbors=2, evaluate_at=[0, 2], alphas=[0.0, 0.25]
    )
    rows = evaluate(task, tmp_path / "0.parquet", recipe).to_pylist()[:3]
    assert [(row["num_neighbors"], row["alpha"]) for row in rows] == [(0, 0), (2, 0), (2, 0.25)]
    assert rows[0]["loglikelihood"] == rows[1]["loglikelihood"] != rows[2]["loglikelihood"]


def test_the_file_says_with_what_it_was_made(task, tmp_path, monkeypatch):
    """Of a job that went on elsewhere, with both."""
    evaluate(task, tmp_path / "0.parquet")
    made_with = environment() | {"engine": "reference"}
    assert environments_of(pq.read_schema(tmp_path / "0.parquet")) == [made_with]
    monkeypatch.setattr("tttnn.methods.evaluate.environment", lambda *_: {"torch": "other"})
    evaluate(task, tmp_path / "1.parquet", engine="lean")
    made_with = {"torch": "other", "engine": "lean"}
    assert environments_of(pq.read_schema(tmp_path / "1.parquet")) == [made_with]


def test_weights_that_are_not_the_manifests_are_not_evaluated(task, tmp_path):
    model = shutil.copytree(task.model, tmp_path / "model")
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-3] ^= 64
    (model / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match=r"model\.safetensors has SHA-256 .* remove .*model and"):
        evaluate(task._replace(model=model), tmp_path / "0.parquet")


@pytest.mark.parametrize("parts", [4, 5])
def test_parts_change_nothing(parts, task, whole, tmp_path):
    tables = [
        evaluate(task, tmp_path / f"{part}.parquet", parts=parts, part=part)
        for part in range(parts)
    ]
    assert max(map(len, tables)) - min(map(len, tables)) in (0, 3)
    assert results(pa.concat_tables(tables)) == results(whole)


def test_more_parts_than_documents_leave_empty_tables(task, tmp_path):
    table = evaluate(task, tmp_path / "29.parquet", parts=30, part=29)
    assert table.schema == ROWS
    assert len(table) == 0


def test_a_task_without_documents_gives_an_empty_table(task, tmp_path):
    """And no model is loaded for it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/manifest.json").write_text("{}")
    empty = Task(
        tmp_path / "model",
        write_queries(tmp_path / "queries.parquet", []),
        write_neighbors(tmp_path / "neighbors.parquet", []),
    )
    table = evaluate(empty, tmp_path / "0.parquet")
    assert table.schema == ROWS
    assert len(table) == 0
    assert not list(tmp_path.glob(".*"))


# --- killed ----------------------------------------------------------------------------------


class Killed(NamedTuple):
    """What a killed job left: its folder, and the rows of the documents it had finished."""

    folder: Path
    done: dict[int, list[dict]]


def entries(lines: list[str]) -> dict[int, list[dict]]:
    """The rows of each document in the lines of a journal."""
    found = (json.loads(line.partition("\t")[0]) for line in lines[1:])
    return {rows[0]["document_id"]: rows for rows in found}


@pytest.fixture(scope="module")
def killed(task, tmp_path_factory):
    """A job that gets SIGKILL once two documents are in its journal."""
    folder = tmp_path_factory.mktemp("killed")
    spec = EvaluateSpec(recipe=RECIPE, parts=1).model_dump_json()
    options = {**task._asdict(), "method": "ttt", "task": "pile_github", "part": 0}
    command = [sys.executable, "-m", "tttnn", "evaluate_part", "--spec", spec]
    command += ["--engine", "reference"]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command += ["--output", str(folder / "0.parquet")]
    journal = folder / ".0.journal"
    with (folder / "log").open("w") as log:
        environment = os.environ | {"PYTHONPATH": str(WORKFLOW)}
        job = subprocess.Popen(command, stderr=log, env=environment)
        try:
            while not journal.is_file() or journal.read_bytes().count(b"\n") < 3:
                assert job.poll() is None, (folder / "log").read_text()
                time.sleep(0.002)
        finally:
            job.send_signal(signal.SIGKILL)
            job.wait()
    assert job.returncode == -signal.SIGKILL
    assert not (folder / "0.parquet").exists()
    lines = [line for line in journal.read_text().splitlines(keepends=True) if line[-1] == "\n"]
    done = {
        rows[0]["document_id"]: rows
        for rows in (json.loads(line.partition("\t")[0]) for line in lines[1:])
    }
    assert 2 <= len(done) < DOCUMENTS
    return Killed(folder, done)


@pytest.fixture
def left(killed, tmp_path):
    """A copy of what the killed job left."""
    shutil.copytree(killed.folder, tmp_path / "left")
    return Killed(tmp_path / "left", killed.done)


def kept(table: pa.Table, done: dict[int, list[dict]]) -> list[int]:
    """The documents whose times in the table are the journal's: they were not evaluated again."""
    seconds: dict[int, list] = {}
    for row in table.to_pylist():
        seconds.setdefault(row["document_id"], []).append([row[name] for name in SECONDS])
    return [
        name
        for name, rows in done.items()
        if seconds[name] == [[row[column] for column in SECONDS] for row in rows]
    ]


def test_a_killed_job_goes_on_where_it_was(left, task, whole, capsys):
    table = evaluate(task, left.folder / "0.parquet")
    message = f"going on after {len(left.done)} of {DOCUMENTS} documents"
    assert message in capsys.readouterr().err
    assert kept(table, left.done) == list(left.done)
    assert results(table) == results(whole)
    assert table["document_id"].to_pylist() == whole["document_id"].to_pylist()
    assert not (left.folder / ".0.journal").exists()


def test_another_engine_goes_on_where_one_was_killed(left, task, whole, capsys):
    """Which one runs is in no journal's identity, and changes no row beyond rounding."""
    table = evaluate(task, left.folder / "0.parquet", engine="lean")
    said = capsys.readouterr().err
    assert f"going on after {len(left.done)} of {DOCUMENTS} documents" in said
    assert "engine: lean\n" in said
    assert kept(table, left.done) == list(left.done)
    for ours, theirs in zip(results(table), results(whole), strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            is_real = isinstance(value, float)
            assert ours[name] == (pytest.approx(value, rel=1e-6) if is_real else value), name
    engines = {one["engine"] for one in environments_of(table.schema)}
    assert engines == {"reference", "lean"}


@pytest.mark.parametrize("tear", [1, 40])
def test_a_torn_line_is_evaluated_again(tear, left, task, whole, capsys):
    """The end of the journal did not reach the disk; what the next line would be is unknown."""
    journal = left.folder / ".0.journal"
    whole_lines = journal.read_bytes().rpartition(b"\n")[0]
    journal.write_bytes(whole_lines[:-tear])
    *kept_documents, torn = left.done
    table = evaluate(task, left.folder / "0.parquet")
    assert f"going on after {len(kept_documents)} of" in capsys.readouterr().err
    assert kept(table, left.done) == kept_documents
    assert torn not in kept_documents
    assert results(table) == results(whole)


def one_and_no_more(*arguments):
    yield next(iter(adapt(*arguments)))
    raise KeyboardInterrupt


def test_killed_twice_with_half_a_line_at_the_end(left, task, whole, monkeypatch, capsys):
    """The second time after one more document, shorter than what was there of a line."""
    with (left.folder / ".0.journal").open("ab") as journal:
        journal.write(b'[{"document_id": 3, ' + b" " * 100_000)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tttnn.methods.ttt.engine.adapt", one_and_no_more)
        evaluate(task, left.folder / "0.parquet")
    capsys.readouterr()
    table = evaluate(task, left.folder / "0.parquet")
    assert f"going on after {len(left.done) + 1} of" in capsys.readouterr().err
    assert kept(table, left.done) == list(left.done)
    assert results(table) == results(whole)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_job_told_to_end_finishes_its_document(
    number, task, whole, tmp_path, monkeypatch, capsys
):
    def told_during_the_second(*arguments):
        for count, adapted in enumerate(adapt(*arguments)):
            if count == 1:
                os.kill(os.getpid(), number)
            yield adapted

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as left:
        patch.setattr("tttnn.methods.ttt.engine.adapt", told_during_the_second)
        evaluate(task, tmp_path / "0.parquet")
    assert left.value.code == 75
    saved = capsys.readouterr().err
    assert f"{number.name}: saved 2 of 12 documents, going on at the next attempt" in saved
    lines = (tmp_path / ".0.journal").read_text().splitlines()
    done = {
        rows[0]["document_id"]: rows
        for rows in (json.loads(line.partition("\t")[0]) for line in lines[1:])
    }
    table = evaluate(task, tmp_path / "0.parquet")
    assert "going on after 2 of 12" in capsys.readouterr().err
    assert kept(table, done) == list(done)
    assert results(table) == results(whole)
    assert signal.getsignal(number) == signal.SIG_DFL


def changed(task: Task, folder: Path, what: str) -> tuple[Task, Recipe]:
    if what == "settings":
        return task, RECIPE.model_copy(update={"learning_rate": 2e-3})
    if what == "model":
        shutil.copytree(task.model, folder / "gpt2")
        (folder / "gpt2/note").write_text("another")
        write_manifest(folder / "gpt2")
        return task._replace(model=folder / "gpt2"), RECIPE
    ids = pq.read_table(task.queries)["query_id"].to_pylist()
    neighbors = write_neighbors(folder / "neighbors.parquet", ids[::-1])
    return task._replace(neighbors=neighbors), RECIPE


@pytest.mark.parametrize("what", ["settings", "model", "neighbors"])
def test_a_journal_of_something_else_is_thrown_away(what, left, task, capsys):
    other, recipe = changed(task, left.folder, what)
    table = evaluate(other, left.folder / "0.parquet", recipe)
    assert "going on" not in capsys.readouterr().err
    assert kept(table, left.done) == []
    assert len(table) == 3 * DOCUMENTS


def test_nothing_is_left_of_a_journal_thrown_away(left, task, monkeypatch, capsys):
    """Not even when its replacement is shorter, and is itself gone on with."""
    other, recipe = changed(task, left.folder, "settings")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tttnn.methods.ttt.engine.adapt", one_and_no_more)
        evaluate(other, left.folder / "0.parquet", recipe)
    assert len((left.folder / ".0.journal").read_text().splitlines()) == 2
    capsys.readouterr()
    table = evaluate(other, left.folder / "0.parquet", recipe)
    assert "going on after 1 of" in capsys.readouterr().err
    assert kept(table, left.done) == []


def test_a_journal_of_other_code_is_thrown_away(left, task, monkeypatch, capsys):
    monkeypatch.setattr("tttnn.resume.fingerprint", lambda module: "edited")
    evaluate(task, left.folder / "0.parquet")
    assert "going on" not in capsys.readouterr().err


def test_a_run_as_released_starts_again(left, task, monkeypatch, capsys):
    """Its optimiser remembers the documents before, and the journal does not hold that."""
    released = RECIPE.model_copy(update={"as_released": True})
    output = left.folder / "0.parquet"
    first = evaluate(task, output, released)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tttnn.methods.ttt.engine.adapt", one_and_no_more)
        evaluate(task, output, released)
    capsys.readouterr()
    again = evaluate(task, output, released)
    assert "going on" not in capsys.readouterr().err
    assert results(again) == results(first)


# --- what must be refused --------------------------------------------------------------------


def test_too_few_neighbours_are_an_error(task, tmp_path):
    ids = pq.read_table(task.queries)["query_id"].to_pylist()
    few = write_neighbors(tmp_path / "neighbors.parquet", ids, per_query=1)
    with pytest.raises(ValueError, match=r"query \d+ has 1 neighbours, but the method uses 2"):
        evaluate(task._replace(neighbors=few), tmp_path / "0.parquet")
    none = write_neighbors(tmp_path / "neighbors.parquet", ids[1:])
    with pytest.raises(ValueError, match=f"query {ids[0]} has 0 neighbours"):
        evaluate(task._replace(neighbors=none), tmp_path / "0.parquet")
    assert not (tmp_path / "0.parquet").exists()


def test_divergence_names_document_and_remedy(task, tmp_path):
    diverging = RECIPE.model_copy(update={"learning_rate": 1e30})
    first = 10  # of three whose texts have a digit more than others', the first
    with pytest.raises(ValueError, match=rf"document {first} has .* nan after 1 .* learning_rate"):
        evaluate(task, tmp_path / "0.parquet", diverging)
    assert not (tmp_path / "0.parquet").exists()


def test_a_window_longer_than_the_model_is_an_error(task, tmp_path):
    with pytest.raises(ValueError, match=r"window is 65 tokens, but .* has positions for 64"):
        evaluate(task, tmp_path / "0.parquet", RECIPE.model_copy(update={"window": 65}))


def test_a_shorter_window_is_used(task, whole, tmp_path):
    table = evaluate(task, tmp_path / "0.parquet", RECIPE.model_copy(update={"window": 32}))
    assert table["steps"].to_pylist()[2] > whole["steps"].to_pylist()[2]
    assert table["loglikelihood"].to_pylist()[0] != whole["loglikelihood"].to_pylist()[0]


def test_a_model_without_positions_is_evaluated_in_the_method_s_window(task, tmp_path):
    model = save_decoder(tmp_path / "mamba", "mamba")
    write_manifest(model)
    mine = task._replace(model=model)
    with pytest.raises(ValueError, match=r"states no number of positions .* `window:`"):
        evaluate(mine, tmp_path / "none.parquet")
    table = evaluate(mine, tmp_path / "0.parquet", RECIPE.model_copy(update={"window": 64}))
    (query,) = pq.read_table(task.queries).slice(0, 1).to_pylist()
    (adapted,) = adapt(
        *load_causal(model),
        [
            Query(
                query["query_id"],
                query["text"],
                [neighbor_text(query["query_id"], r) for r in (0, 1)],
            )
        ],
        RECIPE,
        64,
    )
    expected = [measurement.loglikelihood for measurement in adapted.measurements]
    rows = [row for row in table.to_pylist() if row["document_id"] == query["query_id"]]
    assert [row["loglikelihood"] for row in rows] == expected
