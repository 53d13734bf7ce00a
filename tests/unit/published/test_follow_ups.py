"""A run beside the follow-ups' published numbers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configured import ROOT, read
from tttnn.pile import ALL, TASKS
from tttnn.published import load as published
from tttnn.published.follow_ups import COLUMNS, compare_follow_ups, follow_ups
from tttnn.published.names import FOLLOWED, MODELS

DATA = Path(published.__file__).parent
PRESETS = {"SIFT": "sift", "HullFT": "hullft", "reproduction": "reproduction"}


def _tables(folder: Path, bits: dict[tuple[str, str, str, int], float]) -> Path:
    """The two tables that are read, of a run with these bits per byte."""
    scores, ratios = [], []
    for (model, method, task, count), value in bits.items():
        cell = {"model": model, "method": method, "task": task, "num_neighbors": count}
        interval = {"low": value - 0.1, "high": value + 0.1, "documents": 7}
        scores.append({**cell, "metric": "bits_per_byte", "value": value, **interval})
        if count:
            ratio = value / bits[model, method, task, 0]
            kind = {"documents_kind": "raw", "ratio": ratio}
            bounds = {"ratio_low": ratio - 0.01, "ratio_high": ratio + 0.01}
            ratios.append({**cell, **kind, **interval, **bounds})
    pd.DataFrame(scores).to_csv(folder / "scores.csv", index=False)
    pd.DataFrame(ratios).to_csv(folder / "differences.csv", index=False)
    return folder


def _compared(folder: Path, bits: dict[tuple[str, str, str, int], float]) -> pd.DataFrame:
    compare_follow_ups(DATA, _tables(folder, bits), folder / "follow_ups.csv")
    return pd.read_csv(folder / "follow_ups.csv")


def test_numbers_of_the_same_model_and_method_stand_side_by_side(tmp_path):
    bits = {("llama-3.2-3b", "sift", ALL, 0): 0.65, ("llama-3.2-3b", "sift", ALL, 50): 0.52}
    rows = _compared(tmp_path, bits).set_index(["num_neighbors", "quantity"])
    assert rows.loc[(0, "bits_per_byte"), "published"] == 0.64
    assert rows.loc[(0, "bits_per_byte"), "ours"] == 0.65
    assert rows.loc[(50, "bits_per_byte"), "published"] == 0.557
    ratio = rows.loc[50, "ratio"]
    assert ratio["published"] == pytest.approx(0.557 / 0.64)
    assert ratio["ours"] == pytest.approx(0.8)
    assert (ratio["low"], ratio["high"]) == pytest.approx((0.79, 0.81))
    assert len(rows) == 3


def test_what_is_no_number_of_one_task_is_beside_a_mean_of_equal_weights(tmp_path):
    bits = {}
    for task, ratio in {"pile_arxiv": 0.9, "pile_github": 0.3, ALL: 0.4}.items():
        bits |= {("gpt2", "sift", task, 0): 2.0, ("gpt2", "sift", task, 50): 2.0 * ratio}
    rows = _compared(tmp_path, bits)
    (mean,) = rows[rows["task"].isna() & (rows["quantity"] == "ratio")].to_dict("records")
    assert mean["ours"] == pytest.approx(0.6) and mean["published"] == 0.6589
    assert mean["tasks"] == 2 and mean["beside"] == "ratio"
    (seconds,) = rows[rows["quantity"] == "seconds"].to_dict("records")
    assert seconds["published"] == 6.38 and pd.isna(seconds["ours"]) and seconds["beside"] == "no"


def test_a_number_of_an_unknown_model_is_beside_each(tmp_path):
    bits = {}
    for model in ("gpt2", "gpt2-large"):
        cell = (model, "ttt", "pile_github")
        bits |= {(*cell, 0): 2.0, (*cell, 20): 1.0}
    rows = _compared(tmp_path, bits).query("work == 'reproduction'")
    assert list(rows["model"]) == ["gpt2", "gpt2-large"]
    assert set(rows["published"]) == {0.51} and set(rows["ours"]) == {0.5}


def test_a_run_of_other_models_has_an_empty_table(tmp_path):
    cell = ("small", "sift", ALL)
    rows = _compared(tmp_path, {(*cell, 0): 2.0, (*cell, 50): 1.0})
    assert rows.empty and list(rows.columns) == COLUMNS


def test_the_models_are_those_that_the_rules_know():
    assert set(follow_ups(DATA)["model"].dropna()) - set(MODELS) == set(FOLLOWED)


def test_every_published_number_is_of_a_known_kind():
    rows = follow_ups(DATA)
    assert set(rows["beside"]) == {"yes", "ratio", "no"}
    assert set(rows["task"].dropna()) <= {ALL, *TASKS}
    assert rows["why"].notna().all() and rows["source"].str.startswith("arXiv ").all()
    ratios = rows[rows["quantity"] == "ratio"]["published"]
    assert ratios.between(0.3, 1).all()


@pytest.mark.parametrize("work", PRESETS)
def test_its_preset_evaluates_what_a_follow_up_published(work):
    config = read([ROOT / f"config/{name}.yaml" for name in ("paper", PRESETS[work])], [])
    cells = {(model, method) for model, method, _ in config.cells()}
    rows = follow_ups(DATA).query("work == @work").dropna(subset=["model", "method"])
    assert {(row.model, row.method) for row in rows.itertuples()} <= cells
