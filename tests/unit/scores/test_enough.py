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


def test_it_never_asks_for_fewer_documents_than_there_are(pilot, capsys):
    """A wide wish is granted already; a narrow one takes more than what is there, by the rule."""
    for width, are_enough in (("100", True), ("0.0001", False)):
        main(["enough", "--run", "mine", "--width", width])
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        rows = [row for row in rows if row and row[0].startswith("pile_")]
        assert len(rows) == 3 * len({tuple(row) for row in rows}) / len({r[0] for r in rows})
        for _, now, _, half, count in rows:
            if are_enough:
                assert count == "suffices"
            else:
                assert int(count.replace(",", "")) > int(now)
                assert int(count.replace(",", "")) == pytest.approx(
                    int(now) * (float(half) / 0.0001) ** 2, rel=0.1
                )


def test_a_run_is_named_by_its_name_its_folder_or_its_path(pilot, tmp_path, capsys, monkeypatch):
    said = []
    for run in ("mine", "results/mine", "results/mine/", tmp_path / "results/mine"):
        main(["enough", "--run", str(run)])
        said.append(capsys.readouterr().out)
    monkeypatch.chdir("results")
    main(["enough", "--run", "mine"])
    assert {*said, capsys.readouterr().out} == {said[0]}


def test_what_does_not_go_is_said(pilot):
    with pytest.raises(SystemExit, match=r"--width is 0\.0"):
        main(["enough", "--run", "mine", "--width", "0"])
    with pytest.raises(SystemExit, match=r"no folder results/yours: give the name of a run"):
        main(["enough", "--run", "yours"])
