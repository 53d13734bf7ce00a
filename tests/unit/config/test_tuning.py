"""Methods with `tune`: a variant a point of the grid, named by its settings, and nothing else."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import yaml
from snakemake.utils import update_config

from configured import ROOT
from tttnn.config.load import ConfigError, load
from tttnn.config.root import Config
from tttnn.stages import Codes, Specs

GRID = {"learning_rate": [1e-5, 1e-4], "noise": [0.1, 0.5], "stop": [None, 0.2]}


def config(tune: dict | None, like: str = "sift", **overlay: object) -> Config:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    entry = {"like": like} if tune is None else {"like": like, "tune": tune}
    update_config(values, {"methods": {"mine": entry}})
    update_config(values, overlay)
    values["evaluate"] |= {"methods": ["ttt", "mine"], "ablations": None}
    return load(values)


def fault(tune: dict, like: str = "sift", **overlay: object) -> str:
    with pytest.raises(ConfigError) as caught:
        config(tune, like, **overlay)
    return str(caught.value)


def test_a_variant_is_the_method_with_the_settings_of_its_point():
    found = config(GRID)
    points = found.variants("mine")
    assert len(points) == 8 and points[0].settings == dict.fromkeys(GRID) | {
        "learning_rate": 1e-5, "noise": 0.1, "stop": None,
    }  # fmt: skip
    for point in points:
        method = found.methods[point.method]
        selection = found.selections[method.candidates]
        assert method.learning_rate == point.settings["learning_rate"]
        assert (selection.noise, selection.stop) == (
            point.settings["noise"],
            point.settings["stop"],
        )
        same = method.model_dump() | {"learning_rate": None, "candidates": "sift"}
        assert same == found.methods["mine"].model_dump()


def test_variants_of_one_selection_share_its_neighbours_and_the_methods_own_are_its_own():
    names = [point.candidates for point in config(GRID).variants("mine")]
    assert names[:4] == names[4:]
    assert names[:4] == [
        "sift", "sift.noise-0.1.stop-0.2", "sift.noise-0.5.stop-none", "sift.noise-0.5.stop-0.2",
    ]  # fmt: skip
    assert config(GRID).draws_on("mine") == names[:4]


def test_variants_are_neither_evaluated_nor_scored():
    assert config(GRID).evaluated == ["ttt", "mine"]


def test_a_grid_that_grows_keeps_the_names_of_what_was_evaluated():
    before = {point.method: point.settings for point in config(GRID).variants("mine")}
    more = GRID | {"learning_rate": [1e-6, 1e-5, 5e-5, 1e-4]}
    after = {point.method: point.settings for point in config(more).variants("mine")}
    assert before.items() <= after.items()


def test_how_many_neighbours_needs_no_variant():
    found = config({"num_neighbors": [0, 5, 20]}, like="in_context")
    (point,) = found.variants("mine")
    assert (point.method, point.settings) == ("mine", {})


def test_what_the_workflow_wrote_is_the_configuration_again():
    found = config(GRID)
    assert load(json.loads(json.dumps(found.model_dump(mode="json")))) == found


def test_other_methods_have_the_spec_and_the_code_that_they_had():
    job = SimpleNamespace(model="small", method="ttt", task="pile_github", part="0")
    plain, tuned = config(None), config(GRID)
    assert Specs(tuned).evaluate_part(job) == Specs(plain).evaluate_part(job)
    assert Codes(tuned)("evaluate_part")(job) == Codes(plain)("evaluate_part")(job)


def test_a_models_learning_rate_is_nothing_to_a_method_whose_own_is_chosen():
    job = SimpleNamespace(model="small", method="mine", task="pile_github", part="0")
    before = Specs(config(GRID)).evaluate_tuned(job)
    for rate in (None, 0.5):
        models = {"small": {"adapt_learning_rate": rate}}
        methods = {"ttt": {"models": ["large"]}}  # the others would ask for one
        methods["mine"] = {"models": ["small"]}
        found = config(GRID, models=models, methods=methods)
        assert Specs(found).evaluate_tuned(job) == before


def test_halves_are_tuned_on_halves_of_validation_documents():
    found = config({"learning_rate": [1e-4, 1e-3]}, like="split")
    assert found.validation_queries("mine.learning_rate-0.001") == "val_halves"
    assert config(GRID).validation_queries("mine") == "val"


@pytest.mark.parametrize(
    ("tune", "like", "message"),
    [
        ({"learning_rate": [2, 1]}, "ttt", "methods.mine.tune.learning_rate: values must ascend"),
        ({"learning_rate": []}, "ttt", "methods.mine.tune.learning_rate: values must ascend"),
        ({"stop": [0.2, None]}, "sift", "methods.mine.tune.stop: values must ascend"),
        ({"stop": [1.5]}, "sift", "methods.mine.tune.stop.0: "),
        ({"by": "task"}, "ttt", "methods.mine.tune: nothing is to be chosen"),
        ({"nose": [1]}, "ttt", "methods.mine.tune: unknown key 'nose'. Did you mean 'noise'?"),
        ({"noise": [1]}, "ttt", "methods.mine.tune.noise is of a selection, and the method's"),
        ({"learning_rate": [1]}, "in_context", "methods.mine.tune.learning_rate: kind in_context"),
        ({"num_neighbors": [3]}, "ttt", "methods.mine.tune.num_neighbors: 3 is not measured"),
        ({"num_neighbors": [5]}, "batch", "methods.mine.tune.num_neighbors: with step: batch"),
        ({"num_neighbors": [5]}, "knn_lm", "methods.mine.tune: kind knn_lm chooses alpha"),
    ],
)
def test_a_fault_names_its_key_and_the_remedy(tune, like, message):
    assert f"  {message}" in fault(tune, like)


def test_a_variants_name_is_not_another_methods():
    other = {"mine.learning_rate-0.001": {"like": "ttt", "seed": 7}}
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["methods"] |= {"mine": {"like": "ttt", "tune": {"learning_rate": [1e-3]}}, **other}
    with pytest.raises(ConfigError, match=r"'mine.learning_rate-0.001' is what a variant is call"):
        load(values)


def test_a_grid_for_no_method_is_refused():
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values.setdefault("tune", {})["nobody"] = {"learning_rate": [1e-3]}
    with pytest.raises(ConfigError, match=r"tune.nobody: no method has that name"):
        load(values)
