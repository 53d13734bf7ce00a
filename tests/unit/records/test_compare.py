"""Runs beside one another, against numbers by hand and a bootstrap written out."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from recorded_run import write_run
from tttnn.figures import style
from tttnn.pile import TASKS
from tttnn.records.compare import compare
from tttnn.records.record import record
from tttnn.scores.bootstrap import resample_counts
from tttnn.sections.score import Score

GITHUB = ["a" * 100, "b" * 200, "c" * 50]
ARXIV = ["x" * 80, "y" * 40]
ONE = {
    ("small", "ttt", "pile_github"): {0: [1.0, 1.4, 1.1], 5: [0.9, 1.0, 1.0], 20: [0.7, 0.9, 0.8]},
    ("small", "ttt", "pile_arxiv"): {0: [2.0, 2.2], 5: [1.9, 2.0], 20: [1.5, 1.9]},
    ("small", "sift", "pile_github"): {0: [1.0, 1.4, 1.1], 5: [0.8, 0.8, 1.0], 20: [0.6, 0.9, 0.8]},
}
# the same documents and another one, in another order and with other numbers
OTHER_GITHUB = ["c" * 50, "d" * 70, "a" * 100, "b" * 200]
OTHER = {
    ("small", "ttt", "pile_github"): {
        0: [1.1, 9.0, 1.0, 1.4],
        5: [0.9, 9.0, 0.7, 0.9],
        20: [0.6, 9.0, 0.5, 0.9],
    },
    ("small", "mmr", "pile_github"): {0: [1.1, 9.0, 1.0, 1.4], 5: [0.5, 9.0, 0.5, 0.5]},
}


@pytest.fixture(autouse=True)
def _undrawn(request, monkeypatch):
    """Figures take seconds: one test looks at them."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("tttnn.records.compare._draw", lambda *given: [])


@pytest.fixture
def drawn():
    """Asked for by a test that looks at figures."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    top = tmp_path_factory.mktemp("runs")
    one = write_run(top / "one", {"pile_github": GITHUB, "pile_arxiv": ARXIV}, ONE, run="one")
    other = write_run(
        top / "other",
        {"pile_github": OTHER_GITHUB},
        OTHER,
        {"pile_github": [7, 11, 30, 31]},
        run="other",
        corpus="of another",
        config={"methods": {"ttt": {"kind": "ttt", "window": 256}}},
    )
    record(one, top / "records/one")
    record(other, top / "records/other")
    return top


@pytest.fixture
def table(folders, tmp_path):
    compare([folders / "records/one", folders / "other"], tmp_path)
    return pd.read_csv(tmp_path / "comparison.csv")


def at(table, run, method, points, task="pile_github"):
    rows = table[(table["run"] == run) & (table["method"] == method) & (table["task"] == task)]
    return rows.set_index("num_neighbors").loc[points]


def bits(values):
    """Of the documents a, b and c, by their bytes."""
    return sum(v * n for v, n in zip(values, (100, 200, 50), strict=True)) / 350


def test_documents_are_matched_by_text_and_not_by_number(table):
    row = at(table, "other", "ttt", 20)
    assert row["bits_per_byte"] == pytest.approx(bits([0.5, 0.9, 0.6]))
    assert row["against"] == "one: small/ttt"
    assert row["difference"] == pytest.approx(bits([0.5, 0.9, 0.6]) - bits([0.7, 0.9, 0.8]))
    assert row["documents"] == 3
    # 0.5 seconds a neighbour and 0.1 of evaluating
    assert row["seconds"] == pytest.approx(20 * 0.5 + 0.1)


def test_tasks_that_not_all_runs_have_are_left_out(table):
    assert set(table["task"]) == {"pile_all", "pile_github"}


def test_a_method_that_the_first_run_lacks_is_held_against_its_main_one(table):
    row = at(table, "other", "mmr", 5)
    assert row["against"] == "one: small/ttt"
    assert row["difference"] == pytest.approx(0.5 - bits([0.9, 1.0, 1.0]))
    assert at(table, "one", "sift", 5)["against"] == "one: small/ttt"
    assert math.isnan(at(table, "one", "ttt", 5)["difference"])


def test_intervals_are_a_paired_bootstrap_over_the_shared_documents(table):
    """Written out, a resample at a time: documents in the order of their texts' digests."""
    spec = Score()
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in GITHUB]
    by_digest = sorted(range(3), key=lambda k: digests[k])
    size = np.array([100, 200, 50])[by_digest]
    one, other = (np.array(v)[by_digest] for v in ([0.7, 0.9, 0.8], [0.5, 0.9, 0.6]))
    differences, values = [], []
    for counts in resample_counts(3, spec.resamples, spec.seed, "pile_github"):
        drawn = [k for k in range(3) for _ in range(int(counts[k]))]
        total = sum(size[k] for k in drawn)
        value = sum(other[k] * size[k] for k in drawn) / total
        values.append(value)
        differences.append(value - sum(one[k] * size[k] for k in drawn) / total)
    row = at(table, "other", "ttt", 20)
    for found, expected in (
        ([row["low"], row["high"]], values),
        ([row["difference_low"], row["difference_high"]], differences),
    ):
        assert found == pytest.approx(list(np.quantile(expected, [0.025, 0.975])))


def test_the_weighted_mean_is_over_the_tasks_of_both(folders, tmp_path):
    compare([folders / "one"], tmp_path)
    table = pd.read_csv(tmp_path / "comparison.csv")
    weights = [TASKS[task].weight for task in ("pile_github", "pile_arxiv")]
    parts = [bits([0.7, 0.9, 0.8]), (1.5 * 80 + 1.9 * 40) / 120]
    mean = sum(w * p for w, p in zip(weights, parts, strict=True)) / sum(weights)
    assert at(table, "one", "ttt", 20, "pile_all")["bits_per_byte"] == pytest.approx(mean)
    sift = at(table, "one", "sift", 20, "pile_all")
    assert sift["tasks"] == 1  # and so is what it is held against
    assert sift["difference"] == pytest.approx(bits([0.6, 0.9, 0.8]) - bits([0.7, 0.9, 0.8]))


def test_the_leaderboard_is_sorted_and_ranks_what_has_all_tasks(folders, tmp_path):
    compare([folders / "records"], tmp_path)
    board = pd.read_csv(tmp_path / "leaderboard.csv")
    assert list(board["bits_per_byte"]) == sorted(board["bits_per_byte"])
    assert list(board["rank"]) == [1, 2, 3, 4]
    assert (board["run"][0], board["method"][0]) == ("other", "mmr")
    compare([folders / "one"], tmp_path)
    board = pd.read_csv(tmp_path / "leaderboard.csv")
    assert list(board["method"]) == ["ttt", "sift"]
    assert board["rank"].tolist()[0] == 1 and math.isnan(board["rank"].tolist()[1])


def test_what_is_not_comparable_is_said(folders, tmp_path, capsys, drawn):
    compare([folders / "one", folders / "records/other"], tmp_path)
    said = capsys.readouterr().out
    assert "one: 3 of its 5 documents are in all runs (1 task)" in said
    assert "other: 3 of its 4 documents are in all runs (1 task)" in said
    assert "one / other: other corpora (0 of 1 / 1 files are the same)" in said
    assert "one / other: method ttt differs (window: 512 / 256)" in said
    assert "other files of model" not in said and "other machines" not in said
    assert (tmp_path / "curves.svg").is_file() and (tmp_path / "before_after.svg").is_file()
    figure = (tmp_path / "curves.svg").read_text()
    assert ">one<" in figure and ">other<" in figure


def test_a_colour_is_a_model_and_a_line_a_run(tmp_path, monkeypatch, drawn):
    some = {key: curve for key, curve in ONE.items() if key[1] == "ttt"}
    more = {("large", *key[1:]): curve for key, curve in some.items()}
    texts = {"pile_github": GITHUB, "pile_arxiv": ARXIV}
    runs = [
        write_run(tmp_path / name, texts, some | more, run=name) for name in ("first", "second")
    ]
    kept = {}
    monkeypatch.setattr(
        "tttnn.records.compare.style.save",
        lambda figure, svg, pdf: kept.setdefault(svg.stem, figure),
    )
    compare(runs, tmp_path / "out")
    lines = [line for line in kept["curves"].axes[0].lines if line.get_linestyle() != "None"]
    colours = {name: look.colour for name, look in style.looks(["small", "large"]).items()}
    looks = sorted((line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines)
    assert looks == sorted(
        (colours[model], *run) for model in colours for run in (("-", "o"), ("--", "s"))
    )
    # the same in the legend, and each panel of bars has its model's
    (legend,) = [axes.get_legend() for axes in kept["curves"].axes if axes.get_legend()]
    told = {
        text.get_text(): (line.get_color(), line.get_linestyle())
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    assert told["second large"] == (colours["large"], "--")
    for axes in kept["before_after"].axes:
        model = axes.get_title().split()[1]
        assert to_hex(axes.patches[0].get_edgecolor()) == colours[model].lower()
    assert "A colour is a model, a line and a mark a run." in " ".join(
        kept["curves"].texts[-1].get_text().split()
    )


def test_few_documents_have_no_interval_in_print(folders, tmp_path, capsys):
    compare([folders / "one", folders / "other"], tmp_path)
    said = capsys.readouterr().out
    assert "(no interval: 3 documents) at 20, from one: small/ttt" in said
    assert pd.read_csv(tmp_path / "comparison.csv")["difference_low"].notna().any()


def test_methods_that_score_other_text_are_left_out(tmp_path, capsys):
    curves = {("small", method, "pile_github"): ONE["small", "ttt", "pile_github"]
              for method in ("ttt", "split")}  # fmt: skip
    run = write_run(tmp_path, {"pile_github": GITHUB}, curves, lost=10, halves=["split"])
    compare([run], tmp_path / "out")
    assert "made-up: small/split: left out, for it scored other text" in capsys.readouterr().out
    assert set(pd.read_csv(tmp_path / "out/comparison.csv")["method"]) == {"ttt"}


def test_runs_without_a_common_document_are_refused(folders, tmp_path):
    curves = {("small", "ttt", "pile_github"): {0: [1.0], 5: [0.5]}}
    run = write_run(tmp_path / "third", {"pile_github": ["z"]}, curves, run="third")
    with pytest.raises(ValueError, match="one, third evaluated no document in common"):
        compare([folders / "one", run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_of_one_name_are_told_apart_by_their_folders(folders, tmp_path):
    compare([folders / "one", folders / "records/one"], tmp_path)
    names = set(pd.read_csv(tmp_path / "comparison.csv")["run"])
    assert names == {f"one ({folders / 'one'})", f"one ({folders / 'records/one'})"}
    with pytest.raises(ValueError, match="two of the runs are called 'one': name each"):
        compare([folders / "one", folders / "one/tables"], tmp_path)
