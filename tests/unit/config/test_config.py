"""The configuration: what ships is valid and complete, and every fault is named with a remedy."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_config
from snakemake.io import PeriodicityDetector
from snakemake.utils import update_config

from tttnn.config.figures import FIGURES, caption, drawn
from tttnn.config.load import ConfigError, load
from tttnn.pile import TASKS
from tttnn.sections.base import Section

ROOT = Path(__file__).parents[3]
OVERLAYS = sorted((ROOT / "config").glob("*.yaml"))
LAID_OVER = {
    "experts": ["pretrained"],
    "long": ["pretrained"],
    "hullft": ["paper"],
    "reproduction": ["paper"],
    "sift": ["paper"],
}
"""Overlays for another one, which names what they start from."""
OTHER_SOURCES = {
    "hub": {
        "kind": "huggingface",
        "dataset": "some/pile",
        "revision": "main",
        "files": {name: f"{name}.jsonl.zst" for name in ("00", "01", "02", "val", "test")},
    }
}


def default() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def overlaid(*overlays: dict) -> dict:
    """As Snakemake merges: mappings key by key, anything else as a whole."""
    values = default()
    for overlay in overlays:
        update_config(values, overlay)
    return values


def fault(overlay: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        load(overlaid(overlay))
    return str(caught.value)


# --- what ships ------------------------------------------------------------------------------


def test_the_default_is_valid():
    config = load(default())
    assert config.shards == ["00", "01", "02", "03"]
    assert config.tasks == list(TASKS)
    assert set(FIGURES) - set(drawn(config)) == {"positions", "break_even"}
    ablations = {"methods": ["long"], "models": ["small"], "tasks": ["pile_arxiv"]}
    assert "positions" in drawn(load(overlaid({"evaluate": {"ablations": ablations}})))


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_every_overlay_is_valid(path):
    layers = [path.with_name(f"{name}.yaml") for name in [*LAID_OVER.get(path.stem, []), path.stem]]
    config = load(overlaid(*(yaml.safe_load(layer.read_text()) for layer in layers)))
    assert config.run != load(default()).run


ALIKE = {
    f"{catalogue}.{name}"
    for catalogue in ("models", "indexes", "selections", "methods")
    for name, entry in default()[catalogue].items()
    if "like" in entry
}
"""Entries that state what differs from another one."""


def unstated(value: object, path: str = "") -> Iterator[str]:
    """Keys that a section, or one inside it, has and its file does not state."""
    if isinstance(value, Section):
        yield from (
            path + name for name in type(value).model_fields.keys() - value.model_fields_set
        )
        value = dict(value)
    if isinstance(value, dict):
        for name, inner in value.items():
            if f"{path}{name}" not in ALIKE:
                yield from unstated(inner, f"{path}{name}.")


def test_the_default_states_every_key_there_is():
    """It is the reference that people read: a field it lacks is a field nobody finds."""
    assert list(unstated(load(default()))) == []


@pytest.mark.parametrize(
    "path",
    ["environment", "corpus.train_has_subsets", "models.small.save_steps", "methods.ttt.betas",
     "sources.demo.seed", "indexes.ivf.nprobe"],
)  # fmt: skip
def test_a_key_left_out_would_be_noticed(path):
    values = section = default()
    *parents, key = path.split(".")
    for parent in parents:
        section = section[parent]
    del section[key]
    assert list(unstated(load(values))) == [path]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_function_of_its_name_and_has_a_caption(name):
    module = importlib.import_module(f"tttnn.figures.{FIGURES[name].module}")
    assert callable(getattr(module, name))
    printed = caption(load(default()), name)
    assert len(printed) > 100 and "{" not in printed


# --- faults ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overlay", "where", "guess"),
    [
        ({"embd": {}}, "  unknown key 'embd'", "embed"),
        ({"embed": {"max_token": 5}}, "  embed: unknown key 'max_token'", "max_tokens"),
        ({"methods": {"ttt": {"learnig_rate": 1}}}, "  methods.ttt: unknown", "learning_rate"),
        ({"models": {"small": {"stepps": 1}}}, "  models.small: unknown key 'stepps'", "steps"),
        ({"sources": {"demo": {"copys": 1}}}, "  sources.demo: unknown key 'copys'", "copies"),
        ({"select": {"cout": 1}}, "  select: unknown key 'cout'", "count"),
    ],
)
def test_an_unknown_key_is_named_with_its_path_and_the_nearest_one(overlay, where, guess):
    message = fault(overlay)
    assert where in message
    assert f"Did you mean {guess!r}?" in message


@pytest.mark.parametrize(
    ("overlay", "where", "guess"),
    [
        ({"evaluate": {"models": ["smal"]}}, "evaluate.models: 'smal'", "small"),
        ({"evaluate": {"methods": ["tt"]}}, "evaluate.methods: 'tt'", "ttt"),
        ({"evaluate": {"tasks": ["pile_githb"]}}, "evaluate.tasks: 'pile_githb'", "pile_github"),
        ({"evaluate": {"parts": {"pile_arxv": 2}}}, "evaluate.parts: 'pile_arxv'", "pile_arxiv"),
        ({"search": {"indexes": ["flt"]}}, "search.indexes: 'flt'", "flat"),
        ({"corpus": {"source": "dmo"}}, "corpus.source: 'dmo'", "demo"),
        ({"indexes": {"flat": {"embedder": "embeder"}}}, "indexes.flat.embedder", "embedder"),
        ({"methods": {"ttt": {"candidates": "rnd"}}}, "methods.ttt.candidates: 'rnd'", "random"),
        ({"methods": {"ttt": {"models": ["larg"]}}}, "methods.ttt.models: 'larg'", "large"),
        ({"methods": {"ttt": {"tasks": ["github"]}}}, "methods.ttt.tasks", "pile_github"),
        ({"figures": ["curve"]}, "figures: 'curve'", "curves"),
        ({"models": {"small": {"exclude": ["GitHub"]}}}, "models.small.exclude", "Github"),
        (
            {"chunk": {"unit": "window", "tokenizer": "embeder"}},
            "chunk.tokenizer: 'embeder'",
            "embedder",
        ),
    ],
)
def test_an_unknown_name_is_named_with_the_nearest_one(overlay, where, guess):
    message = fault(overlay)
    assert where in message
    assert f"Did you mean {guess!r}?" in message


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        # what does not fit together
        ({"methods": {"ttt": {"num_neighbors": 10}}}, "methods.ttt: evaluate_at asks for 20"),
        ({"methods": {"ttt": {"evaluate_at": [1, 2]}}}, "methods.ttt: evaluate_at must ascend"),
        ({"methods": {"ttt": {"evaluate_at": [0, 2, 2]}}}, "evaluate_at must ascend"),
        ({"methods": {"ttt": {"evaluate_at": []}}}, "evaluate_at must ascend"),
        ({"methods": {"knn_lm": {"alphas": [0, 0.2, 0.2]}}}, "methods.knn_lm: alphas must ascend"),
        ({"gather": {"depth": 10}}, "methods.ttt.num_neighbors (20) is above gather.depth (10)"),
        ({"search": {"candidates": 24, "recall_at": [1]}}, "gather.depth (25) is above search."),
        ({"search": {"candidates": 19}}, "selections.sift.picks (20) is above search.candidates"),
        ({"selections": {"sift": {"picks": 5}}}, "is above selections.sift.picks (5): raise picks"),
        ({"selections": {"sift": {"index": "flt"}}}, "selections.sift.index: 'flt' is not known"),
        ({"selections": {"ivf": {"like": "sift"}}}, "'ivf' is taken: an index, an entry of"),
        ({"pools": {"elsewhere": {"of": "flt"}}}, "pools.elsewhere.of: 'flt' is not known"),
        ({"methods": {"split": {"like": "tt"}}}, "methods.split.like: 'tt' is not known"),
        ({"methods": {"ttt": {"like": "random"}}}, "is like ttt, in a circle"),
        ({"methods": {"ttt": {"train_on": "query"}}}, "train_on: query trains on the evaluated"),
        ({"methods": {"dynamic": {"candidates": "flat"}}}, "dynamic.candidates: must be null"),
        ({"methods": {"batch": {"like": "query_first", "step": "batch"}}}, "step: batch is of"),
        ({"evaluate": {"ablations": {"methods": ["ordr"]}}}, "ablations.methods: 'ordr'"),
        ({"sets": {"ttt": ["random"]}}, "sets.ttt: a method has that name"),
        (
            {"sources": OTHER_SOURCES, "corpus": {"source": "hub"}},
            "sources.hub.files: '03' has no file (of 1 shards)",
        ),
        ({"sets": {"order": ["farthst"]}}, "sets.order: 'farthst' is not known"),
        (
            {"evaluate": {"methods": ["accumulate"], "parts": {"default": 2}}},
            "methods.accumulate.accumulate carries its state",
        ),
        ({"methods": {"ttt": {"parts": {"pile_github": 2}}}}, "methods.ttt.parts needs a default"),
        ({"search": {"recall_at": [100]}}, "search.recall_at [100] has nothing within search.cand"),
        ({"models": {"small": {"adapt_learning_rate": None}}}, "no learning rate for small"),
        ({"chunk": {"stride_tokens": 511}}, "stride_tokens (511) is above window_tokens (510)"),
        ({"chunk": {"unit": "window"}}, "chunk.tokenizer: unit: window needs the model"),
        (
            {"chunk": {"unit": "window"}, "models": {"None": {"like": "embedder"}}},
            "chunk.tokenizer: unit: window needs the model",
        ),
        (
            {"embeddings": {"published": {"embeder": "a"}}},
            "embeddings.published: 'embeder' is not known. Did you mean 'embedder'?",
        ),
        ({"embeddings": {"published": {"small": "a"}}}, "'small' is trained with objective causal"),
        (
            {
                "embeddings": {"published": {"embedder": "a"}},
                "chunk": {"unit": "window", "tokenizer": "embedder"},
            },
            "chunk.unit: window: a vector of embeddings.published is that of a whole document",
        ),
        ({"select": {"fraction": 0.2}}, "select: give one of fraction, count and hours"),
        ({"select": {"hours": 2}}, "select: give one of fraction, count and hours"),
        ({"select": {"count": None}}, "select: give one of fraction, count and hours"),
        ({"select": {"count": None, "hours": 0}}, "select.hours: Input should be greater than 0"),
        ({"validation": {"count": None}}, "validation: give either fraction or count"),
        ({"validation": {"hours": 2}}, "validation: unknown key 'hours'"),
        ({"evaluate": {"models": ["embedder"]}}, "'embedder' is trained with objective masked"),
        ({"indexes": {"flat": {"embedder": "small"}}}, "'small' is trained with objective causal"),
        ({"indexes": {"random": {"embedder": "embedder", "factory": "Flat"}}}, "'random' is taken"),
        # what is no such value
        ({"corpus": {"shards": 0}}, "corpus.shards: Input should be greater than 0"),
        ({"corpus": {"shards": "four"}}, "corpus.shards: Input should be a valid integer"),
        ({"models": {"small": {"steps": -1}}}, "models.small.steps: Input should be greater"),
        ({"models": {"small": {"kind": "trained"}}}, "models.small: kind 'trained' is not known"),
        ({"models": {"small": {"vocabulary": 100}}}, "models.small.vocabulary: Input should be"),
        ({"models": {"new": {"kind": "local"}}}, "models.new.path: Field required"),
        ({"models": {"a b": {"kind": "local", "path": "x"}}}, "models: 'a b' names a file"),
        ({"sources": {"demo": {"copies": 2}}}, "sources.demo.copies: Input should be less"),
        ({"run": "a/b"}, "run: 'a/b' names a folder"),
        ({"run": "long" * 26}, "run: 'longlong"),
        ({"run": "r" + "x-" * 20}, "ends in 'x-' 20 times or more, which Snakemake refuses"),
        ({"run": 2024}, "run: 2024 is not read as a name"),
        ({"run": "published"}, "run: 'published' is the folder of the paper's numbers"),
        ({"methods": {"m" * 23: {"like": "ttt"}}}, "mmmmmmmmm' ends in 'm' 20 times or more"),
        ({"selections": {"s" * 101: {"like": "sift"}}}, "names a file: use at most 100 characters"),
        ({"environment": "tpu"}, "environment: Input should be 'cpu' or 'gpu'"),
        ({"evaluate": {"tasks": "some"}}, "evaluate.tasks: Input should be 'all'"),
        ({"evaluate": {"tasks": []}}, "evaluate.tasks: List should have at least 1 item"),
        ({"evaluate": {"models": ["small", "small"]}}, "evaluate.models: 'small' is listed twice"),
        ({"evaluate": {"parts": {"default": 0}}}, "evaluate.parts.default: Input should be gr"),
        ({"search": {"recall_at": [0]}}, "search.recall_at.0: Input should be greater than 0"),
        ({"select": {"seed": -1}}, "select.seed: Input should be greater"),
        ({"indexes": {"ivf": {"factory": "HNSW32"}}}, "indexes.ivf: index type 'HNSW32'"),
        ({"indexes": {"ivf": {"factory": "IVF0,Flat"}}}, "index type 'IVF0,Flat' is not supported"),
        ({"figures": []}, "figures: List should have at least 1 item"),
    ],
)  # fmt: skip
def test_a_fault_names_its_key(overlay, message):
    assert message in fault(overlay)


def test_a_name_is_refused_where_snakemake_would_take_it_for_a_loop():
    def is_refused(name: str) -> bool:
        try:
            load(overlaid({"methods": {name: {"like": "ttt"}}}))
        except ConfigError:
            return True
        return False

    loops = PeriodicityDetector()
    names = ["a" * 19, "a" * 20, "ab" * 19 + "a", "x" + "ab" * 20, "a" * 25 + "b", "b1.1" * 25]
    assert [is_refused(name) for name in names] == [
        loops.is_periodic(name) is not None for name in names
    ]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("select={count: null, fraction: 0.5}", {"count": None, "fraction": 0.5}),
        ("select={count: ~, fraction: '0.5'}", {"count": None, "fraction": 0.5}),
        ("select={seed: 7}", {"seed": 7}),
        ("search={recall_at: [1, '10']}", {"recall_at": [1, 10]}),
        ("corpus={train_has_subsets: false}", {"train_has_subsets": False}),
        ("methods={ttt: {lora: null, betas: [0.5, 0.9]}}", {"ttt": {"betas": [0.5, 0.9]}}),
        ("methods={lora: {lora: null}}", {"lora": {"lora": None}}),
        (
            "models={small: {architecture: {n_layer: 3, tie_word_embeddings: true, pad: null}}}",
            {"small": {"architecture": {"n_layer": 3, "tie_word_embeddings": True, "pad": None}}},
        ),
        ("sources={mine: {kind: local, path: 007}}", {"mine": {"kind": "local", "path": "007"}}),
    ],
)
def test_what_is_nested_on_the_command_line_is_read_as_in_a_file(setting, value):
    """Snakemake hands it over as strings."""
    key = setting.partition("=")[0]
    assert load(overlaid(parse_config([setting]))) == load(overlaid({key: value}))


def test_all_faults_are_listed_at_once():
    lines = fault({"embed": {"max_tokens": 0}, "models": {"neo": {"steps": -1, "kind": "train"}}})
    assert len(lines.splitlines()) == 3
    assert "  embed.max_tokens: " in lines
    assert "  models.neo.steps: " in lines


def test_a_section_left_out_is_named():
    values = default()
    del values["embed"], values["corpus"]["source"]
    with pytest.raises(ConfigError) as caught:
        load(values)
    assert "  embed: Field required" in str(caught.value)
    assert "  corpus.source: Field required" in str(caught.value)


# --- what is derived -------------------------------------------------------------------------


def test_a_list_is_replaced_and_a_mapping_merged():
    config = load(
        overlaid({"evaluate": {"models": ["neo"]}, "methods": {"random": {"models": None}}})
    )
    assert config.evaluate.models == ["neo"]
    assert config.methods["random"].candidates == "random"


def test_cells_are_models_by_methods_by_tasks():
    config = load(
        overlaid(
            {
                "evaluate": {"models": ["small", "neo"], "tasks": ["pile_arxiv", "pile_github"]},
                "methods": {"random": {"models": ["neo"], "tasks": ["pile_github"]}},
            }
        )
    )
    main = {(m, "ttt", task) for m in ("small", "neo") for task in ("pile_arxiv", "pile_github")}
    cells = config.cells()
    assert len(cells) == len(set(cells))
    assert {cell for cell in cells if cell[1] == "ttt"} == main
    assert {cell for cell in cells if cell[1] == "random"} == {("neo", "random", "pile_github")}


def test_ablations_are_on_some_of_what_is_evaluated():
    ablations = {"methods": ["order", "sift"], "models": ["small"], "tasks": ["pile_arxiv"]}
    config = load(overlaid({"evaluate": {"ablations": ablations}}))
    more = [cell for cell in config.cells() if cell[1] != "ttt"]
    names = ["farthest", "batch", "accumulate", "per_neighbor", "sift"]
    assert more == [("small", name, "pile_arxiv") for name in names]
    fewer = load(overlaid({"evaluate": {"ablations": ablations, "tasks": ["pile_github"]}}))
    assert fewer.evaluated == ["ttt"]
    assert {task for _, _, task in fewer.cells()} == {"pile_github"}


def test_indexes_of_evaluated_methods_are_built():
    ablations = {"methods": ["index_size"], "models": ["small"]}
    config = load(overlaid({"evaluate": {"ablations": ablations}}))
    assert config.built_indexes == ["flat", "ivf", "flat_05", "flat_25", "flat_50"]
    assert config.embedders == ["embedder"]


@pytest.mark.parametrize(
    ("evaluate", "missing"),
    [
        ({"models": ["small"]}, {"models"}),
        ({"ablations": None}, {"control", "methods", "quality_time"}),
        ({"ablations": {"methods": ["sift"]}}, {"control"}),
        ({"ablations": {"methods": ["dynamic"]}}, {"control", "methods", "quality_time"}),
    ],
)
def test_all_figures_are_those_that_have_something_to_compare(evaluate, missing):
    config = load(overlaid({"evaluate": evaluate}))
    assert set(FIGURES) - set(drawn(config)) == missing | {"positions", "break_even"}
    some = load(overlaid({"evaluate": evaluate, "figures": ["models", "curves"]}))
    assert drawn(some) == ["models", "curves"]


def test_like_takes_what_an_entry_does_not_say_itself():
    methods = load(
        overlaid({"methods": {"ttt": {"num_neighbors": 7, "evaluate_at": [0, 7]}}})
    ).methods
    assert (methods["split"].num_neighbors, methods["split"].text) == (7, "split")
    assert methods["query_first"].train_on == "query_then_neighbors"
    assert methods["random"].model_dump(exclude={"candidates"}) == methods["ttt"].model_dump(
        exclude={"candidates"}
    )


@pytest.mark.parametrize(
    ("overlay", "places"),
    [
        # said of the entry that has it, and not of the many that are like it
        ({"methods": {"ttt": {"seed": "x"}}}, ["methods.ttt.seed"]),
        # both have it themselves: to mend one does not mend the other
        (
            {"methods": {"ttt": {"seed": "x"}, "slow": {"seed": "x"}}},
            ["methods.ttt.seed", "methods.slow.seed"],
        ),
        # nothing is inherited from an entry that is merely another one
        (
            {"methods": {"interpolate": {"seed": "x"}, "slow": {"seed": "x"}}},
            ["methods.interpolate.seed", "methods.slow.seed"],
        ),
        # an entry's name may have dots in it
        (
            {"models": {"v1.5": {"kind": "local", "path": 7}, "copy": {"like": "v1.5"}}},
            ["models.v1.5.path"],
        ),
    ],
)
def test_a_fault_is_said_of_the_entry_that_has_it(overlay, places):
    lines = fault(overlay).splitlines()[1:]
    assert [line.split(": ")[0].strip() for line in lines] == places


def test_parts_of_a_task_or_the_default():
    config = load(overlaid({"evaluate": {"parts": {"default": 2, "pile_arxiv": 3}}}))
    assert config.parts("ttt", "pile_arxiv") == ["0", "1", "2"]
    assert config.parts("ttt", "pile_github") == ["0", "1"]
    assert config.parts("random", "pile_arxiv") == ["0"]


def test_parts_of_a_method_are_its_own():
    own = {"methods": {"ttt": {"parts": {"default": 1, "pile_github": 2}}}}
    config = load(overlaid(own | {"evaluate": {"parts": {"default": 3}}}))
    assert config.parts("ttt", "pile_arxiv") == ["0"]
    assert config.parts("ttt", "pile_github") == ["0", "1"]


@pytest.mark.parametrize(
    ("shards", "first", "last"), [(1, "00", "00"), (30, "00", "29"), (101, "000", "100")]
)
def test_shards_sort_by_name(shards, first, last):
    names = load(overlaid({"corpus": {"shards": shards}})).shards
    assert (names[0], names[-1], len(names)) == (first, last, shards)
    assert names == sorted(names)


def test_each_model_is_made_by_one_rule():
    config = load(overlaid({"models": {"x.y": {"kind": "local", "path": "somewhere"}}}))
    patterns = [config.model_pattern(kind).split("|") for kind in ("fetched", "causal", "masked")]
    assert patterns == [["x\\.y"], ["small", "large", "neo"], ["embedder", "untrained", "halfway"]]
    assert load(default()).model_pattern("fetched") == "(?!)"


@pytest.mark.parametrize(
    ("factory", "kind", "lists"),
    [
        ("Flat", "flat", None),
        ("IVF64,Flat", "ivf", 64),
        ("IVF8,SQ8", "ivf", 8),
        ("IVF8,SQfp16", "ivf", 8),
        ("IVF1,PQ16x4", "ivf", 1),
    ],
)
def test_an_index_string_has_a_kind(factory, kind, lists):
    values = overlaid({"indexes": {"other": {"embedder": "embedder", "factory": factory}}})
    index = load(values).indexes["other"]
    assert (index.kind, getattr(index, "lists", None)) == (kind, lists)


def test_an_entry_of_another_kind_inherits_what_both_have():
    """SIFT's `replacement` is nothing to the hull, which has `picks` as well."""
    selections = load(overlaid({"selections": {"sift": {"picks": 33, "replacement": False}}}))
    hull = selections.selections["hull"]
    assert (hull.kind, hull.picks, hull.iterations) == ("hull", 33, 200)
    assert not hasattr(hull, "replacement")
    message = fault({"selections": {"hull": {"replacement": False}}})
    assert "selections.hull: unknown key 'replacement'" in message


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (lambda config: config, "run"),
        (lambda config: config.search, "candidates"),
        (lambda config: config.methods["ttt"], "num_neighbors"),
        (lambda config: config.selections["sift"], "picks"),
        (lambda config: config.models["small"], "steps"),
    ],
    ids=["root", "section", "method", "selection", "model"],
)
def test_a_config_cannot_be_changed(section, key):
    config = load(default())
    with pytest.raises(ValueError, match="frozen"):
        setattr(section(config), key, 7)
    assert config == load(default())


def test_a_method_with_a_learning_rate_of_its_own_asks_no_model_for_one():
    overlay = {"models": {"small": {"adapt_learning_rate": None}}}
    values = overlaid(overlay)
    for name, method in values["methods"].items():
        if method.get("kind") == "ttt":
            values["methods"][name] = method | {"learning_rate": 1e-3}
    assert {m.asks_for_learning_rate for m in load(values).methods.values()} == {False}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"experts": "nine"}, "methods.experts.experts: 'nine' is not known. Valid: eight."),
        ({"evaluate_at": [0, 9], "num_neighbors": 9}, "experts.eight.clusters is 8: raise"),
        ({"then": "knn_lm", "candidates": "flat"}, "methods.experts.then: 'knn_lm' must be of"),
        ({"then": "accumulate", "candidates": "flat"}, "carry nothing from document to document"),
        ({"then": "nobody", "candidates": "flat"}, "methods.experts.then: 'nobody' is not known"),
        ({"then": "ttt"}, "methods.experts.candidates: give an index"),
        ({"candidates": "flat"}, "methods.experts.candidates: must be null"),
    ],
)
def test_what_merges_experts_has_them_and_what_trains_it_can_follow(entry, said):
    overlay = {"methods": {"experts": entry}, "evaluate": {"methods": ["ttt", "experts"]}}
    assert said in fault(overlay)


def test_experts_of_an_embedder_that_is_none_are_refused():
    overlay = {"experts": {"eight": {"embedder": "small"}}, "evaluate": {"methods": ["experts"]}}
    assert "experts.eight.embedder: 'small' is trained with objective causal" in fault(overlay)


def test_experts_are_weighed_against_what_trains_on_the_same_text():
    methods = ["ttt", "in_context", "slow", "merging", "split"]
    config = load(overlaid({"evaluate": {"methods": methods}}))
    assert config.weighed_against("experts") == ["ttt", "slow"]
    assert config.weighed_against("experts_ttt") == ["ttt", "slow"]
    assert load(default()).weighed_against("experts") == []
    assert "break_even" in drawn(config)


@pytest.mark.parametrize("said", [{"pooling": "cls"}, {"normalize": False}, {"prompt": False}])
def test_how_vectors_are_made_is_refused_of_a_model_that_embeds_nothing(said):
    entry = {"kind": "local", "path": "a/folder", "adapt_learning_rate": 1e-5, **said}
    evaluated = {
        "models": {"mine": entry},
        "evaluate": {"models": ["mine"], "ablations": None},
    }
    assert f"models.mine.{next(iter(said))}: is of embedders, and mine is" in fault(evaluated)
    load(overlaid({"models": {"mine": entry}}))  # at hand, and not used
    load(overlaid(evaluated, {"indexes": {"another": {"like": "flat", "embedder": "mine"}}}))
