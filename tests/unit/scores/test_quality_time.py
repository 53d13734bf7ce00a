"""Quality against time: by hand, and against a search through all points."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from synthetic_run import row, run_score, write_rows
from tttnn.scores.quality_time import Selection, front, selection_of
from tttnn.scores.rows import ScoreSpec

SPEC = ScoreSpec(
    run="made-up",
    candidates={"ttt": "flat", "sift": "sift", "random": "random", "words": "bm25"},
    searched={"flat": ["flat"], "sift": ["ivf"], "random": [], "bm25": ["bm25"]},
    selections=["sift"],
    cells=[],
    mixtures={},
    halves=[],
    budgets={},
)


def evaluate(folder, method, task, curve, seconds=0.5, model="small"):
    """A cell: number of neighbours -> bits per byte of each document of 100 bytes."""
    rows = [
        row(
            document,
            point,
            model=model,
            method=method,
            task=task,
            loglikelihood=-bits * 100 * math.log(2),
            train_seconds=seconds * point * (1 + document),
        )
        for point, all_bits in curve.items()
        for document, bits in enumerate(all_bits)
    ]
    return write_rows(folder / f"evaluation/{model}/{method}/{task}/0.parquet", rows)


def quality(folder, files, **spec):
    methods = dict.fromkeys(path.parts[-3] for path in files)
    tasks = {path.parts[-2]: 2 for path in files}
    given = {"candidates": dict.fromkeys(methods, "flat"), "halves": [], "resamples": 50}
    tables = run_score(folder, files, tasks, **given | spec)
    return pd.read_csv(tables / "quality_time.csv").set_index(["model", "method", "num_neighbors"])


def test_selection_is_searching_and_choosing_and_says_what_is_unknown():
    searching, choosing = {"flat": 0.04, "ivf": 0.002}, {"sift": 0.01}
    assert selection_of("flat", SPEC, searching, choosing) == Selection(0.04, [])
    assert selection_of("sift", SPEC, searching, choosing) == Selection(0.012, [])
    assert selection_of("random", SPEC, searching, choosing) == Selection(0.0, [])
    assert selection_of(None, SPEC, searching, choosing) == Selection(0.0, [])
    assert selection_of("bm25", SPEC, searching, choosing) == Selection(0.0, ["searching bm25"])
    assert selection_of("sift", SPEC, searching, {}) == Selection(0.002, ["choosing sift"])


def test_seconds_are_of_selection_training_and_one_evaluation(tmp_path):
    """A search takes 1 / 25.5 seconds, choosing 3 of its job by 4 documents of the run."""
    files = [
        evaluate(tmp_path, method, task, {0: [1.0, 1.4], 5: [0.9, 1.0], 20: [0.7, 0.9]})
        for method in ("ttt", "sift")
        for task in ("pile_github", "pile_arxiv")
    ]
    benchmark = tmp_path / "benchmarks/choose_neighbors/test/sift.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\tmax_rss\n3.0\t0:00:03\t77.1\n")
    table = quality(
        tmp_path,
        files,
        candidates={"ttt": "flat", "sift": "sift"},
        searched={"flat": ["flat"], "sift": ["flat"]},
        selections=["sift"],
    )
    trained, evaluated = 0.5 * 20 * (1 + 2) / 2, 0.1
    ttt, sift = (table.loc[("small", name, 20)] for name in ("ttt", "sift"))
    assert ttt["selection_seconds"] == pytest.approx(1 / 25.5)
    assert ttt["seconds"] == pytest.approx(1 / 25.5 + trained + evaluated)
    assert sift["seconds"] == pytest.approx(1 / 25.5 + 3 / 4 + trained + evaluated)
    assert ttt["train_seconds"] == pytest.approx(trained)
    assert ttt["bits_per_byte"] == pytest.approx(0.8) and ttt["documents"] == 4
    # at 0 neighbours nothing was searched
    assert table.loc[("small", "ttt", 0), "seconds"] == pytest.approx(evaluated)
    assert ttt["seconds_low"] < ttt["seconds"] < ttt["seconds_high"]


def test_intervals_of_the_change_are_those_of_the_differences(tmp_path):
    files = [evaluate(tmp_path, "ttt", "pile_github", {0: [1.0, 1.4], 5: [0.9, 1.0]})]
    table = quality(tmp_path, files)
    differences = pd.read_csv(tmp_path / "tables/differences.csv")
    expected = differences.query("task == 'pile_all' and documents_kind == 'raw'").iloc[0]
    found = table.loc[("small", "ttt", 5)]
    assert found[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx(
        expected[["difference", "low", "high"]].tolist()
    )


def test_methods_that_start_elsewhere_are_told_apart(tmp_path):
    files = [
        evaluate(tmp_path, "ttt", "pile_github", {0: [1.0, 1.4], 5: [0.9, 1.0]}),
        evaluate(tmp_path, "ttt", "pile_arxiv", {0: [1.0, 1.4], 5: [0.9, 1.0]}),
        evaluate(tmp_path, "lora", "pile_github", {0: [1.0, 1.4], 5: [0.8, 0.9]}),
        evaluate(tmp_path, "other", "pile_github", {0: [1.1, 1.4], 5: [0.1, 0.1]}),
    ]
    table = quality(tmp_path, files)
    assert table.groupby("method")["alike"].first().to_dict() == {
        "ttt": True, "lora": True, "other": False
    }  # fmt: skip
    assert set(table["tasks"]) == {1}  # the one that ttt and lora share
    on = table[table["front"]].index.get_level_values("method")
    assert list(on) == ["lora"]  # as dear as ttt, and better


def test_a_method_on_one_task_takes_no_task_from_the_others(tmp_path):
    """Three of four have both; the fourth, on Github alone, is not beside them."""
    curve = {0: [1.0, 1.4], 5: [0.9, 1.0]}
    files = [
        evaluate(tmp_path, method, task, curve)
        for method in ("ttt", "lora", "mmr")
        for task in ("pile_github", "pile_arxiv")
    ]
    table = quality(tmp_path, [*files, evaluate(tmp_path, "ttt_20", "pile_github", curve)])
    alike = table.groupby("method")["alike"].first().to_dict()
    assert alike == {"ttt": True, "lora": True, "mmr": True, "ttt_20": False}
    counts = table.groupby("method")["tasks"].first()
    assert counts.to_dict() == {"ttt": 2, "lora": 2, "mmr": 2, "ttt_20": 1}


def on_front(points, before):
    """Of points (seconds, bits), those that no other one dominates; of equal ones the first."""
    return [
        b < before
        and not any(
            (s2 <= s and b2 <= b) and ((s2, b2) != (s, b) or k < number)
            for k, (s2, b2) in enumerate(points)
            if k != number
        )
        for number, (s, b) in enumerate(points)
    ]


def test_the_front_is_what_nothing_as_cheap_is_as_good_as():
    drawn = np.random.default_rng(3)
    for _ in range(50):
        points = drawn.integers(0, 6, size=(12, 2)).astype(float)
        found = front(points[:, 1], points[:, 0], np.float64(4.0))
        assert found.tolist() == on_front([tuple(point) for point in points], 4.0)


def test_the_front_is_taken_anew_in_every_resample():
    bits = np.array([[0.9, 0.8], [0.9, 1.2]])
    seconds = np.array([[1.0, 2.0], [1.0, 2.0]])
    assert front(bits, seconds, np.array([1.0, 0.5])).tolist() == [[True, True], [False, False]]
