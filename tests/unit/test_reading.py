"""What is wrong with a file is said in one line with its name; what is wrong with us is not."""

from __future__ import annotations

import json
import re

import faiss
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import zstandard
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from tttnn import command as program
from tttnn.reading import ReadingError, read_csv, read_json, read_parquet, reading

GARBAGE = np.random.default_rng(0).bytes(4000)
OTHERS = {
    "empty": b"",
    "garbage": GARBAGE,
    "text": b"<!doctype html>\n<p>Not found</p>\n",
    "json": b'{"a": [1, 2]}\n',
}


def unpack(path):
    with zstandard.open(path, "rb") as file:
        return file.read(1)


READERS = {
    "parquet": pq.read_table,
    "safetensors": load_file,
    "npy": lambda path: np.load(path, allow_pickle=False),
    "faiss": lambda path: faiss.read_index(str(path)),
    "zstd": unpack,
    "tokenizer": lambda path: Tokenizer.from_file(str(path)),
    "torch": lambda path: torch.load(path, weights_only=True),
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("kind", READERS)
def test_what_a_library_raises_over_a_file_names_it(kind, content, tmp_path):
    path = tmp_path / "some.file"
    path.write_bytes(content)
    with (
        pytest.raises(ReadingError) as caught,
        reading(path, "do it again", anything=kind in ("tokenizer", "torch")),
    ):
        if READERS[kind](path) == b"":  # an empty file has no frame, and none is missed
            raise ValueError("nothing in it")
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path} cannot be read (")
    assert line.endswith("): do it again")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("error", [TypeError, AssertionError, AttributeError, NameError])
def test_faults_of_our_own_pass_as_they_are(error, tmp_path):
    with pytest.raises(error), reading(tmp_path):
        raise error("ours")


def test_a_file_that_is_not_there_says_so_itself(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"), reading(tmp_path / "nothing"):
        (tmp_path / "nothing").read_bytes()
    with pytest.raises(MemoryError), reading(tmp_path):
        raise MemoryError


# --- tables ------------------------------------------------------------------------------------

TABLE = 'run,task,value\nmade,"a, b",1.5\nmade,c,\n'


def test_a_whole_table_is_what_pandas_reads(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    table = read_csv(tmp_path / "t.csv", ["run", "value"])
    pd.testing.assert_frame_equal(table, pd.read_csv(tmp_path / "t.csv"))
    assert read_csv(tmp_path / "t.csv", index_col="task").loc["a, b", "value"] == 1.5
    (tmp_path / "t.csv").write_text("run,task\n")
    assert read_csv(tmp_path / "t.csv").empty


def test_a_table_cut_anywhere_but_at_a_lines_end_is_refused(tmp_path):
    whole = TABLE.encode()
    for end in range(len(whole)):
        (tmp_path / "t.csv").write_bytes(whole[:end])
        if end and whole[end - 1 : end] == b"\n":
            continue
        with pytest.raises(ReadingError, match=re.escape(str(tmp_path / "t.csv"))):
            read_csv(tmp_path / "t.csv", ["run"])


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_another_kind_of_file_is_no_table(content, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    for read in (lambda: read_csv(path, ["run"]), lambda: read_parquet(path)):
        with pytest.raises(ReadingError, match=re.escape(str(path))):
            read()


def test_a_line_of_another_length_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("run,task\na,b\na,b,c\n")
    with pytest.raises(ReadingError, match=r"t\.csv, line 3: 3 values for 2 columns: again"):
        read_csv(tmp_path / "t.csv", remedy="again")


def test_a_column_that_is_missing_is_named(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    with pytest.raises(ReadingError, match=r"t\.csv has no column 'model'"):
        read_csv(tmp_path / "t.csv", ["run", "model"])
    pq.write_table(pa.table({"run": ["a"]}), tmp_path / "t.parquet")
    with pytest.raises(ReadingError, match=r"t\.parquet cannot be read \(.*model"):
        read_parquet(tmp_path / "t.parquet", ["model"])


@pytest.mark.parametrize("content", ["[1]", "5", '"a"', "{", "", "\udcff", "[" * 100_000])
def test_json_that_is_no_object_is_refused(content, tmp_path):
    path = tmp_path / "some.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ReadingError, match=re.escape(str(path))):
        read_json(path)
    path.write_text(json.dumps({"a": 1}))
    assert read_json(path) == {"a": 1}


# --- memory ------------------------------------------------------------------------------------


def run_raising(monkeypatch, stage, error):
    def failing(*_):
        raise error

    monkeypatch.delenv("TTTNN_TRACEBACK", raising=False)
    monkeypatch.setattr(program, "_run", failing)
    program.main([stage])


@pytest.mark.parametrize(
    ("stage", "error", "said"),
    [
        (
            "embed_chunk",
            torch.OutOfMemoryError("CUDA out of memory. Tried to\nmore"),
            "there is not enough memory (CUDA out of memory. Tried to): lower embed.batch_tokens",
        ),
        ("fill_shard_index", MemoryError(), "there is not enough memory: raise memory_mb"),
        ("adapt", MemoryError(), "there is not enough memory: lower --window"),
        (
            "chunk_shard",
            MemoryError("std::bad_alloc"),
            "there is not enough memory (std::bad_alloc): give the job more (snakemake "
            "--set-resources chunk_shard:mem_mb=…), or raise chunk.chunks_per_shard",
        ),
    ],
)
def test_too_little_memory_is_a_line_with_what_to_lower(stage, error, said, monkeypatch):
    with pytest.raises(SystemExit) as caught:
        run_raising(monkeypatch, stage, error)
    assert caught.value.code == f"tttnn {stage}: {said}"


@pytest.mark.parametrize("error", [TypeError, KeyError, AssertionError, RuntimeError])
def test_a_fault_of_the_program_keeps_its_place(error, monkeypatch):
    with pytest.raises(error):
        run_raising(monkeypatch, "score", error("ours"))


def test_remedies_are_for_stages_and_commands_that_exist():
    assert program.LOWER.keys() <= {*program.MODULES, *program.COMMANDS}
