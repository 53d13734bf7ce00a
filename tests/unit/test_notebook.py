"""The notebook's cells, one after the other, on a run and a model too small to know much."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from live_run import write_run
from tiny import save_causal, save_encoder, write_manifest
from tttnn.files import sha256

NOTEBOOK = Path(__file__).parents[2] / "docs/notebook.ipynb"
VECTORS = np.random.default_rng(0).normal(size=(20, 32)).astype(np.float32)


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "results/live"
    embedder = save_encoder(folder / "models/embedder")
    write_manifest(embedder)
    write_run(tmp_path, [[20]], VECTORS, embedder=sha256(embedder / "manifest.json"))
    save_causal(folder / "models/small", "llama", max_position_embeddings=512)
    cell = {"run": "live", "model": "small", "method": "ttt", "metric": "bits_per_byte"}
    scores = [cell | {"task": "pile_all", "num_neighbors": n, "value": 3 - n / 9} for n in (0, 5)]
    (folder / "tables").mkdir()
    pd.DataFrame(scores).to_csv(folder / "tables/scores.csv", index=False)
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")


def test_its_cells_run_in_their_order(here, capsys):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert code[0].count("RUN, MODEL = ") == 1
    first = code[0].replace("RUN, MODEL =", 'RUN, MODEL = "live", "results/live/models/small" #')
    told: dict = {}
    for source in (first, *code[1:]):
        exec(compile(source, str(NOTEBOOK), "exec"), told)
    assert list(told["curve"]["num_neighbors"]) == list(range(6))
    assert told["curve"]["bits_per_byte"].is_unique and len(told["found"]) == 5
    out = capsys.readouterr().out
    assert "before: def main(" in out and "after:  def main(" in out
