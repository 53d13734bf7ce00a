"""What experts cost is added up, and broken even with, as by hand."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from tiny import write_manifest
from tttnn.digests import DamagedError, write_record
from tttnn.pile import TASKS
from tttnn.scores.experts import COLUMNS, WeighSpec, break_even, weigh_experts

GITHUB, ARXIV, ENRON = "pile_github", "pile_arxiv", "pile_enron"
SPEC = WeighSpec(
    run="mine",
    experts={"experts": "two"},
    counts={"experts": "experts"},
    against={"experts": ["ttt", "absent"]},
)


def efficiency(method, task, documents, rows):
    return [
        {
            "run": "mine",
            "model": "small",
            "method": method,
            "task": task,
            "num_neighbors": point,
            "bits_per_byte": bits,
            "seconds": seconds,
            "train_tokens": 0,
            "documents": documents,
        }
        for point, bits, seconds in rows
    ]


@pytest.fixture
def results(tmp_path):
    """Two experts that took 30 and 70 s, of clusters that took 2 s; three and one documents."""
    (tmp_path / "tables").mkdir()
    rows = [
        *efficiency("ttt", GITHUB, 3, [(0, 1.0, 0.1), (1, 0.9, 1.1), (20, 0.5, 20.1)]),
        *efficiency("ttt", ARXIV, 1, [(0, 2.0, 0.5), (1, 1.9, 2.5), (20, 1.5, 40.5)]),
        *efficiency("ttt", ENRON, 9, [(0, 9.0, 9.0), (1, 9.0, 9.0), (20, 9.0, 9.0)]),
        *efficiency("experts", GITHUB, 3, [(0, 1.0, 0.1), (2, 0.8, 0.2)]),
        *efficiency("experts", ARXIV, 1, [(0, 2.0, 0.5), (2, 1.8, 0.6)]),
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "tables/efficiency.csv", index=False)
    folder = tmp_path / "experts/two"
    for cluster, seconds in enumerate((30.0, 70.0)):
        expert = folder / f"small/{cluster}"
        expert.mkdir(parents=True)
        (expert / "training.json").write_text(json.dumps({"seconds": seconds}))
        write_manifest(expert)
    write_record(folder / "clusters.json", {"sizes": [5, 7], "seconds": 2.0})
    return tmp_path


def test_both_are_weighed_on_the_tasks_of_both(results):
    weigh_experts(SPEC, results, results / "tables/experts.csv")
    table = pd.read_csv(results / "tables/experts.csv")
    assert list(table.columns) == COLUMNS
    assert table["against_neighbors"].tolist() == [1, 20]
    github, arxiv = TASKS[GITHUB].weight, TASKS[ARXIV].weight
    first = table.iloc[0]
    assert (first["tasks"], first["documents"], first["clusters"]) == (2, 4, 2)
    assert (first["cluster_seconds"], first["train_seconds"]) == (2.0, 100.0)
    assert first["counts"] == "experts"
    weighted = (github * 0.8 + arxiv * 1.8) / (github + arxiv)
    assert first["bits_per_byte"] == pytest.approx(weighted)
    assert first["before"] == pytest.approx((github * 1.0 + arxiv * 2.0) / (github + arxiv))
    assert first["seconds"] == pytest.approx((3 * 0.2 + 0.6) / 4)
    assert table["against_seconds"].tolist() == pytest.approx([5.8 / 4, 100.8 / 4])
    assert table["break_even_documents"].tolist() == pytest.approx(
        [102 / (5.8 / 4 - 0.3), 102 / (100.8 / 4 - 0.3)]
    )


def test_what_saves_nothing_never_pays():
    assert math.isnan(break_even(10, 2.0, 2.0))
    assert math.isnan(break_even(10, 3.0, 2.0))
    assert break_even(10, 1.0, 3.0) == 5.0


def test_seconds_that_were_changed_are_noticed(results):
    (results / "experts/two/small/1/training.json").write_text('{"seconds": 1.0}')
    with pytest.raises(DamagedError, match=r"training\.json"):
        weigh_experts(SPEC, results, results / "tables/experts.csv")
