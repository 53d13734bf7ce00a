"""Documents chosen to fit into hours: against hand computation; always the same, and nested."""

from __future__ import annotations

import json
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from configured import asked, read
from tttnn.config.load import ConfigError
from tttnn.config.root import Config
from tttnn.corpus.select import select
from tttnn.operations.afford import affordable, said, within_hours
from tttnn.operations.costs import Costs
from tttnn.operations.plan import lines
from tttnn.stages import Specs

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "workflow/tttnn/published/documents.csv"

SMALL = (
    "sources={demo: {test_documents: 220}}",  # ten of each of the 22 tasks
    "methods={ttt: {num_neighbors: 2, evaluate_at: [0, 2]}, in_context: {num_neighbors: 2, "
    "evaluate_at: [0, 2]}}",
    "evaluate={models: [small], methods: [ttt], tasks: [pile_enron, pile_arxiv], ablations: null}",
)
TOKENS = 1260 / 4
TOKEN = 2 * 2 * (4 * 64**2 + 2 * 64 * 256) + 4 * 2 * TOKENS * 64 + 2 * 2048 * 64
"""FLOP of a token that `small` reads: two blocks of width 64, attention, 2,048 words to predict."""
DOCUMENT = 2 * (TOKENS * TOKEN * (2 + 3 * 2) / 35e9 + 2 * 0.01)
"""Seconds of a document of both tasks: measured twice; two steps, of three passes and 10 ms."""
JOBS = 2 * 4.0
"""Seconds in which the two jobs load their libraries."""


def config(*settings: str, overlays: tuple[str, ...] = ()) -> Config:
    return read([ROOT / f"config/{name}.yaml" for name in overlays], settings)


def within(hours: float, *settings: str, overlays: tuple[str, ...] = ()) -> Config:
    key = f"select={{fraction: null, count: null, hours: {hours}}}"
    return config(*settings, key, overlays=overlays)


@pytest.mark.parametrize(("documents", "count"), [(1.01, 1), (4.99, 4), (5.01, 5), (9.99, 9)])
def test_as_many_documents_fit_as_by_hand(documents, count):
    hours = (JOBS + documents * DOCUMENT) / 3600
    chosen, afforded = within_hours(within(hours, *SMALL))
    assert chosen.select.model_dump() == {
        "fraction": None, "count": count, "seed": 1216, "hours": None,
    }  # fmt: skip
    assert afforded.documents == {"pile_enron": 10, "pile_arxiv": 10}
    expected = sum(afforded.expected(task, count) for task in afforded.documents)
    assert expected == pytest.approx(JOBS + count * DOCUMENT)
    line, left_out = said(afforded, "cpu")
    of_each = f"{count} document{'' if count == 1 else 's'} of each task"
    assert f"fit {of_each} ({expected / 3600:.3g} hours)" in line
    out = 10 - count
    assert left_out == (
        f"It leaves out {2 * out} of 20 documents: pile_enron {out} of 10, pile_arxiv {out} of 10"
    )


def test_hours_for_more_than_there_are_take_all_documents():
    """The plan's numbers of a task's documents are means; none is left out for being more."""
    hours = (JOBS + 10.01 * DOCUMENT) / 3600
    chosen, afforded = within_hours(within(hours, *SMALL))
    assert (chosen.select.fraction, chosen.select.count) == (1.0, None)
    assert "fit all documents" in next(said(afforded, "cpu"))
    assert "select: {fraction: 1, count: null}" in next(said(afforded, "cpu"))


def test_documents_are_chosen_to_fit_into_hours():
    """The most that the plan itself expects to take no longer; the others are counted."""
    chosen, listed = asked("paper")

    def takes(count: int) -> float:
        draw = chosen.select.model_copy(update={"fraction": None, "count": count})
        costs = Costs(chosen.model_copy(update={"select": draw}))
        jobs = [job for job in listed if job.rule == "evaluate_part"]
        return sum(costs.of(job.rule, job.wildcards).seconds for job in jobs) / 3600

    afforded = affordable(chosen, hours=500)
    count = afforded.select.count
    assert takes(count) <= 500 < takes(count + 1)
    line, left_out = said(afforded, "gpu")
    assert line.startswith("Into 500 GPU hours of evaluation fit ")
    assert f"({takes(count):.3g} hours): select: {{fraction: null, count: {count}}}." in line
    test = pd.read_csv(PUBLISHED)["test_documents"].tolist()
    beyond = sum(max(0, documents - count) for documents in test)
    assert f"leaves out {beyond:,} of {sum(test):,} documents" in left_out


def test_hours_count_every_way_of_evaluating():
    """Each job by its own rule's cost: windows have several searches and more steps."""
    names = ["ttt", "long_target", "experts"]
    settings = (f"evaluate={{methods: {names}, ablations: null, parts: {{default: 3}}}}",)
    chosen, listed = asked(settings=settings)
    jobs = [job for job in listed if "part" in job.wildcards]
    assert {job.rule for job in jobs} == {"evaluate_part", "evaluate_windows", "evaluate_experts"}
    draw = chosen.select.model_copy(update={"fraction": None, "count": 7})
    costs = Costs(chosen.model_copy(update={"select": draw}))
    seconds = sum(costs.of(job.rule, job.wildcards).seconds for job in jobs)
    afforded = affordable(chosen, hours=seconds / 3600 * (1 + 1e-5))
    assert afforded.select.count == 7
    assert sum(afforded.expected(t, 7) for t in afforded.documents) == pytest.approx(seconds)


def test_the_order_of_names_moves_no_document():
    names = (["ttt", "in_context", "sift"], ["small", "large", "neo"])
    found = []
    for methods, models in (names, [each[::-1] for each in names]):
        chosen = f"evaluate={{models: {models}, methods: {methods}}}"
        found.append(within_hours(within(0.0216, *SMALL, chosen))[1])
    assert found[0].select.count == 5
    assert found[0] == found[1]


def test_what_a_run_has_done_moves_no_document(tmp_path, monkeypatch):
    """Not even seconds that it measured: rates are the plan's."""
    there = within_hours(within(0.0024, *SMALL))
    monkeypatch.chdir(tmp_path)
    tables = tmp_path / "results/demo/tables"
    tables.mkdir(parents=True)
    (tables / "costs.csv").write_text("run,model,method,task,seconds_mean\ndemo,small,ttt,x,9\n")
    (tmp_path / "results/demo/config.json").write_text(there[0].model_dump_json())
    assert within_hours(within(0.0024, *SMALL)) == there
    again = within_hours(there[0])  # as a finished run's configuration is read
    assert again == (there[0], None)


def test_more_hours_keep_the_documents_of_fewer():
    drawn = [
        select([*range(500)], within_hours(within(hours, *SMALL))[0].select)
        for hours in (0.0023, 0.0024, 0.0025, 0.0026, 1)
    ]
    assert len({len(each) for each in drawn}) > 3
    for fewer, more in pairwise(drawn):
        assert more[: len(fewer)] == fewer
    assert len(drawn[-1]) == 500


def test_the_stages_are_asked_for_a_plain_draw():
    """What was drawn by its number before is as it was, and hours alone rerun nothing."""
    hours = (JOBS + 5.01 * DOCUMENT) / 3600
    by_hours = Specs(*within_hours(within(hours, *SMALL)))
    by_count, default = Specs(config(*SMALL, "select={count: 5}")), Specs(config())
    test, val = (SimpleNamespace(queries=queries) for queries in ("test", "val"))
    for stage in ("select_documents", "compare_published"):
        assert getattr(default, stage)(test) == '{"count":3,"fraction":null,"seed":1216}'
        assert getattr(by_hours, stage)(test) == getattr(by_count, stage)(test)
    assert by_hours.select_documents(val) == '{"count":2,"fraction":null,"seed":1216}'
    told = json.loads(by_hours.list_hours(SimpleNamespace()))
    assert told["run"] == "demo" and told["afforded"]["select"]["count"] == 5


def test_too_few_hours_are_refused_with_what_it_takes():
    least = f"{(JOBS + DOCUMENT) / 3600:.3g}"
    with pytest.raises(
        ConfigError, match=rf"1e-06 CPU hours are too few: .* takes {least} hours\. Give more"
    ):
        within_hours(within(1e-6, *SMALL))


def test_a_folder_that_will_be_there_is_asked_for(tmp_path):
    """Its files would say another number of documents, once they are there."""
    local = (f"sources={{mine: {{kind: local, path: {tmp_path}}}}}", "corpus={source: mine}")
    with pytest.raises(
        ConfigError, match=r"^select\.hours: how many .*no files of text in .*: put the"
    ):
        within_hours(within(1, *SMALL, *local))
    model = f"models={{mine: {{kind: local, path: {tmp_path}, adapt_learning_rate: 0.1}}}}"
    settings = (model, "evaluate={models: [mine]}")
    with pytest.raises(ConfigError, match=r"^select\.hours: how large mine is.* not known before"):
        within_hours(within(1, *SMALL, *settings))
    architecture = {"n_embd": 64, "n_layer": 2, "n_inner": 256, "vocab_size": 2048}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", **architecture}))
    hours = (JOBS + 5.01 * DOCUMENT) / 3600
    assert within_hours(within(hours, *SMALL, *settings))[0].select.count == 5


def test_the_plan_says_what_hours_led_to_and_its_jobs_have_those_documents():
    hours = (JOBS + 5.01 * DOCUMENT) / 3600
    settings = (*SMALL, f"select={{count: null, hours: {hours}}}")
    chosen, listed = asked(settings=settings)
    assert any(job.outputs == ["results/demo/tables/hours.csv"] for job in listed)
    printed = list(lines(chosen, listed))
    assert printed[1].startswith(
        f"Into {hours:g} CPU hours of evaluation fit 5 documents of each task"
    )
    assert printed[2].startswith("It leaves out 10 of 20 documents: ")
    counted = Costs(chosen)
    assert counted.selected("pile_enron") == 5
    without, jobs = asked(settings=SMALL)
    assert next(islice(lines(without, jobs), 1, None)) == ""
    assert not any("hours.csv" in output for job in jobs for output in job.outputs)
