"""How many documents are enough, from the interval of a few."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic_run import make_run
from tttnn.command import main
from tttnn.scores.enough import needed


def test_half_the_width_takes_four_times_the_documents():
    assert needed(10, 0.2, 0.1) == 40
    assert needed(10, 0.2, 0.2) == 10
    assert needed(10, 0.1, 0.2) == 3  # 2.5
    assert needed(3, 0.001, 10) == 2  # of one there is no interval


def test_so_many_documents_give_that_width():
    """By drawing: the interval of a mean of so many normal values has the wanted half-width."""
    rng = np.random.default_rng(0)
    pilot = 1.96 / np.sqrt(25)  # of 25 values with standard deviation 1
    count = needed(25, pilot, 0.1)
    means = rng.normal(size=(4000, count)).mean(axis=1)
    half = (np.quantile(means, 0.975) - np.quantile(means, 0.025)) / 2
    assert half == pytest.approx(0.1, rel=0.05)


@pytest.fixture
def pilot(tmp_path, monkeypatch):
    tables = make_run(tmp_path / "made", {"pile_arxiv": 9, "pile_github": 6}, resamples=50)
    (tmp_path / "results/mine").mkdir(parents=True)
    tables.rename(tmp_path / "results/mine/tables")
    monkeypatch.chdir(tmp_path)


def test_it_prints_a_line_a_task(pilot, capsys):
    main(["enough", "--run", "mine"])
    out = capsys.readouterr().out
    assert "pile_arxiv" in out and "pile_github" in out and "pile_all" in out
    assert "± a tenth of the gain" in out and "orders of magnitude" in out
    main(["enough", "--run", "mine", "--width", "0.001"])
    few, many = out, capsys.readouterr().out
    assert few != many and "± 0.001 bits per byte" in many


def test_what_does_not_go_is_said(pilot):
    with pytest.raises(SystemExit, match=r"--width is 0\.0"):
        main(["enough", "--run", "mine", "--width", "0"])
    with pytest.raises(SystemExit, match=r"differences\.csv"):
        main(["enough", "--run", "yours"])
