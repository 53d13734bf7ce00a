"""What makes Snakemake's cache right: settings and edits reach what they change, and no more."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tttnn import provenance
from tttnn.config.load import load
from tttnn.provenance import canonical, fingerprint
from tttnn.stages import MODULES, Codes, Specs

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow/tttnn"
WILDCARDS = SimpleNamespace(
    shard="00", model="small", method="ttt", index="ivf", task="pile_github", figure="curves",
    queries="test", selection="stop", pool="elsewhere", lexical="bm25", windowed="windows_any",
    experts="eight",
)  # fmt: skip
EVALUATIONS = {"evaluate_part", "evaluate_windows", "validate_part"}
OF_TUNED = ("choose_settings", "evaluate_tuned")
STAGES = [n for n in vars(Specs) if not n.startswith("_") and n != "evaluate_experts"]


@pytest.fixture
def values():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def specs(values: dict) -> dict[str, str]:
    made = Specs(load(values))
    tuned = SimpleNamespace(**vars(WILDCARDS) | {"method": "tuned"})
    return {name: getattr(made, name)(tuned if name in OF_TUNED else WILDCARDS) for name in STAGES}


def backwards(value):
    """The same mappings with their keys in the opposite order."""
    if not isinstance(value, dict):
        return value
    return {key: backwards(value[key]) for key in reversed(value)}


# --- spec ------------------------------------------------------------------------------------


def test_the_order_of_keys_is_no_change(values):
    assert list(backwards(values)) != list(values)
    assert specs(backwards(values)) == specs(values)


def test_the_spelling_of_numbers_is_no_change(values):
    before = specs(values)
    values["methods"]["ttt"] |= yaml.safe_load(
        "{weight_decay: 1.0e-2, epsilon: 0.00000001, clip_norm: 1, betas: [0.90, 9.99e-1]}"
    )
    values["models"]["small"] |= yaml.safe_load("{weight_decay: .01, mask_probability: 15e-2}")
    values["sources"]["demo"] |= yaml.safe_load("{copies: 1.0e-1}")
    assert specs(values) == before


def test_two_values_that_change_places_are_a_change(values):
    values["sources"]["demo"] |= {"val_documents": 100, "test_documents": 200}
    before = specs(values)
    values["sources"]["demo"] |= {"val_documents": 200, "test_documents": 100}
    after = specs(values)
    assert {name for name in STAGES if before[name] != after[name]} == {"download_shard"}


@pytest.mark.parametrize(
    ("path", "value", "stages"),
    [
        (
            "run",
            "other",
            {
                *("score", "score_windows", "choose_settings", "weigh_experts", "list_hours"),
                "write_report",
            },
        ),
        ("corpus.on_bad_record", "fail", {"download_shard"}),
        ("chunk.stride_tokens", 100, {"chunk_shard"}),
        ("models.small.steps", 3, {"model"}),
        ("models.large.steps", 3, set()),
        ("models.small.adapt_learning_rate", 0.5, EVALUATIONS),
        ("embed.batch_tokens", 100, {"embed", "adopt_embeddings", "embed_windows"}),
        ("embeddings.published", {"embedder": "a/folder"}, set()),
        ("embeddings.sample", 100, {"adopt_embeddings"}),
        ("indexes.ivf.factory", "IVF2,Flat", {"index", "search_shard", "measure_recall"}),
        ("indexes.ivf.nprobe", 5, {"search_shard", "measure_recall"}),
        ("memory_mb", 9000, set()),
        ("search.recall_queries", 5, {"measure_recall"}),
        (
            "search.candidates",
            60,
            {
                *("search_shard", "merge_candidates", "draw_random"),
                *("search_words", "search_windows", "merge_scored"),
            },
        ),
        ("gather.ngram", 5, {"gather_neighbors", "write_report"}),  # captions say it
        ("select.count", 7, {"select_documents", "compare_published"}),
        ("select.seed", 7, {"select_documents", "compare_published", "draw_random"}),
        ("validation.count", 7, set()),
        ("split.tokens", 7, {"split_documents"}),
        ("long.tokens", 7, {"cut_windows"}),
        ("long.most", 7, {"cut_windows"}),
        ("selections.sift.noise", 0.5, {"choose_neighbors", "choose_windows"}),  # `stop` is like it
        ("selections.stop.stop", 0.25, {"choose_neighbors", "choose_windows"}),
        ("selections.hull.iterations", 7, set()),
        ("pools.elsewhere.seed", 7, {"pool_candidates"}),
        ("pools.flat_bm25.smoothing", 7, set()),
        ("windows.most", 7, {"embed_windows"}),
        ("windowed.windows_any.by", "mean", {"search_windows"}),
        ("lexical.bm25.k1", 7, {"search_words"}),
        ("lexical.bm25.max_words", 7, {"count_words", "search_words"}),
        ("methods.ttt.learning_rate", 0.5, EVALUATIONS),
        ("methods.ttt.seed", 5, {*EVALUATIONS, "evaluate_tuned"}),
        ("methods.ttt.max_overlap", 0.5, {*EVALUATIONS, "evaluate_tuned"}),
        ("methods.tuned.tune.learning_rate", [0.5, 1.0], {"choose_settings"}),
        ("methods.tuned.tune.by", "task", {"choose_settings"}),
        ("methods.random.seed", 5, set()),
        ("experts.eight.clusters", 9, {"cluster_passages"}),
        ("experts.eight.learning_rate", 0.5, {"train_expert"}),
        ("experts.eight.seed", 5, {"cluster_passages", "train_expert"}),
        ("methods.experts.beta", 0.5, set()),
        ("score.resamples", 5, {"score", "score_windows", "choose_settings"}),
        ("figures", ["curves"], {"write_report"}),
    ],
)
def test_a_setting_reaches_the_stages_that_read_it_and_no_others(path, value, stages, values):
    before = specs(values)
    *parents, key = path.split(".")
    section = values
    for parent in parents:
        section = section[parent]
    section[key] = value
    after = specs(values)
    assert {name for name in STAGES if before[name] != after[name]} == stages


@pytest.mark.parametrize(("source", "again"), [("folder", False), ("demo", True)])
def test_a_shard_that_is_added_fetches_others_only_where_they_depend_on_it(source, again, values):
    values["sources"]["folder"] = {"kind": "local", "path": "data"}
    values["corpus"]["source"] = source
    before = specs(values)
    values["corpus"]["shards"] = 5
    after = specs(values)
    assert (after["download_shard"] != before["download_shard"]) == again
    assert after["search_shard"] == before["search_shard"]


def test_a_digest_of_another_shard_fetches_nothing_again(values):
    values["sources"]["folder"] = {"kind": "local", "path": "data"}
    values["corpus"]["source"] = "folder"
    before = specs(values)["download_shard"]
    values["sources"]["folder"]["sha256"] = {"train/01.jsonl.zst": "a" * 64}
    assert specs(values)["download_shard"] == before
    values["sources"]["folder"]["sha256"]["train/00.parquet"] = "b" * 64
    assert specs(values)["download_shard"] != before


def test_what_merges_experts_reads_what_they_are_trained_on_with(values):
    def spec(method: str) -> str:
        wildcards = SimpleNamespace(model="small", method=method, task="pile_github")
        return Specs(load(values)).evaluate_experts(wildcards)

    alone, trained = spec("experts"), spec("experts_ttt")
    values["methods"]["ttt"]["weight_decay"] = 0.5
    assert (spec("experts") == alone, spec("experts_ttt") == trained) == (True, False)
    values["methods"]["experts"]["beta"] = 0.5
    assert spec("experts") != alone
    after = spec("experts_ttt")
    values["methods"]["ttt"]["evaluate_at"] = [0, 3]
    assert spec("experts_ttt") == after


def test_a_method_without_a_learning_rate_has_the_models(values):
    values["methods"]["ttt"]["learning_rate"] = None
    values["models"]["small"]["adapt_learning_rate"] = 0.125
    assert '"learning_rate":0.125' in specs(values)["evaluate_part"]


def test_canonical_json_is_sorted_tight_and_finite():
    assert canonical({"b": 1, "a": [True, None, "ü"]}) == '{"a":[true,null,"ü"],"b":1}'
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})


# --- code ------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path):
    """A copy of the package that may be edited."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "tttnn", ignore=ignored))


def test_a_copy_has_the_same_fingerprint_wherever_it_is(package):
    for module in set(MODULES.values()):
        assert fingerprint(module, package) == fingerprint(module)
    assert len({fingerprint(module) for module in set(MODULES.values())}) == len(
        set(MODULES.values())
    )


def append(text):
    return lambda source: source + text


def other_docstring(source):
    assert source.startswith('"""')
    return '"""Something else. ' + source.removeprefix('"""')


@pytest.mark.parametrize(
    ("file", "edit", "changes"),
    [
        ("retrieval/search.py", append("\n# a comment\n\n\n"), False),
        ("retrieval/search.py", other_docstring, False),
        ("retrieval/vectors.py", other_docstring, False),
        ("retrieval/search.py", append("\nOTHER = 1\n"), True),
        ("retrieval/vectors.py", append("\nOTHER = 1\n"), True),  # imported
        ("files.py", append("\nOTHER = 1\n"), True),
        ("sections/base.py", append("\nOTHER = 1\n"), True),  # imported by what is imported
        ("methods/evaluate.py", append("\nOTHER = 1\n"), False),
        ("methods/ttt/engine.py", append("\nOTHER = 1\n"), False),
        ("config/root.py", append("\nOTHER = 1\n"), False),
        ("sections/method.py", append("\nOTHER = 1\n"), False),
        ("stages.py", append("\nOTHER = 1\n"), False),
    ],
)
def test_an_edit_changes_the_stages_that_reach_it(file, edit, changes, package):
    path = package / file
    path.write_text(edit(path.read_text()))
    assert (
        fingerprint("tttnn.retrieval.search", package) != fingerprint("tttnn.retrieval.search")
    ) == changes


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("LIMIT = 256", "LIMIT=(256)  # more", False),
        ("LIMIT = 256", "LIMIT = 257", True),
        ("LIMIT = 'one'", 'LIMIT = "one"', False),
        ("LIMIT = 'one'", "LIMIT = 'two'", True),
        ("class A:\n    'doc'\n    x = 1\n    'of x'", "class A:\n    x = 1", False),
        ("def f(x=1): return x", "def f(x=2): return x", True),
    ],
)
def test_what_counts_is_the_syntax(before, after, changes, tmp_path):
    digests = []
    for name, text in (("before", before), ("after", after)):
        folder = tmp_path / name / "tttnn"
        folder.mkdir(parents=True)
        (folder / "some.py").write_text(text)
        digests.append(fingerprint("tttnn.some", folder))
    assert (digests[0] != digests[1]) == changes


@pytest.mark.parametrize(
    "statement",
    [
        "import tttnn.other",
        "from tttnn import other",
        "from tttnn.other import X",
        "def f():\n    from tttnn.other import X",
    ],
)
def test_every_way_to_import_is_followed(statement, tmp_path):
    digests = []
    for value in (1, 2):
        folder = tmp_path / str(value) / "tttnn"
        folder.mkdir(parents=True)
        (folder / "some.py").write_text(statement)
        (folder / "other.py").write_text(f"from tttnn.some import Y\nX = {value}\n")  # a circle
        digests.append(fingerprint("tttnn.some", folder))
    assert digests[0] != digests[1]


def test_a_module_that_is_not_there_is_an_error(package):
    for name in ("tttnn.nothing", "tttnn", "json"):
        with pytest.raises(ValueError, match="is no module of"):
            fingerprint(name, package)


def test_a_stage_with_kinds_is_its_module_and_its_own_kind_s(values):
    values["sources"]["web"] = {"kind": "http", "base_url": "http://x"}
    demo = Codes(load(values))("download_shard")(WILDCARDS)
    values["corpus"]["source"] = "web"
    web = Codes(load(values))("download_shard")(WILDCARDS)
    stage = fingerprint("tttnn.corpus.download")
    assert demo == f"{stage},{fingerprint('tttnn.corpus.sources.demo')}"
    assert web == f"{stage},{fingerprint('tttnn.corpus.sources.http')}"
    assert Codes(load(values))("embed_chunk") == fingerprint("tttnn.retrieval.embed")


# --- another Python --------------------------------------------------------------------------

FROZEN = Path(__file__).parents[1] / "frozen/tttnn"
GOLDEN = {"tttnn.syntax": "d63c8a4a69e7cc08", "tttnn.other": "ebc35a7ba1c569b2"}
"""Of files that nobody edits: the same on every Python and in every release."""

IN_ANOTHER_PYTHON = """
import json, sys, types
sys.modules["pydantic"] = types.SimpleNamespace(BaseModel=object)  # it has no libraries
from tttnn.provenance import fingerprint
frozen, package = map(json.loads, sys.argv[1:])
print(json.dumps([{n: fingerprint(n, __import__("pathlib").Path(path)) for n in names}
                  for path, names in (frozen, package)]))
"""


def test_a_dump_is_as_the_rules_say():
    """By hand: fields in Python's order, without empty ones, docstrings and prefixes."""
    tree = ast.parse("'doc'\nx: int = u'é'\ndef f(): 'doc'\nf(None)")
    assert provenance.dumped(tree) == (
        "Module(body=[AnnAssign(target=Name(id='x',ctx=Store()),annotation=Name(id='int',"
        "ctx=Load()),value=Constant(value='é'),simple=1),FunctionDef(name='f',args=arguments(),"
        "body=[]),Expr(value=Call(func=Name(id='f',ctx=Load()),args=[Constant(None)]))])"
    )


def test_a_frozen_package_has_the_digests_that_it_always_had():
    assert {name: fingerprint(name, FROZEN) for name in GOLDEN} == GOLDEN


def others() -> list[str]:
    """Interpreters of other versions that this project supports, where any are installed."""
    names = [f"python3.{minor}" for minor in range(11, 16)]
    paths = [shutil.which(name) for name in names]
    paths += sorted(map(str, Path.home().glob(".pyenv/versions/3.*/bin/python")))
    found = {}
    for path in filter(None, paths):
        asked = subprocess.run(
            [path, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True
        )
        if asked.returncode == 0:
            found.setdefault(tuple(map(int, asked.stdout.split())), path)
    return [p for version, p in found.items() if (3, 11) <= version != sys.version_info[:2]]


def test_another_python_gives_the_same_fingerprints():
    interpreters = others()
    if not interpreters:
        pytest.skip("no other Python of at least 3.11 is installed")
    package = {name: fingerprint(name) for name in sorted(set(MODULES.values()))}
    given = [json.dumps([str(FROZEN), [*GOLDEN]]), json.dumps([str(PACKAGE), [*package]])]
    for path in interpreters:
        done = subprocess.run(
            [path, "-c", IN_ANOTHER_PYTHON, *given],
            env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [GOLDEN, package], path


# --- what the fingerprint relies on ----------------------------------------------------------


def trees():
    for path in PACKAGE.rglob("*.py"):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text())


def test_imports_are_absolute_and_packages_hold_no_code():
    """`fingerprint` follows neither relative imports nor a package's own file."""
    for path, tree in trees():
        relative = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
        assert not relative, path
        if path.name == "__init__.py":
            others = [n for n in tree.body if not isinstance(n, ast.Expr)]
            if str(path) != "__init__.py":  # the package's own gives a notebook its names
                assert not others, path


def test_modules_loaded_by_name_are_only_those_the_rules_know_of():
    """Kinds, which `tttnn.stages.KINDS` names to the fingerprint, and the stages themselves.

    And engines, which change no result, so that they are in no fingerprint.
    """
    loading = {str(path) for path, tree in trees() if "import_module" in ast.unparse(tree)}
    assert loading == {
        "__init__.py",  # for notebooks
        "command.py",
        "figures/draw.py",
        "methods/engines.py",
        "methods/evaluate.py",
        "methods/experts/engine.py",
        "methods/ttt/engines/lean.py",
        "needs/kinds.py",
        "retrieval/merged.py",
        "retrieval/exact.py",
        "sections/kinds.py",
        "worker.py",
    }


def test_every_stage_exists_and_reaches_neither_the_whole_config_nor_snakemake():
    program = (
        "import importlib, sys\n"
        f"for name, module in {MODULES!r}.items():\n"
        "    function = getattr(importlib.import_module(module), name)\n"
        "    assert function.__module__ == module, name\n"
        "for module in ('tttnn.config.root', 'tttnn.stages', 'snakemake'):\n"
        "    assert module not in sys.modules, module\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_nothing_in_the_package_imports_snakemake():
    for path, tree in trees():
        assert not [name for name in provenance._imports(tree) if "snakemake" in name], path
