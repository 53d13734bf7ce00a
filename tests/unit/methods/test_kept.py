"""Documents that were evaluated before are taken where they would come out the same, only there."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards import write_queries
from tiny import save_causal
from tttnn.environment import environments_of
from tttnn.methods import evaluate as stage
from tttnn.methods.evaluate import EvaluateSpec, evaluate_part
from tttnn.methods.ttt import engine
from tttnn.methods.ttt.settings import Recipe
from tttnn.retrieval.gather import NEIGHBORS
from tttnn.tables import write_table

SETTINGS = {"num_neighbors": 2, "evaluate_at": [0, 1, 2], "learning_rate": 1e-3}
SECONDS = ["train_seconds", "evaluate_seconds"]
IDS = [12, 5, 31, 7, 9]  # as a draw has them: of five the first four are the draw of four


class Evaluations:
    """Evaluates some documents in a folder, and counts those that a model is adapted to."""

    def __init__(self, folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.model, self.adapted = folder, model, list[int]()
        plain = engine.adapt

        def counting(network, tokenizer, queries, *further, **named):
            def told():
                for query in queries:
                    self.adapted.append(query.id)
                    yield query

            yield from plain(network, tokenizer, told(), *further, **named)

        monkeypatch.setattr(engine, "adapt", counting)

    def inputs(self, ids: list[int], changed: dict) -> tuple[Path, Path]:
        texts = [changed.get(name, f"document {name} " * 9) for name in ids]
        rows = [
            {
                "query_id": name,
                "rank": rank,
                "distance": changed.get("distance", float(rank)),
                "exact": False,
                "overlap": changed.get("overlap", 0.25),
                "jaccard": 0.1,
                "text": changed.get((name, rank), f"neighbour {rank} of {name} " * 4),
            }
            for name in ids
            for rank in range(3)
        ]
        queries = write_queries(self.folder / "queries.parquet", ids, texts)
        neighbors = self.folder / "neighbors.parquet"
        write_table(neighbors, pa.Table.from_pylist(rows, schema=NEIGHBORS))
        return queries, neighbors

    def __call__(
        self,
        count: int,
        changed: dict | None = None,
        part: int = 0,
        parts: int = 1,
        to: str = "run",
        engine: str = "reference",
        **settings,
    ) -> pa.Table:
        """As Snakemake: the output is removed, then made."""
        output = self.folder / to / f"{part}.parquet"
        output.unlink(missing_ok=True)
        self.adapted.clear()
        queries, neighbors = self.inputs(IDS[:count], changed or {})
        recipe = Recipe.model_validate(SETTINGS | settings)
        spec = EvaluateSpec(recipe=recipe, parts=parts)
        evaluate_part(
            spec, self.model, queries, [neighbors], "ttt", "pile_github", part, output, engine
        )
        return pq.read_table(output)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_causal(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture
def evaluate(tmp_path, model, monkeypatch):
    return Evaluations(tmp_path, model, monkeypatch)


def same(one: pa.Table, other: pa.Table) -> bool:
    """Bit for bit, but for what a clock measured."""
    return one.drop_columns(SECONDS).equals(other.drop_columns(SECONDS), check_metadata=True)


def test_one_more_document_evaluates_one_and_one_fewer_none(evaluate, capsys):
    evaluate(4)
    assert len(evaluate.adapted) == 4
    capsys.readouterr()
    more = evaluate(5)
    assert evaluate.adapted == [IDS[4]]
    said = capsys.readouterr().err
    assert "4 of 5 documents are as evaluated before" in said
    assert ".*.documents.gz (remove these files to evaluate them anew)" in said
    assert same(more, evaluate(5, to="fresh"))
    assert len(evaluate.adapted) == 5
    fewer = evaluate(4)
    assert evaluate.adapted == []
    assert same(fewer, evaluate(4, to="fresh"))
    evaluate(5)  # the fifth is not forgotten meanwhile
    assert evaluate.adapted == []


@pytest.mark.parametrize(
    "settings",
    [{"learning_rate": 2e-3}, {"num_neighbors": 1, "evaluate_at": [0, 1]}, {"seed": 3}],
    ids=str,
)
def test_other_settings_evaluate_all(settings, evaluate):
    evaluate(4)
    found = evaluate(5, **settings)
    assert len(evaluate.adapted) == 5
    assert same(found, evaluate(5, to="fresh", **settings))


@pytest.mark.parametrize(
    ("changed", "anew"),
    [
        ({12: "another text"}, [12, 9]),
        ({(31, 0): "another neighbour"}, [31, 9]),
        ({(31, 2): "a neighbour that is not used"}, [9]),
        ({"overlap": 0.5}, [12, 5, 31, 7, 9]),
        ({"distance": 0.0}, [9]),  # only the order counts here
    ],
    ids=str,
)
def test_a_document_is_evaluated_again_where_it_or_its_neighbours_are_others(
    changed, anew, evaluate
):
    evaluate(4)
    found = evaluate(5, changed)
    assert sorted(evaluate.adapted) == sorted(anew)
    assert same(found, evaluate(5, changed, to="fresh"))


def test_another_model_code_or_environment_evaluates_all(evaluate, monkeypatch, tmp_path):
    evaluate(4)
    evaluate.model = save_causal(tmp_path / "other", seed=5)
    evaluate(4)
    assert len(evaluate.adapted) == 4
    evaluate(4)
    assert evaluate.adapted == []
    here = stage.environment
    with monkeypatch.context() as patch:
        patch.setattr(stage, "environment", lambda *told: here(*told) | {"torch": "0.1"})
        table = evaluate(4)
        assert len(evaluate.adapted) == 4
        assert [told["torch"] for told in environments_of(table.schema)] == ["0.1"]
    with monkeypatch.context() as patch:
        patch.setattr(stage, "identity", lambda *told: "other code")
        evaluate(4)
        assert len(evaluate.adapted) == 4


def test_rows_of_another_engine_are_not_those_of_one_that_is_asked_for(evaluate):
    evaluate(4, engine="lean")
    evaluate(4, engine="reference")
    assert len(evaluate.adapted) == 4
    evaluate(4, engine="auto")
    assert evaluate.adapted == []


def test_documents_move_among_parts_with_their_rows(evaluate):
    """Another document is dealt otherwise."""
    for part in range(2):
        evaluate(4, part=part, parts=2)
    anew = []
    for part in range(2):
        evaluate(5, {9: "a long document " * 40}, part=part, parts=2)
        anew += evaluate.adapted
    assert anew == [9]
    evaluate(5, {9: "a long document " * 40})
    assert evaluate.adapted == []


def test_what_depends_on_the_documents_before_is_neither_kept_nor_taken(evaluate, tmp_path):
    evaluate(4, as_released=True)
    assert not list((tmp_path / "run").glob(".*"))
    evaluate(5, as_released=True)
    assert len(evaluate.adapted) == 5


def test_a_damaged_file_costs_an_evaluation_and_is_named(evaluate, tmp_path, capsys):
    evaluate(2)
    (kept,) = (tmp_path / "run").glob(".*")
    whole = kept.read_bytes()
    content = bytearray(gzip.decompress(whole))
    content[-20] ^= 1
    for harmed, anew in ((whole[:-9], 2), (b"nothing", 2), (gzip.compress(content), 1)):
        kept.write_bytes(harmed)
        capsys.readouterr()
        evaluate(2)
        assert len(evaluate.adapted) == anew
        assert str(kept) in capsys.readouterr().err
        assert kept.read_bytes() != harmed
