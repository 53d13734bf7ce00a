"""Names of files inside a run's own files are names too: a folder may have come from elsewhere."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from shards import build_index, index_spec, write_shards
from tiny import save_causal
from tttnn.corpus.passages import list_passages, listed
from tttnn.digests import check_model, read_record, write_record
from tttnn.retrieval.merged import MergedIndex

OUT = ["../outside", "/etc/passwd", "a/../../outside", "..", "", "a\\b", "C:\\x", "nul\0"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    return write_shards(tmp_path_factory.mktemp("shards"), [[20], [10]], vectors)


@pytest.mark.parametrize("name", OUT)
def test_an_index_s_manifest_names_no_file_outside(name, shards, tmp_path):
    folder = build_index(tmp_path / "index", index_spec("IVF2,Flat"), shards)
    values = read_record(folder / "manifest.json")
    first = values["shards"][0]
    values["parts"] = {name if n == first else n: v for n, v in values["parts"].items()}
    write_record(folder / "manifest.json", values)
    with pytest.raises(ValueError, match=r"manifest\.json names the file"):
        MergedIndex(folder, {})
    values["parts"], values["shards"] = {name: values["parts"].popitem()[1]}, [name]
    write_record(folder / "manifest.json", values)
    with pytest.raises(ValueError, match=r"manifest\.json names the file"):
        MergedIndex(folder, {})


@pytest.mark.parametrize("name", OUT)
def test_a_model_s_manifest_names_no_file_outside(name, tmp_path):
    folder = save_causal(tmp_path / "model")
    (tmp_path / "outside").write_text("x")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"manifest\.json names the file"):
        check_model(folder)


@pytest.mark.parametrize("name", OUT)
def test_a_list_of_passages_names_no_file_outside(name, shards, tmp_path):
    passages = [tmp_path / f"passages/0{shard}/0.parquet" for shard in range(2)]
    for source, target in zip(shards.files["passages"], passages, strict=True):
        target.parent.mkdir(parents=True)
        shutil.copyfile(source, target)
    manifest = tmp_path / "passages/manifest.json"
    list_passages(passages, manifest)
    assert listed(manifest) == passages
    values = read_record(manifest)
    values["passages"][0]["file"] = name
    write_record(manifest, values)
    with pytest.raises(ValueError, match=r"manifest\.json names the file"):
        listed(manifest)
