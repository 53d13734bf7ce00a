"""The share that is mixed in: chosen where it may be, and all of the grid kept."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from synthetic_run import row, run_score, write_rows

ALPHAS = (0.0, 0.1, 0.2)
# bits per byte at five neighbours by alpha; before: 3
TEST = {"pile_arxiv": (3.0, 2.0, 2.5), "pile_enron": (3.0, 2.8, 2.2)}
VAL = {"pile_arxiv": (3.0, 2.5, 2.4), "pile_enron": (3.0, 2.0, 2.9)}


def rows(task, bits):
    values = {"task": task, "method": "mix"}
    before = row(1, 0, loglikelihood=-300 * math.log(2), alpha=0.0, **values)
    after = [
        row(1, 5, loglikelihood=-100 * b * math.log(2), alpha=alpha, **values)
        for alpha, b in zip(ALPHAS, bits, strict=True)
    ]
    return [before, *after]


def score(folder, as_released=False, validation=True):
    for split, found in (("evaluation", TEST), ("validation", VAL)):
        has_any = split == "evaluation" or validation
        files = [
            write_rows(
                folder / split / "small" / "mix" / task / "0.parquet",
                rows(task, bits) if has_any else [],
            )
            for task, bits in found.items()
        ]
        if split == "evaluation":
            evaluations = files
    selected = dict.fromkeys(TEST, 1)
    return run_score(
        folder,
        evaluations,
        selected,
        candidates={"mix": "flat"},
        mixtures={"mix": as_released},
        validation=selected if validation else {},
    )


def chosen(tables):
    scores = pd.read_csv(tables / "scores.csv").query(
        "metric == 'bits_per_byte' and num_neighbors == 5"
    )
    return scores.set_index("task")["value"].to_dict()


def test_one_share_is_chosen_on_validation_documents_for_all_tasks(tmp_path):
    """ArXiv's weight, 8.96 against Enron's 0.14, makes 0.2 the best; unweighted it were 0.1."""
    found = chosen(score(tmp_path))
    assert found["pile_arxiv"] == pytest.approx(2.5)
    assert found["pile_enron"] == pytest.approx(2.2)


def test_as_released_each_task_has_the_best_on_its_test_documents(tmp_path):
    found = chosen(score(tmp_path, as_released=True))
    assert found["pile_arxiv"] == pytest.approx(2.0)
    assert found["pile_enron"] == pytest.approx(2.2)


def test_the_whole_grid_is_kept(tmp_path):
    tables = score(tmp_path)
    grid = pd.read_csv(tables / "alphas.csv")
    assert len(grid) == 2 * 3 * 2 * 3  # val and test; two tasks and their mean; points; alphas
    at = grid.query("num_neighbors == 5 and task == 'pile_arxiv' and documents_kind == 'val'")
    assert at["bits_per_byte"].tolist() == pytest.approx(list(VAL["pile_arxiv"]))
    assert at["chosen"].tolist() == [False, False, True]
    before = grid[grid["num_neighbors"] == 0]
    assert before["bits_per_byte"].to_numpy() == pytest.approx(3.0)


def test_without_validation_documents_nothing_can_be_chosen(tmp_path):
    with pytest.raises(
        ValueError, match=r"small/mix has no validation documents .* raise validation"
    ):
        score(tmp_path, validation=False)


def test_a_grid_with_a_hole_is_named(tmp_path):
    evaluation = tmp_path / "evaluation/small/mix/pile_arxiv/0.parquet"
    files = [write_rows(evaluation, [*rows("pile_arxiv", TEST["pile_arxiv"])[:3], *(
        r | {"document_id": 2} for r in rows("pile_arxiv", TEST["pile_arxiv"])
    )])]  # fmt: skip
    with pytest.raises(ValueError, match="document 1 lacks some of the evaluations"):
        run_score(tmp_path, files, {"pile_arxiv": 2}, candidates={"mix": "flat"})
