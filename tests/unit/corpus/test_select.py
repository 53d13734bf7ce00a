"""The test documents of every task: the paper's draw, and nothing that moves them."""

from __future__ import annotations

import csv
import hashlib
import json
import random

import pyarrow.parquet as pq
import pytest

from tttnn.corpus.documents import CorpusError, Document, write_records
from tttnn.corpus.select import select, select_documents
from tttnn.digests import write_record
from tttnn.pile import TASKS
from tttnn.sections.select import Select

PAPERS = Select(fraction=0.2)


def papers_draw(documents: list) -> list:
    """As the released code draws (eval_tttlm.py, lines 374-384)."""
    generator = random.Random()
    generator.seed(1216)
    documents = list(documents)
    generator.shuffle(documents)
    return documents[: int(0.2 * len(documents))]


def records(counts: dict[str, int]):
    """`counts` documents of each subset, one of each in turn."""
    for number in range(max(counts.values(), default=0)):
        for subset, count in counts.items():
            if number < count:
                yield {"text": f"{subset} {number}", "meta": {"pile_set_name": subset}}


def described(shard):
    """The shard, and a manifest beside it."""
    manifest = shard.with_name("test.json")
    write_record(manifest, {"sha256": hashlib.sha256(shard.read_bytes()).hexdigest()})
    return shard, manifest


def run(folder, spec, counts):
    folder.mkdir(exist_ok=True)
    write_records(folder / "test.jsonl.zst", records(counts))
    outputs = [folder / f"{task}.parquet" for task in TASKS]
    shard = described(folder / "test.jsonl.zst")
    select_documents(spec, *shard, outputs, folder / "selection.json")
    chosen = {path.stem: pq.read_table(path) for path in outputs}
    return chosen, json.loads((folder / "selection.json").read_text())["tasks"]


def test_shuffled_by_pythons_generator_with_the_papers_seed():
    documents = [Document(line, f"text {line}", "ArXiv", {}) for line in range(1, 51)]
    assert select(documents, PAPERS) == papers_draw(documents)
    # what CPython has drawn since 3.2
    assert [d.line for d in select(documents[:10], Select(count=10))] == [
        7,
        3,
        5,
        6,
        4,
        8,
        10,
        1,
        2,
        9,
    ]
    assert [d.line for d in documents] == list(range(1, 51))  # the caller's list is left alone


def test_the_papers_number_of_documents_for_every_task(shared):
    with (shared / "data/test_subset.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["task"] for row in rows} == set(TASKS)
    for row in rows:
        chosen = select(range(int(row["n_test_docs"])), PAPERS)
        assert len(chosen) == int(row["n_eval_docs_at_0.2"]), row["task"]
        assert chosen == papers_draw(range(int(row["n_test_docs"])))


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (Select(count=3), 3),
        (Select(count=99), 20),
        (Select(fraction=1), 20),
        (Select(fraction=0.26), 5),
    ],
)
def test_a_count_or_a_fraction_rounded_down(spec, count):
    assert len(select(list(range(20)), spec)) == count


def test_more_documents_keep_those_chosen_before():
    few, many = (select(list(range(100)), Select(count=count)) for count in (5, 50))
    assert many[:5] == few
    assert select(list(range(100)), Select(count=5, seed=7)) != few


def test_each_task_has_its_own_file_and_ids_are_record_numbers(tmp_path):
    counts = {"ArXiv": 20, "Github": 35, "Ubuntu IRC": 4}
    lines = {record["text"]: line for line, record in enumerate(records(counts), start=1)}
    chosen, selection = run(tmp_path, PAPERS, counts)
    assert set(chosen) == set(TASKS)
    texts = {task: table["text"].to_pylist() for task, table in chosen.items()}
    assert texts["pile_github"] == papers_draw([f"Github {n}" for n in range(35)])
    assert texts["pile_arxiv"] == papers_draw([f"ArXiv {n}" for n in range(20)])
    for table in chosen.values():
        assert table["query_id"].to_pylist() == [lines[t] for t in table["text"].to_pylist()]
        assert table.schema.names == ["query_id", "text"]
    assert texts["pile_ubuntu-irc"] == texts["pile_books3"] == []
    assert selection["pile_github"] == {"test_documents": 35, "selected": 7}
    assert selection["pile_ubuntu-irc"] == {"test_documents": 4, "selected": 0}
    assert selection["pile_books3"] == {"test_documents": 0, "selected": 0}
    assert list(selection) == list(TASKS)


def test_documents_of_other_tasks_move_nothing(tmp_path):
    alone, _ = run(tmp_path / "alone", PAPERS, {"Github": 35})
    among, _ = run(tmp_path / "among", PAPERS, {"ArXiv": 50, "Github": 35, "USPTO Backgrounds": 9})
    assert alone["pile_github"]["text"] == among["pile_github"]["text"]


def test_nothing_chosen_at_all_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"has 8 documents, .* chooses none of any task"):
        run(tmp_path, PAPERS, {"ArXiv": 4, "Github": 4})


def test_a_test_document_without_a_subset_is_an_error(tmp_path):
    write_records(tmp_path / "test.jsonl.zst", [{"text": "some text", "meta": {}}])
    outputs = [tmp_path / f"{task}.parquet" for task in TASKS]
    with pytest.raises(CorpusError, match="line 1: no subset"):
        shard = described(tmp_path / "test.jsonl.zst")
        select_documents(PAPERS, *shard, outputs, tmp_path / "s.json")
