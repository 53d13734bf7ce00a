"""A method that is tuned is evaluated as one whose settings were written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from shards import write_queries
from tiny import save_causal
from tttnn.digests import write_record
from tttnn.environment import environments_of
from tttnn.methods.evaluate import EvaluateSpec, evaluate_part
from tttnn.methods.ttt.settings import Recipe
from tttnn.methods.tuned import TunedSpec, evaluate_tuned
from tttnn.retrieval.gather import NEIGHBORS
from tttnn.tables import read_table, write_table

RECIPE = Recipe(num_neighbors=3, evaluate_at=[0, 1, 2, 3])
SECONDS = ["train_seconds", "evaluate_seconds"]


class Task(NamedTuple):
    """A model, three documents, and two sets of neighbours, of which `far` end early."""

    model: Path
    queries: Path
    near: Path
    far: Path


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder, ids = tmp_path_factory.mktemp("task"), [3, 1, 2]

    def neighbors(name: str, count: int) -> Path:
        rows = [
            {
                "query_id": query, "rank": rank, "distance": float(rank), "exact": False,
                "overlap": 0.1, "jaccard": 0.1, "text": f"{name} {rank} of {query} " * 5,
            }
            for query in ids
            for rank in range(count)
        ]  # fmt: skip
        write_table(folder / f"{name}.parquet", pa.Table.from_pylist(rows, schema=NEIGHBORS))
        return folder / f"{name}.parquet"

    texts = [f"document {query} says some words " * 3 for query in ids]
    queries = write_queries(folder / "queries.parquet", ids, texts)
    return Task(save_causal(folder / "gpt2"), queries, neighbors("near", 3), neighbors("far", 2))


def plain(task: Task, output: Path, neighbors: Path, stops: bool = False, **recipe: Any):
    spec = EvaluateSpec(recipe=RECIPE.model_copy(update=recipe), parts=1, stops=stops)
    evaluate_part(spec, task.model, task.queries, [neighbors], "mine", "pile_arxiv", 0, output)
    return read_table(output)


def tuned(task: Task, folder: Path, chosen: dict, neighbors: list[Path] | None = None):
    record = folder / "tuned.json"
    write_record(record, {"chosen": chosen})
    spec = TunedSpec(
        evaluation=EvaluateSpec(recipe=RECIPE, parts=1), candidates=["near", "far"], stops=["far"]
    )
    files = neighbors or [task.near, task.far]
    output = folder / "tuned.parquet"
    evaluate_tuned(spec, task.model, task.queries, files, record, "mine", "pile_arxiv", 0, output)
    return read_table(output)


def rows(table: pa.Table) -> list[dict]:
    return table.drop_columns(SECONDS).to_pylist()


def test_the_settings_are_those_that_were_chosen(task, tmp_path):
    chosen = {"candidates": "near", "learning_rate": 3e-3, "num_neighbors": 3}
    found = tuned(task, tmp_path, {"pile_all": chosen})
    expected = plain(task, tmp_path / "plain.parquet", task.near, learning_rate=3e-3)
    assert rows(found) == rows(expected)
    other = plain(task, tmp_path / "other.parquet", task.near, learning_rate=1e-3)
    assert rows(found) != rows(other)


def test_the_neighbours_are_the_chosen_selection_s_and_no_other_s_are_read(task, tmp_path):
    chosen = {"candidates": "far", "stop": 0.2, "learning_rate": 3e-3}
    files = [tmp_path / "nowhere.parquet", task.far]
    found = tuned(task, tmp_path, {"pile_all": chosen}, files)
    expected = plain(task, tmp_path / "plain.parquet", task.far, stops=True, learning_rate=3e-3)
    assert rows(found) == rows(expected)
    assert found["used_neighbors"].to_pylist() == [0, 1, 2, 2] * 3


def test_a_task_has_its_own_choice_where_there_is_one(task, tmp_path):
    rates = {"pile_arxiv": 3e-3, "pile_enron": 1e-3}
    choices = {t: {"candidates": "near", "learning_rate": rate} for t, rate in rates.items()}
    found = tuned(task, tmp_path, choices)
    expected = plain(task, tmp_path / "plain.parquet", task.near, learning_rate=3e-3)
    assert rows(found) == rows(expected)
    del choices["pile_arxiv"]
    with pytest.raises(ValueError, match=r"tuned\.json has no choice for pile_arxiv"):
        tuned(task, tmp_path, choices)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_beyond_the_chosen_number_of_neighbours_nothing_changes(count, task, tmp_path):
    """By hand: the rows of all neighbours up to there, and the last of them again."""
    chosen = {"candidates": "near", "learning_rate": 3e-3, "num_neighbors": count}
    found = tuned(task, tmp_path, {"pile_all": chosen})
    whole = plain(task, tmp_path / "plain.parquet", task.near, learning_rate=3e-3)
    by_count = {(r["document_id"], r["num_neighbors"]): r for r in rows(whole)}
    expected = [
        by_count[name, min(point, count)] | {"num_neighbors": point}
        for name in (3, 1, 2)
        for point in RECIPE.evaluate_at
    ]
    assert rows(found) == expected
    assert environments_of(found.schema) == environments_of(whole.schema)
    assert found.schema.equals(whole.schema, check_metadata=True)


def test_candidates_that_are_not_given_are_named(task, tmp_path):
    with pytest.raises(ValueError, match=r"tuned\.json has chosen other, which is not given"):
        tuned(task, tmp_path, {"pile_all": {"candidates": "other", "learning_rate": 3e-3}})
