"""Settings are chosen where they may be, with what a reader needs to doubt the choice."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthetic_run import row, write_rows, write_selection
from tttnn.digests import read_record
from tttnn.scores.tuning import CHOICE_COLUMNS, ChoiceSpec, choose_settings, list_choices

ARXIV, ENRON = "pile_arxiv", "pile_enron"  # weights 8.96 and 0.14
RATES = (0.1, 0.2, 0.3)
COUNTS = (0, 1, 5)
# bits per byte of two documents of equal size, by learning rate, at 1 and 5 neighbours; before: 3
BITS = {
    ARXIV: {0.1: [(2.5, 2.7), (2.0, 2.4)], 0.2: [(2.4, 2.5), (1.9, 2.3)], 0.3: [(2, 2), (2.5, 3)]},
    ENRON: {0.1: [(2.9, 2.9), (2.8, 2.8)], 0.2: [(2.9, 2.9), (2.9, 2.9)], 0.3: [(1, 1), (2, 2)]},
}


def spec(**values: object) -> ChoiceSpec:
    points = [
        {"method": f"mine.{rate}", "candidates": "flat", "settings": {"learning_rate": rate}}
        for rate in RATES
    ]
    return ChoiceSpec.model_validate(
        {
            "run": "made-up",
            "by": "all",
            "tasks": [ARXIV, ENRON],
            "points": points,
            "num_neighbors": None,
            "resamples": 400,
        }
        | values
    )


def write(folder: Path, bits: dict = BITS, split: str = "validation") -> None:
    for task, rates in bits.items():
        for rate, (one, five) in rates.items():
            names = {"task": task, "method": f"mine.{rate}"}
            rows = [
                row(document, count, loglikelihood=-100 * value * math.log(2), **names)
                for document in range(len(one))
                for count, value in zip(COUNTS, (3, one[document], five[document]), strict=True)
            ]
            write_rows(folder / split / "small" / f"mine.{rate}" / task / "0.parquet", rows)
    counts = {task: len(next(iter(rates.values()))[0]) for task, rates in bits.items()}
    write_selection(folder / "queries/val/selection.json", counts)


def choose(folder: Path, given: ChoiceSpec) -> dict:
    output = folder / "tuned/small/mine.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    selection = folder / "queries/val/selection.json"
    choose_settings(given, folder, selection, "small", "mine", output)
    return read_record(output)


def table(folder: Path) -> pd.DataFrame:
    path = folder / "tables/tuning.csv"
    path.parent.mkdir(exist_ok=True)
    list_choices([folder / "tuned/small/mine.json"], path)
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"value": str})


def test_one_setting_is_chosen_for_all_by_the_mean_with_the_pile_s_weights(tmp_path):
    """ArXiv's weight makes 0.2 the best at the most neighbours; unweighted it were 0.3."""
    write(tmp_path)
    found = choose(tmp_path, spec())
    assert found["chosen"] == {"pile_all": {"candidates": "flat", "learning_rate": 0.2}}


def test_or_for_each_task(tmp_path):
    write(tmp_path)
    found = choose(tmp_path, spec(by="task"))["chosen"]
    assert {task: chosen["learning_rate"] for task, chosen in found.items()} == {
        ARXIV: 0.2,
        ENRON: 0.3,
    }


def test_the_number_of_neighbours_is_chosen_together_with_the_rest(tmp_path):
    """At one neighbour 0.3 is better than 0.2 and any other at five."""
    write(tmp_path)
    found = choose(tmp_path, spec(by="task", num_neighbors=[0, 1, 5]))["chosen"]
    assert found[ARXIV] == {"candidates": "flat", "learning_rate": 0.3, "num_neighbors": 1}
    assert found[ENRON] == {"candidates": "flat", "learning_rate": 0.3, "num_neighbors": 1}


def test_of_equal_ones_the_smallest_is_taken(tmp_path):
    write(tmp_path, {ARXIV: {key: [(2.0, 2.0), (2.0, 2.0)] for key in RATES}})
    found = choose(tmp_path, spec(tasks=[ARXIV], num_neighbors=[1, 5]))["chosen"]
    assert found["pile_all"]["learning_rate"] == 0.1
    assert found["pile_all"]["num_neighbors"] == 1


def test_the_table_says_by_how_much_each_value_is_worse(tmp_path):
    """Two documents are drawn as two of one, two of the other, or both: so are the differences."""
    write(tmp_path)
    choose(tmp_path, spec(by="task"))
    found = table(tmp_path)
    assert list(found) == CHOICE_COLUMNS
    arxiv = found[found["task"] == ARXIV].set_index("value")
    assert arxiv["bits_per_byte"].to_dict() == pytest.approx({"0.1": 2.2, "0.2": 2.1, "0.3": 2.75})
    assert arxiv["chosen"].to_dict() == {"0.1": False, "0.2": True, "0.3": False}
    assert arxiv["difference"].to_dict() == pytest.approx({"0.1": 0.1, "0.2": 0, "0.3": 0.65})
    differences = (0.6, 0.7)  # of 0.3 from 0.2, by document
    drawn = [np.mean(pair) for pair in itertools.product(differences, repeat=2)]
    assert arxiv.loc["0.3", "low"] == pytest.approx(min(drawn))
    assert arxiv.loc["0.3", "high"] == pytest.approx(max(drawn))
    assert arxiv.loc["0.1", ["low", "high"]].tolist() == pytest.approx([0.1, 0.1])
    assert math.isnan(arxiv.loc["0.2", "low"])
    assert set(arxiv["documents"]) == {2} and set(found["run"]) == {"made-up"}


def test_a_choice_at_the_end_of_its_values_is_said(tmp_path, capsys):
    write(tmp_path)
    choose(tmp_path, spec(by="task", num_neighbors=[0, 1, 5]))
    found = table(tmp_path)
    edges = found[found["chosen"]].set_index(["task", "key"])["edge"].dropna().to_dict()
    assert edges == {(ARXIV, "learning_rate"): "upper", (ENRON, "learning_rate"): "upper"}
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all(line.startswith("warning: small/mine: the best") for line in said)


def test_nothing_lies_beyond_no_neighbour_and_no_stop(tmp_path, capsys):
    worse = {ARXIV: {key: [(4.0, 4.0), (5.0, 5.0)] for key in RATES}}
    write(tmp_path, worse)
    stops = (None, 0.1, 0.2)
    points = [
        {"method": f"mine.{rate}", "candidates": f"c{rate}", "settings": {"stop": stop}}
        for rate, stop in zip(RATES, stops, strict=True)
    ]
    given = spec(tasks=[ARXIV], num_neighbors=[0, 5], points=points)
    assert choose(tmp_path, given)["chosen"]["pile_all"] == {
        "candidates": "c0.1",
        "stop": None,
        "num_neighbors": 0,
    }
    found = table(tmp_path)
    assert found["edge"].isna().all() and not capsys.readouterr().err
    assert found[found["key"] == "stop"]["value"].tolist() == ["none", "0.1", "0.2"]


def test_a_single_document_has_no_interval(tmp_path):
    bits = {rate: [(one[0],), (five[0],)] for rate, (one, five) in BITS[ARXIV].items()}
    write(tmp_path, {ARXIV: bits})
    choose(tmp_path, spec(tasks=[ARXIV]))
    assert table(tmp_path)[["low", "high"]].isna().all(axis=None)


def test_test_documents_change_nothing(tmp_path):
    """They lie beside, better where validation says worse; then none are there at all."""
    write(tmp_path)
    given, output = spec(num_neighbors=[1, 5]), tmp_path / "tuned/small/mine.json"
    choose(tmp_path, given)
    before = output.read_bytes()
    opposite = {
        task: {
            rate: [tuple(6 - bit for bit in bits) for bits in values]
            for rate, values in rates.items()
        }
        for task, rates in BITS.items()
    }
    write(tmp_path, opposite, split="evaluation")
    write_selection(tmp_path / "queries/test/selection.json", {ARXIV: 2, ENRON: 2})
    choose(tmp_path, given)
    assert output.read_bytes() == before
    shutil.rmtree(tmp_path / "evaluation")
    shutil.rmtree(tmp_path / "queries/test")
    choose(tmp_path, given)
    assert output.read_bytes() == before
    shutil.rmtree(tmp_path / "validation")  # the same as validation documents do change it
    write(tmp_path, opposite)
    choose(tmp_path, given)
    assert json.loads(output.read_bytes())["chosen"] != json.loads(before)["chosen"]


def test_without_validation_documents_nothing_can_be_chosen(tmp_path):
    write(tmp_path, BITS | {ENRON: {key: [(), ()] for key in RATES}})
    assert choose(tmp_path, spec())["chosen"]["pile_all"]["learning_rate"] == 0.2
    with pytest.raises(ValueError, match="pile_enron has no validation documents to choose mine's"):
        choose(tmp_path, spec(by="task"))


def test_a_number_that_was_not_measured_is_named(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match=r"mine\.0\.1 was not measured at 3 neighbours"):
        choose(tmp_path, spec(num_neighbors=[3]))
