"""Long documents in parts, gone on with after a kill, and rows that are sums of their windows."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards import write_queries
from tiny import save_causal
from tttnn.environment import environments_of
from tttnn.methods import evaluate_windows as stage
from tttnn.methods.cut_windows import CutSpec, cut_windows
from tttnn.methods.evaluate import ROWS, EvaluateSpec, evaluate_part
from tttnn.methods.evaluate_windows import WINDOWS, WindowsSpec, evaluate_windows
from tttnn.methods.ttt.settings import Recipe
from tttnn.retrieval.gather import NEIGHBORS
from tttnn.tables import write_table

TASK = "pile_arxiv"
IDS = [5, 2, 9]
TEXTS = ["five says this and then that " * 3, "two is short", "nine has more to say than five " * 4]
LENGTH = 32
SECONDS = ["train_seconds", "evaluate_seconds"]
TRAINING = {"num_neighbors": 2, "evaluate_at": [0, 2], "learning_rate": 1e-3, "window": LENGTH}
OVERLAP = (0.25, 0.125, 0.5)


class Inputs(NamedTuple):
    model: Path
    queries: Path
    windows: Path
    neighbors: dict[str, Path]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    model = save_causal(folder / "gpt2")
    queries = write_queries(folder / "test.parquet", IDS, TEXTS)
    target, past = folder / "target.parquet", folder / "past.parquet"
    spec = CutSpec(tokens=LENGTH, past_tokens=LENGTH, most=None)
    cut_windows(spec, [queries], model, [target], [past])
    sets = {"document": queries, "target": target, "past": past}
    neighbors = {
        name: write_neighbors(folder / f"{name}-neighbors.parquet", path)
        for name, path in sets.items()
    }
    return Inputs(model, queries, target, neighbors)


def write_neighbors(path: Path, queries: Path) -> Path:
    rows = [
        {
            "query_id": name, "rank": rank, "distance": float(rank), "exact": rank == 1,
            "overlap": OVERLAP[rank], "jaccard": 0.0, "text": f"number {rank} that {name} found",
        }
        for name in pq.read_table(queries)["query_id"].to_pylist() for rank in (2, 0, 1)
    ]  # fmt: skip
    write_table(path, pa.Table.from_pylist(rows, schema=NEIGHBORS))
    return path


def recipe(query: str, **changes) -> dict:
    return {"kind": "windows", "query": query, "dropout": "none"} | TRAINING | changes


def run(inputs: Inputs, folder: Path, asked: dict, parts: int = 1, **spec):
    """The rows of documents and of windows, of all parts together."""
    neighbors = [] if asked["query"] == "none" else [inputs.neighbors[asked["query"]]]
    made = []
    for part in range(parts):
        output, scored = folder / f"{part}.parquet", folder / f"windows/{part}.parquet"
        evaluate_windows(
            WindowsSpec.model_validate({"recipe": asked, "parts": parts} | spec),
            inputs.model, inputs.windows, neighbors, "long", TASK, part, output, scored,
        )  # fmt: skip
        made.append((pq.read_table(output), pq.read_table(scored)))
    assert made[0][0].schema.remove_metadata() == ROWS
    assert made[0][1].schema.remove_metadata() == WINDOWS
    return tuple(
        pd.concat([pair[place].to_pandas() for pair in made], ignore_index=True) for place in (0, 1)
    )


def test_without_neighbours_rows_are_those_of_the_plain_evaluation(inputs, tmp_path):
    """And with a document's neighbours those of test-time training, of all that is no window's."""
    documents, windows = run(inputs, tmp_path, recipe("document"))
    plain = tmp_path / "plain.parquet"
    training = Recipe.model_validate({"kind": "ttt", "dropout": "none"} | TRAINING)
    evaluate_part(
        EvaluateSpec(recipe=training, parts=1), inputs.model, inputs.queries,
        [inputs.neighbors["document"]], "long", TASK, 0, plain, engine="reference",
    )  # fmt: skip
    expected = pq.read_table(plain).to_pandas()
    pd.testing.assert_frame_equal(
        documents.drop(columns=[*SECONDS, "train_loss"]),
        expected.drop(columns=[*SECONDS, "train_loss"]),
        rtol=1e-5,
        check_dtype=False,
    )
    assert windows.groupby("document_id")["windows"].first().to_dict() == {2: 1, 5: 3, 9: 4}
    keys = ["document_id", "num_neighbors"]
    sums = windows.groupby(keys)[["loglikelihood", "bytes", "tokens", "steps", *SECONDS]].sum()
    whole = documents.set_index(keys)[[*sums]].sort_index()
    pd.testing.assert_frame_equal(sums, whole, check_dtype=False)


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.drop(columns=SECONDS)
    return rows.sort_values("document_id", kind="stable", ignore_index=True)


@pytest.mark.parametrize("query", ["target", "past", "none"])
def test_parts_are_the_whole(query, inputs, tmp_path):
    more = {"score_first": {"chunk_tokens": 16}} if query != "target" else {}
    whole = run(inputs, tmp_path / "whole", recipe(query, **more))
    parts = run(inputs, tmp_path / "parts", recipe(query, **more), parts=2)
    for one, other in zip(whole, parts, strict=True):
        one, other = (
            frame.drop(columns=SECONDS).sort_values(
                ["document_id"], kind="stable", ignore_index=True
            )
            for frame in (one, other)
        )
        pd.testing.assert_frame_equal(one, other)
    windows = whole[1]
    used = windows[windows["num_neighbors"] == 2].set_index(["document_id", "window"])
    expected = {"target": 2, "past": 2, "none": 0}[query]
    assert (used.drop(index=[(5, 0), (2, 0), (9, 0)])["used_neighbors"] == expected).all()
    # the first window has no past, and is the model's as it was
    assert used.loc[(9, 0), "used_neighbors"] == (2 if query == "target" else 0)
    before = windows.set_index(["num_neighbors", "document_id", "window"]).loc[0]
    changed = used["loglikelihood"] != before["loglikelihood"]
    assert changed.xs(0, level="window").all() == (query == "target")
    assert changed.drop(index=[(5, 0), (2, 0), (9, 0)]).all()


def test_each_window_says_how_near_a_copy_its_own_neighbours_are(inputs, tmp_path):
    documents, windows = run(inputs, tmp_path, recipe("past"), max_overlap=0.4, stops=True)
    rows = windows[(windows["document_id"] == 5) & (windows["num_neighbors"] == 2)]
    assert rows["overlap"].tolist() == [0, 0.25, 0.25]
    assert rows["exact"].tolist() == [False, True, True]
    row = documents[(documents["document_id"] == 5) & (documents["num_neighbors"] == 2)].iloc[0]
    assert (row["overlap"], row["exact"], row["used_neighbors"]) == (0.25, True, 2)


def test_a_killed_job_goes_on_behind_its_documents(inputs, tmp_path, monkeypatch):
    asked = recipe("past", score_first={"chunk_tokens": 16})
    whole = run(inputs, tmp_path / "whole", asked)
    read = []

    def dies(model, tokenizer, documents, *rest):
        for place, found in enumerate(real(model, tokenizer, documents, *rest)):
            if place == 1 and not read:
                raise KeyboardInterrupt
            yield found

    def counts(model, tokenizer, documents, *rest):
        some = list(documents)
        read.extend(document.id for document in some)
        yield from real(model, tokenizer, some, *rest)

    real = stage.adapt
    monkeypatch.setattr(stage, "adapt", dies)
    with pytest.raises(KeyboardInterrupt):
        run(inputs, tmp_path / "killed", asked)
    monkeypatch.setattr(stage, "adapt", counts)
    again = run(inputs, tmp_path / "killed", asked)
    assert read == [5, 2]  # the longest, 9, was finished
    for one, other in zip(whole, again, strict=True):
        pd.testing.assert_frame_equal(one.drop(columns=SECONDS), other.drop(columns=SECONDS))
    kept = tmp_path / "killed/.0.documents.gz"
    assert list((tmp_path / "killed").glob(".*")) == [kept]
    read.clear()
    (tmp_path / "killed/0.parquet").unlink()
    again = run(inputs, tmp_path / "killed", asked)
    assert read == []  # all are as evaluated before
    for one, other in zip(whole, again, strict=True):
        pd.testing.assert_frame_equal(one.drop(columns=SECONDS), other.drop(columns=SECONDS))
    run(inputs, tmp_path / "killed", recipe("past", score_first={"chunk_tokens": 8}))
    assert read == [9, 5, 2]  # of other settings none


def test_too_few_neighbours_are_an_error_and_environments_are_told(inputs, tmp_path):
    asked = recipe("past", num_neighbors=4, evaluate_at=[0, 4])
    with pytest.raises(ValueError, match="has 3 neighbours, but the method uses 4"):
        run(inputs, tmp_path / "few", asked)
    run(inputs, tmp_path / "fine", recipe("past"))
    for name in ("0.parquet", "windows/0.parquet"):
        (told,) = environments_of(pq.read_schema(tmp_path / "fine" / name))
        assert told["engine"] == "windows"
