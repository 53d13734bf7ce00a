"""Adding a kind changes no other fingerprint, takes few files, and what is added works."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import adding
from adding import ADDITIONS, EXAMPLES, ROOT, add, cost

MOST = {  # lines, files
    "selection": (30, 2),
    "method": (None, 4),
    "source": (None, 3),
    "index": (None, 4),
    "figure": (None, 2),
}
"""What an addition may take at most, its entry in a configuration counted as a file."""


@pytest.mark.parametrize("addition", ADDITIONS)
def test_adding_a_kind_changes_no_fingerprint_but_its_own(addition, tmp_path):
    lines, files = MOST[addition]
    found = cost(addition, tmp_path)
    assert found.changed == []
    assert found.files <= files
    assert lines is None or found.lines <= lines


def test_the_guard_sees_a_list_of_kinds(tmp_path, monkeypatch):
    """A stage that imports what knows a new kind is caught: the check is able to fail."""
    examples = tmp_path / "examples"
    edited = examples / "selection/sections/kinds.py"
    edited.parent.mkdir(parents=True)
    source = (ROOT / "workflow/tttnn/sections/kinds.py").read_text(encoding="utf-8")
    edited.write_text(source + '\nALL = ("sift", "hull", "mmr")\n', encoding="utf-8")
    monkeypatch.setattr(adding, "EXAMPLES", examples)
    assert {"choose_neighbors", "evaluate_part"} <= set(cost("selection", tmp_path).changed)


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A folder to import a package from that has every addition."""
    folder = tmp_path_factory.mktemp("extended")
    for addition in ADDITIONS:
        if addition == ADDITIONS[0]:
            cost(addition, folder)  # makes the copy
        else:
            add(addition, folder / "tttnn")
    adding.fingerprint_cache_clear()
    return folder


def run(extended: Path, program: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": f"{extended}{os.pathsep}{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_configuration_takes_what_was_added(extended, tmp_path):
    overlays = [str(path) for path in sorted(EXAMPLES.glob("*/entry.yaml"))]
    assert len(overlays) == 4
    program = (
        "import sys; from pathlib import Path; from configured import read\n"
        "from tttnn.config.figures import FIGURES\n"
        "made = read([Path(p) for p in sys.argv[2:]], [], Path(sys.argv[1]))\n"
        "print(made.selections['covering'].kind, made.methods['unchanged'].kind,\n"
        "      made.sources['archive'].kind, made.indexes['graph'].kind, 'copies' in FIGURES)"
    )
    printed = run(extended, program, ROOT / "config.yaml", *overlays)
    assert printed.split() == ["covering", "unchanged", "zipped", "hnsw", "True"]
    for name in overlays:  # what an overlay of one's own says
        assert yaml.safe_load(Path(name).read_text(encoding="utf-8"))


def test_the_added_selection_is_what_its_paper_defines(extended):
    """By brute force: every pick is the one whose set, with those before, covers most."""
    program = """
import numpy as np
from tttnn.sections.kinds import SELECTIONS, load, settings
spec = settings(SELECTIONS, "covering")(kind="covering", index="flat", picks=6)
vectors = np.random.default_rng(0).normal(size=(21, 8))
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
query, candidates = vectors[0], vectors[1:]
found = load(SELECTIONS, "covering").choose(spec, np.arange(20), candidates, query)
picked = []
for _ in range(6):
    def covered(i):
        return sum(max(one @ candidates[j] for j in [*picked, i]) for one in candidates)
    picked.append(max((i for i in range(20) if i not in picked), key=covered))
assert found.tolist() == picked, (found, picked)
"""
    run(extended, program)


def test_the_added_source_gives_a_shard(extended, tmp_path):
    with zipfile.ZipFile(tmp_path / "pile.zip", "w") as archive:
        archive.writestr("train/00.jsonl", '{"text": "x", "meta": {"pile_set_name": "ArXiv"}}\n')
    program = """
import sys; from pathlib import Path
from tttnn.corpus.download import DownloadSpec, download_shard
folder = Path(sys.argv[1])
source = {"kind": "zipped", "path": str(folder / "pile.zip")}
spec = DownloadSpec(source=source, shards=1, on_bad_record="fail", train_has_subsets=True)
names = [folder / name for name in ("00.jsonl.zst", "rejected.jsonl", "00.json")]
download_shard(spec, "00", *names)
print(names[2].read_text())
"""
    assert '"documents": 1' in run(extended, program, tmp_path)


def test_the_added_index_finds_what_brute_force_finds(extended, tmp_path):
    program = """
import sys; from pathlib import Path
import numpy as np
from shards import brute_force, build_index, index_spec, write_shards
from tttnn.retrieval.merged import MergedIndex
from tttnn.retrieval.search import Shard, merged
vectors = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
shards = write_shards(Path(sys.argv[1]), [[60], [140]], vectors)
folder = build_index(Path(sys.argv[1]) / "index", index_spec("HNSW16"), shards)
opened = [
    Shard("hnsw", "HNSW16", 1.0, path, folder.parent / f"shards/0{number}.faiss")
    for number, path in enumerate(shards.lists)
]
found = merged([s.find(vectors[:20], 5, {"breadth": 200}, 10**6) for s in opened], 5)[1]
exact = brute_force(vectors[:20], vectors, shards.ids, 5)[1]
together = MergedIndex(folder, {"kind": "hnsw"}).index().search(vectors[:20], 5)[1]
print(min((found == exact).mean(), (together == exact).mean()))
"""
    assert float(run(extended, program, tmp_path)) > 0.95


def test_the_added_method_measures_what_the_model_alone_gives(extended, tmp_path):
    program = """
import sys; from pathlib import Path
from tiny import save_causal
from tttnn.methods.likelihood import log_likelihood, prefix_token, rolling_windows
from tttnn.methods.measure import Query
from tttnn.methods.unchanged.engine import adapt
from tttnn.models.folder import load_causal
from tttnn.models.tokens import tokens
from tttnn.sections.kinds import METHODS, settings
model, tokenizer = load_causal(save_causal(Path(sys.argv[1])))
recipe = settings(METHODS, "unchanged")(kind="unchanged", num_neighbors=2, evaluate_at=[0, 2])
(result,) = adapt(model, tokenizer, [Query(0, "some text", ["a", "b"])], recipe, 64)
windows = rolling_windows(tokens(tokenizer, "some text"), prefix_token(tokenizer), 64)
assert [m.loglikelihood for m in result.measurements] == [log_likelihood(model, windows)] * 2
"""
    run(extended, program, tmp_path)
