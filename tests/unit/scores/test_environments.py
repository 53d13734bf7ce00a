"""With what a run was made, and what is mixed."""

from __future__ import annotations

import importlib.metadata
import platform

import pandas as pd
import pyarrow as pa
import pytest

from shards import MADE_WITH, write_query_vectors
from synthetic_run import row, run_score, write_rows
from tttnn.environment import (
    FIELDS,
    distinct,
    environment,
    environments_of,
    with_environments,
)
from tttnn.retrieval.tensors import save_tensors
from tttnn.scores.environments import Made, environment_rows, of_evaluations, of_queries
from tttnn.tables import write_table


def made(stage: str, name: str, files: int = 1, **changed: str) -> Made:
    return Made(stage, name, MADE_WITH | changed, files)


def test_an_environment_is_of_this_process():
    told = environment("cpu", "bfloat16")
    assert tuple(told) == FIELDS
    assert told["python"] == platform.python_version()
    assert told["torch"] == importlib.metadata.version("torch")
    assert told["faiss"] == importlib.metadata.version("faiss-cpu")
    assert told["device"].startswith("cpu: ") and len(told["device"]) > 8
    assert told["precision"] == "bfloat16"


def test_a_tables_metadata_keep_what_else_they_say():
    schema = pa.schema([("a", pa.int64())]).with_metadata({"another": "thing"})
    one, two = MADE_WITH, MADE_WITH | {"torch": "other"}
    told = with_environments(schema, [one, two, dict(one)])
    assert environments_of(told) == [one, two] == distinct([one, two, one])
    assert told.metadata[b"another"] == b"thing"
    assert environments_of(schema) == []


def test_a_row_for_each_stage_name_and_environment(capsys):
    rows = pd.DataFrame(
        environment_rows(
            [
                made("evaluate_part", "small/ttt", torch="2.1", device="cpu: A"),
                made("evaluate_part", "small/ttt", torch="2.1", device="cpu: A"),
                made("evaluate_part", "small/ttt", torch="2.2", device="cpu: A"),
                made("validate_part", "small/mix", torch="2.1", device="cpu: B"),
                made("embed_chunk", "flat", files=6, device="cuda: H100"),
                made("embed_queries", "test/roberta", device="cpu: A"),
                made("merge_index", "flat"),
            ],
            "mine",
        )
    )
    assert rows["files"].tolist() == [2, 1, 1, 6, 1, 1]
    assert rows["mixed"].tolist() == ["torch", "torch", "torch", "device", "device", ""]
    assert rows["name"].tolist()[3:] == ["flat", "test/roberta", "flat"]
    assert set(rows["run"]) == {"mine"}
    assert capsys.readouterr().err.splitlines() == [
        "warning: evaluations of this run were made with more than one torch: 2.1 (3 files), "
        "2.2 (1 files); see tables/environment.csv",
        "warning: embeddings of this run were made with more than one device: cuda: H100 "
        "(6 files), cpu (1 files); see tables/environment.csv",
    ]


def test_a_run_of_one_kind_warns_of_nothing(capsys):
    rows = [made("evaluate_part", "a/b", device=f"cpu: {name}") for name in "AB"]
    assert [row["mixed"] for row in environment_rows(rows, "mine")] == ["", ""]
    assert capsys.readouterr().err == ""


def test_files_tell_what_they_were_made_with(tmp_path):
    schema = pa.schema([("a", pa.int64())])
    path = tmp_path / "small/ttt/pile_arxiv/0.parquet"
    both = [MADE_WITH, MADE_WITH | {"numpy": "3"}]
    write_table(path, pa.Table.from_pylist([], schema=with_environments(schema, both)))
    assert list(of_evaluations("evaluate_part", [path])) == [
        made("evaluate_part", "small/ttt"),
        made("evaluate_part", "small/ttt", numpy="3"),
    ]
    path = write_query_vectors(
        tmp_path / "val/embeddings/roberta.safetensors", [1], pd.DataFrame([[1.0]]).to_numpy()
    )
    assert list(of_queries([path])) == [made("embed_queries", "val/roberta")]
    save_tensors(path, {}, {"environments": []})
    assert list(of_queries([path])) == []


def test_the_table_of_a_run(tmp_path, capsys):
    rows = [row(document, k) for document in (1, 2) for k in (0, 1)]
    path = write_rows(tmp_path / "evaluation/small/nearest/pile_arxiv/0.parquet", rows)
    tables = run_score(tmp_path, [path], {"pile_arxiv": 2})
    table = pd.read_csv(tables / "environment.csv", keep_default_na=False)
    assert table.columns.tolist() == ["run", "stage", "name", *FIELDS, "files", "mixed"]
    assert table[["stage", "name", "files"]].to_numpy().tolist() == [
        ["evaluate_part", "small/nearest", 1],
        ["merge_index", "flat", 1],
        ["embed_chunk", "flat", 16],
        ["merge_index", "ivf", 1],
        ["embed_chunk", "ivf", 16],
    ]
    assert set(table["mixed"]) == {""}
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("field", ["transformers", "device", "precision"])
def test_every_field_is_compared(field, capsys):
    rows = [made("embed_chunk", "flat"), made("embed_chunk", "ivf", **{field: "other"})]
    assert [row["mixed"] for row in environment_rows(rows, "mine")] == [field, field]
    assert f"more than one {field}: a {field} (1 files), other" in capsys.readouterr().err
