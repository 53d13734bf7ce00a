"""The harness's model: `hf` without neighbours, the workflow's numbers with them."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import yaml

import tttnn
from live_run import write_run
from tiny import save_causal, save_encoder, write_manifest
from tttnn.command import main
from tttnn.files import sha256
from tttnn.live.query import Finder
from tttnn.methods.evaluate import EvaluateSpec, evaluate_part
from tttnn.tables import read_table, write_table

lm_eval = pytest.importorskip("lm_eval", reason="needs the extra `harness`")
from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.evaluator import simple_evaluate  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from tttnn.harness.model import TTTNN  # noqa: E402

D, RATE, NEIGHBORS = 32, 1e-2, 3
POSITIONS, WINDOW = 64, 24  # of the models; of the method `short`
VECTORS = np.random.default_rng(0).normal(size=(20, D)).astype(np.float32)
TEXTS = {11: "passage 1 and passage 2 and what comes then", 12: "a passage, " * 12}


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def root(request, tmp_path_factory):
    """A run with an index, two test documents and a model; GPT-2 has dropout."""
    root = tmp_path_factory.mktemp(request.param)
    folder = root / "results/live"
    embedder = save_encoder(folder / "models/embedder")
    write_manifest(embedder)
    write_run(root, [[20]], VECTORS, embedder=sha256(embedder / "manifest.json"))
    config = json.loads((folder / "config.json").read_text())
    config["methods"]["short"] = {"like": "ttt", "window": WINDOW}
    (folder / "config.json").write_text(json.dumps(config))
    model = save_causal(folder / "models/small", request.param)
    write_manifest(model)
    queries = pa.table({"query_id": pa.array(TEXTS, pa.int64()), "text": list(TEXTS.values())})
    write_table(folder / "queries/test/pile_arxiv.parquet", queries)
    return root


@pytest.fixture
def here(root, monkeypatch):
    monkeypatch.chdir(root)
    return root


def model_of(root, **settings) -> TTTNN:
    given = {"neighbors": NEIGHBORS, "learning_rate": RATE} | settings
    folder = str(root / "results/live/models/small")
    return TTTNN(folder, run=str(root / "results/live"), device="cpu", **given)


def hf_of(root, **settings) -> HFLM:
    folder = str(root / "results/live/models/small")
    return HFLM(folder, device="cpu", **({"dtype": "float32"} | settings))


def request(kind: str, *arguments, doc=None, place: int = 0) -> Instance:
    return Instance(request_type=kind, doc=doc or {}, arguments=arguments, idx=place)


def rolling() -> list[Instance]:
    return [
        request("loglikelihood_rolling", text, doc={"query_id": name, "text": text})
        for name, text in TEXTS.items()
    ]


CHOICES = [("the cat", " sat"), ("the dog", " ran"), ("the cat", " ran"), ("", "a text")]
UNTIL = {"until": ["."], "max_gen_toks": 5, "do_sample": False}


def answers(model) -> list:
    choices = [request("loglikelihood", *pair) for pair in CHOICES]
    prompts = [request("generate_until", context, UNTIL) for context in ("the cat", "the dog")]
    return [
        model.loglikelihood_rolling(rolling()),
        model.loglikelihood(choices),
        model.generate_until(prompts),
    ]


def test_without_neighbours_it_is_the_harness_s_own_model(here):
    assert answers(model_of(here, neighbors=0)) == answers(hf_of(here))


def test_without_neighbours_the_method_s_window_is_the_harness_s_max_length(here):
    found = answers(model_of(here, neighbors=0, method="short"))
    assert found == answers(hf_of(here, max_length=WINDOW))
    assert found != answers(hf_of(here)) == answers(hf_of(here, max_length=POSITIONS))
    assert answers(model_of(here, neighbors=0, method="short", max_length=32)) == answers(
        hf_of(here, max_length=32)
    )


@pytest.mark.parametrize("neighbors", [0, NEIGHBORS])
def test_a_batch_s_size_is_found_once_where_there_are_neighbours(here, monkeypatch, neighbors):
    seen = []
    find = HFLM._detect_batch_size
    monkeypatch.setattr(
        HFLM, "_detect_batch_size", lambda *given: seen.append(given[1:]) or find(*given)
    )
    model = model_of(here, neighbors=neighbors, batch_size="auto", max_batch_size=2)
    found = answers(model)
    if neighbors:
        assert len(seen) == 1 and model.batch_size == 2
    else:
        assert len(seen) > 1 and model.batch_size == "auto"  # as the harness's own
    alone = answers(model_of(here, neighbors=neighbors))
    assert found[0] == pytest.approx(alone[0], rel=1e-5)
    assert [a for a, _ in found[1]] == pytest.approx([a for a, _ in alone[1]], rel=1e-4)
    assert found[2] == alone[2]


def test_one_bar_says_how_far_it_is_and_what_is_left(here, capsys, monkeypatch):
    monkeypatch.setattr("tttnn.harness.model.SECONDS", 0)
    model = model_of(here)
    capsys.readouterr()
    model.loglikelihood_rolling(rolling())
    bars = [line for line in re.split(r"[\r\n]", capsys.readouterr().err) if "%|" in line]
    assert all(line.startswith("adapted to: ") for line in bars)
    assert re.search(r"50%.* 1/2 \[\d\d:\d\d<\d\d:\d\d", "\n".join(bars))  # passed<left
    assert re.search("2/2 .* documents/s|2/2 .*s/ documents", bars[-1])
    model.loglikelihood([request("loglikelihood", *pair) for pair in CHOICES])
    assert "3/3" in capsys.readouterr().err  # contexts of four requests
    model.loglikelihood([request("loglikelihood", *CHOICES[0])], disable_tqdm=True)
    assert "%|" not in capsys.readouterr().err


def test_with_neighbours_documents_have_the_workflow_s_numbers(here):
    folder = here / "results/live"
    found = {name: tttnn.search(text, "live", NEIGHBORS) for name, text in TEXTS.items()}
    rows = [row | {"query_id": name} for name, t in found.items() for row in t.to_dict("records")]
    neighbors = pa.Table.from_pylist(
        [row | {"exact": False, "overlap": 0.0, "jaccard": 0.0} for row in rows]
    )
    write_table(folder / "neighbors.parquet", neighbors)
    recipe = tttnn.recipe_for(NEIGHBORS, RATE, [0, NEIGHBORS]).model_dump()
    evaluate_part(
        EvaluateSpec(recipe=recipe, parts=1),
        folder / "models/small",
        folder / "queries/test/pile_arxiv.parquet",
        [folder / "neighbors.parquet"],
        "ttt",
        "pile_arxiv",
        0,
        here / "out.parquet",
    )
    expected = {
        row["document_id"]: row["loglikelihood"]
        for row in read_table(here / "out.parquet").to_pylist()
        if row["num_neighbors"] == NEIGHBORS
    }
    given = dict(zip(TEXTS, model_of(here).loglikelihood_rolling(rolling()), strict=True))
    before = dict(zip(TEXTS, hf_of(here).loglikelihood_rolling(rolling()), strict=True))
    for name in TEXTS:
        assert given[name] == pytest.approx(expected[name], rel=1e-6)
        assert abs(given[name] - before[name]) > 1


def test_contexts_are_adapted_to_once_each_and_answers_keep_their_order(here, monkeypatch):
    model, seen, opened = model_of(here), [], []

    class Noting(Finder):
        def __init__(self, run):
            opened.append(run)
            super().__init__(run)

        def neighbors(self, text, k):
            seen.append(text)
            return super().neighbors(text, k)

    monkeypatch.setattr(tttnn.harness.model, "Finder", Noting)
    together = model.loglikelihood([request("loglikelihood", *pair) for pair in CHOICES])
    assert sorted(seen) == ["the cat", "the dog"]  # an empty context has no neighbours
    assert len(opened) == 1
    alone = [model.loglikelihood([request("loglikelihood", *pair)])[0] for pair in CHOICES]
    assert [a for a, _ in together] == pytest.approx([a for a, _ in alone], abs=1e-4)
    assert together[3] == hf_of(here).loglikelihood([request("loglikelihood", "", "a text")])[0]


def test_a_context_s_continuation_is_the_adapted_model_s(here):
    model = model_of(here)
    texts = tttnn.search("the cat", "live", NEIGHBORS)["text"].tolist()
    (given,) = model.generate_until([request("generate_until", "the cat", UNTIL)])
    plain = hf_of(here)
    recipe = tttnn.recipe_for(NEIGHBORS, RATE, [0, NEIGHBORS])
    with tttnn.adapted(plain.model, plain.tokenizer, texts, recipe):
        (expected,) = plain.generate_until([request("generate_until", "the cat", UNTIL)])
    assert given == expected


def test_the_pile_s_tasks_are_over_the_run_s_documents(here, capsys, tmp_path):
    main(["tasks", "--run", "live", "--output", str(tmp_path / "tasks")])
    assert "1 task of run live" in capsys.readouterr().out
    assert yaml.safe_load((tmp_path / "tasks/pile.yaml").read_text())["task"] == ["pile_arxiv"]
    model = model_of(here)
    manager = TaskManager(include_path=str(tmp_path / "tasks"))
    done = simple_evaluate(model, tasks=["pile_arxiv"], task_manager=manager, bootstrap_iters=0)
    total = sum(model.loglikelihood_rolling(rolling()))
    size = sum(len(text.encode()) for text in TEXTS.values())
    found = done["results"]["pile_arxiv"]["bits_per_byte,none"]
    assert found == pytest.approx(-total / math.log(2) / size, rel=1e-6)
    assert done["n-samples"]["pile_arxiv"]["effective"] == len(TEXTS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "tt"}, "method=tt is none of the run's. Did you mean"),
        ({"method": "knn_lm"}, "is of kind knn_lm: give one of kind ttt"),
        ({"method": "sift"}, "has its neighbours from sift"),
        ({"method": "no_copies"}, "give one that does not"),
        ({"index": "other"}, "run live has no index 'other'"),
    ],
)
def test_a_method_that_is_of_no_use_here_is_refused(here, settings, message):
    with pytest.raises(ValueError, match=message):
        model_of(here, **settings)


def test_the_harness_s_cache_is_refused(here, tmp_path):
    with pytest.raises(ValueError, match="--use_cache has answers by request alone"):
        lm_eval.api.model.CachingLM(model_of(here), str(tmp_path / "cache.db"))


def test_its_command_line_knows_the_model():
    words = ["-m", "tttnn.harness", "run", "--model", "tttnn", "--tasks", "no_such_task"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert "no_such_task" in said and "not found" in said.lower()
