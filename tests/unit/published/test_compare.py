"""A run beside the published numbers: the same tasks, the same mean, the run's own interval."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from synthetic_run import make_run
from tttnn.figures.paper_compare import draw_side_by_side
from tttnn.published import load
from tttnn.published.compare import compare_published, subset
from tttnn.sections.select import Select

DATA = Path(load.__file__).parent
# ArXiv and Github weigh 8.96 and 7.59; GPT-2's published bits per byte at 0 and 50 neighbors
ARXIV, GITHUB = (1.3169, 1.1132), (1.9184, 0.6907)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    selected = {"pile_arxiv": 9, "pile_github": 6, "pile_ubuntu-irc": 1}
    return make_run(
        tmp_path_factory.mktemp("run"), selected, models=("gpt2", "small"), resamples=50
    )


@pytest.fixture(scope="module")
def table(tables, tmp_path_factory):
    path = tmp_path_factory.mktemp("compare") / "side_by_side.csv"
    compare_published(Select(count=9), DATA, tables, path)
    return path


def test_only_what_was_published_is_compared(table):
    rows = pd.read_csv(table)
    assert set(rows["model"]) == {"gpt2"} and set(rows["method"]) == {"nearest"}
    assert set(rows["task"]) == {"pile_all", "pile_arxiv", "pile_github", "pile_ubuntu-irc"}
    assert not rows.duplicated(["task", "num_neighbors", "quantity"]).any()
    assert len(rows) == 4 * (7 + 6)  # bits per byte at 0 too


def test_published_means_are_over_the_run_s_tasks(tables, tmp_path):
    for name in ("scores", "differences"):
        whole = pd.read_csv(tables / f"{name}.csv")
        whole[whole["task"] != "pile_ubuntu-irc"].to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "tasks.csv").write_bytes((tables / "tasks.csv").read_bytes())
    compare_published(Select(count=9), DATA, tmp_path, tmp_path / "out.csv")
    rows = pd.read_csv(tmp_path / "out.csv").query("task == 'pile_all'")
    mean = rows.set_index(["quantity", "num_neighbors"])["published"]
    before, after = ((8.96 * a + 7.59 * g) / 16.55 for a, g in zip(ARXIV, GITHUB, strict=True))
    assert mean["bits_per_byte", 0] == pytest.approx(before, abs=1e-4)
    assert mean["bits_per_byte", 50] == pytest.approx(after, abs=1e-4)
    assert mean["ratio", 50] == pytest.approx(after / before, abs=1e-4)
    assert set(rows["tasks"]) == {2}


def test_differences_have_the_run_s_interval(table, tables):
    rows = pd.read_csv(table)
    scores = pd.read_csv(tables / "scores.csv").query(
        "model == 'gpt2' and method == 'nearest' and task == 'pile_arxiv' "
        "and num_neighbors == 50 and metric == 'bits_per_byte'"
    )
    (ours,) = scores.to_dict("records")
    (row,) = rows.query(
        "task == 'pile_arxiv' and num_neighbors == 50 and quantity == 'bits_per_byte'"
    ).to_dict("records")
    assert row["published"] == pytest.approx(ARXIV[1], abs=1e-4)
    assert row["value"] == ours["value"] and row["confidence"] == 0.95
    assert row["difference"] == pytest.approx(ours["value"] - row["published"])
    assert row["difference_low"] == pytest.approx(ours["low"] - row["published"])
    assert (row["within"] == "True") == (ours["low"] <= row["published"] <= ours["high"])
    assert (row["documents"], row["published_documents"]) == (9, 481)
    single = rows[rows["task"] == "pile_ubuntu-irc"]
    assert single[["difference_low", "within"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("drawn", "of", "seed", "expected"),
    [
        (481, 2407, 1216, "the paper's documents"),
        (4, 2407, 1216, "some of the paper's documents"),
        (1203, 2407, 1216, "the paper's documents and more"),
        (481, 2406, 1216, "other documents"),
        (481, 2407, 1, "other documents"),
    ],
)
def test_subset(drawn, of, seed, expected):
    ours = pd.Series({"test_documents": of, "documents": drawn})
    assert subset(ours, load.documents(DATA).loc["pile_arxiv"], seed) == expected


def test_nothing_to_compare_is_an_error(tmp_path):
    tables = make_run(tmp_path, {"pile_arxiv": 3}, models=("small",), resamples=20)
    with pytest.raises(ValueError, match=r"called one of gpt2, gpt2-large, gpt-neo-1\.3B"):
        compare_published(Select(count=3), DATA, tables, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_the_figure_names_both_and_the_documents(table, tmp_path):
    svg = tmp_path / "side_by_side.svg"
    draw_side_by_side(table, svg, tmp_path / "side_by_side.pdf")
    text = " ".join(re.sub(r"<[^>]*>", " ", svg.read_text(encoding="utf-8")).split())
    assert "published (50 neighbours)" in text and "this run (nearest, 50 neighbours)" in text
    assert "ArXiv (9 / 481)" in text
    assert "This run: other documents." in text and "over 3 of 22 tasks" in text
