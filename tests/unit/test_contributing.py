"""The examples of CONTRIBUTING.md, added to a copy of the package and run there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tttnn import stages
from tttnn.corpus.documents import read_documents
from tttnn.provenance import fingerprint

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(workflow/\S+\.py)`\n\n```python\n(.*?)^```", TEXT, re.M | re.S))
ENTRIES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)
(FIGURE,) = re.findall(r"^```python\n(    \".*?)^```", TEXT, re.M | re.S)
KINDS = ("mmr", "frozen", "tar", "hnsw", "documents")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the package with all the examples in it."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name, code in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        assert not path.exists(), name
        path.write_text(code, encoding="utf-8")
    figures = folder / "workflow/tttnn/config/figures.py"
    before, opening, after = figures.read_text(encoding="utf-8").partition("FIGURES = {\n")
    assert opening
    figures.write_text(before + opening + FIGURE + after, encoding="utf-8")
    return folder


def run(copy: Path, *arguments: str | Path) -> str:
    """Run Python with the copy of the package and the tests' helpers; what it printed."""
    paths = os.pathsep.join([str(copy / "workflow"), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_kind_has_an_example():
    headings = re.findall(r"^### (.*)", TEXT, re.M)
    assert headings == [
        "A selection",
        "A kind of method",
        "A source",
        "An index type",
        "A figure",
    ]
    assert len(FILES) == 7 and len(ENTRIES) == 4
    named = {name for name in KINDS for code in [*FILES.values(), FIGURE] if f'"{name}"' in code}
    assert named == {*KINDS}


def test_the_examples_are_formatted_and_clean(copy):
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if ruff is None:
        pytest.skip("ruff is not installed")
    files = [str(copy / name) for name in FILES]
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [ruff, *command, "--config", str(ROOT / "pyproject.toml"), *files],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_takes_the_entries_and_no_stage_that_was_there_changes(copy, tmp_path):
    overlays = []
    for number, entry in enumerate(ENTRIES):
        assert yaml.safe_load(entry)
        overlays.append(tmp_path / f"{number}.yaml")
        overlays[-1].write_text(entry, encoding="utf-8")
    chosen = tmp_path / "chosen.yaml"
    chosen.write_text("evaluate: {methods: [ttt, mmr, frozen, hnsw]}\nfigures: [documents]\n")
    script = f"""
from pathlib import Path
from types import SimpleNamespace
from tttnn.config.figures import drawn
from tttnn.config.merge import read
from tttnn.provenance import fingerprint
from tttnn.stages import Codes, MODULES, Specs

config = read([Path(name) for name in {[*map(str, overlays), str(chosen)]}], [],
              Path({str(ROOT / "config.yaml")!r}))
assert config.source.path == "data/pile.tar" and drawn(config) == ["documents"]
assert config.selections["mmr"].picks == config.selections["sift"].picks
assert "hnsw" in config.built_indexes and config.indexes["hnsw"].asked()["ef_search"] == 64
job = SimpleNamespace(shard="00", model="small", method="frozen", index="hnsw", task="pile_github",
                      queries="test", selection="mmr", figure="documents")
codes, specs = Codes(config), Specs(config)
for stage in MODULES:
    code = codes(stage)
    print(stage, fingerprint(MODULES[stage]), code if isinstance(code, str) else code(job))
specs.evaluate_part(job), specs.choose_neighbors(job), specs.index(job), specs.download_shard(job)
"""
    with_examples = run(copy, "-c", script).splitlines()
    assert len(with_examples) == len(stages.MODULES)
    for line in with_examples:
        stage, own, whole = line.split()
        assert own == fingerprint(stages.MODULES[stage]), f"{stage} would run again"
        assert (whole != own) == (stage in stages.KINDS)


def test_the_selection_weighs_the_query_against_the_picks(copy):
    """Two equal candidates on the query, one beside it: with little weight it comes second."""
    script = """
import numpy as np
from tttnn.retrieval.selections.mmr import Mmr, choose
vectors, query = np.array([[1, 0], [1, 0], [0.6, 0.8]]), np.array([1.0, 0])
for balance in (1.0, 0.4):
    spec = Mmr(kind="mmr", index="flat", picks=3, balance=balance)
    print(choose(spec, np.arange(3), vectors, query).tolist())
"""
    assert run(copy, "-c", script).splitlines() == ["[0, 1, 2]", "[0, 2, 1]"]


def test_the_kind_of_method_measures_what_the_others_do_before_they_begin(copy, tmp_path):
    script = f"""
from pathlib import Path
from tiny import save_causal
from tttnn.methods.frozen import engine
from tttnn.methods.frozen.settings import Frozen
from tttnn.methods.in_context.engine import adapt
from tttnn.methods.in_context.settings import InContext
from tttnn.methods.measure import Query
from tttnn.models.folder import load_causal
model, tokenizer = load_causal(save_causal(Path({str(tmp_path)!r})), device="cpu")
query, common = Query(0, "a text", ["one", "two"]), dict(num_neighbors=2, evaluate_at=[0, 1, 2])
(here,) = engine.adapt(model, tokenizer, [query], Frozen(kind="frozen", **common), 64)
(there,) = adapt(model, tokenizer, [query], InContext(kind="in_context", **common), 64)
print([m.num_neighbors for m in here.measurements])
print({{m.loglikelihood for m in here.measurements}} == {{there.measurements[0].loglikelihood}})
"""
    assert run(copy, "-c", script).splitlines() == ["[0, 1, 2]", "True"]


def test_the_source_gives_what_the_tar_file_holds(copy, tmp_path):
    record = {"text": "a text", "meta": {"pile_set_name": "Github"}}
    (tmp_path / "train").mkdir()
    (tmp_path / "train/00.jsonl").write_text(json.dumps(record) + "\n")
    shutil.make_archive(str(tmp_path / "pile"), "tar", tmp_path, "train")
    spec = {
        "source": {"kind": "tar", "path": str(tmp_path / "pile.tar")},
        **{"shards": 1, "on_bad_record": "fail", "train_has_subsets": True},
    }
    documents = tmp_path / "corpus/00.jsonl.zst"
    run(
        copy,
        *("-m", "tttnn", "download_shard", "--spec", json.dumps(spec), "--shard", "00"),
        *("--documents", documents, "--rejected", tmp_path / "rejected.jsonl"),
        *("--manifest", tmp_path / "corpus/00.json"),
    )
    (document,) = read_documents(documents, needs_subset=True)
    assert document.text == "a text"
    assert sorted(path.name for path in documents.parent.iterdir()) == ["00.json", "00.jsonl.zst"]


def test_the_index_type_finds_what_there_is(copy, tmp_path):
    script = f"""
from pathlib import Path
import numpy as np
from shards import brute_force, build_index, index_spec, write_shards
from tttnn.retrieval.index import MergedIndex
vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
shards = write_shards(Path({str(tmp_path)!r}), [[20, 10], [30]], vectors)
spec = index_spec("HNSW8")
index = MergedIndex(build_index(Path({str(tmp_path)!r}), spec, shards))
_, found = index.search(vectors[:9], 5, spec.index.asked())
print(spec.index.kind, (found == brute_force(vectors[:9], vectors, shards.ids, 5)[1]).all())
"""
    assert run(copy, "-c", script).split() == ["hnsw", "True"]


def test_the_figure_shows_the_tasks_that_were_evaluated(copy, tmp_path):
    table = "task,status,selected\npile_github,evaluated,3\npile_arxiv,no documents,0\n"
    (tmp_path / "tasks.csv").write_text(table)
    run(
        copy,
        *("-m", "tttnn", "draw_figure", "--tables", tmp_path),
        *("--spec", json.dumps({"name": "documents", "module": "subsets"})),
        *("--svg", tmp_path / "documents.svg", "--pdf", tmp_path / "documents.pdf"),
    )
    drawn = (tmp_path / "documents.svg").read_text(encoding="utf-8")
    assert "Github" in drawn and "ArXiv" not in drawn
