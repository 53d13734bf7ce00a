"""What is known before the first job, and what SLURM's refusals mean."""

from __future__ import annotations

import json

import pytest
from huggingface_hub import constants

from tiny import save_causal
from tttnn.models.kinds.huggingface import HubModel
from tttnn.models.kinds.local import LocalModel
from tttnn.operations.preflight import missing_models
from tttnn.operations.refusals import remedies

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"published": HubModel(kind="huggingface", id="some/model", revision=COMMIT)}


def test_a_folder_without_a_model_is_named(tmp_path):
    models = {"mine": LocalModel(kind="local", path=str(tmp_path))}
    (fault,) = missing_models(models, ["mine"])
    assert "models.mine.path" in fault and str(tmp_path) in fault and "no config.json" in fault
    save_causal(tmp_path)
    assert missing_models(models, ["mine"]) == []
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (fault,) = missing_models(models, ["mine"])
    assert fault.startswith("models.mine.path: the weights") and "awq" in fault


@pytest.mark.parametrize("offline", ["1", "true", "ON"])
def test_offline_a_hub_model_must_be_in_the_cache(tmp_path, monkeypatch, offline):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    (fault,) = missing_models(HUB, ["published"])
    assert f"hf download some/model --revision {COMMIT}" in fault
    snapshot = tmp_path / "models--some--model" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert missing_models(HUB, ["published"]) == []


def test_with_network_the_hub_is_asked_later(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert missing_models(HUB, ["published"]) == []


def test_a_refusal_names_the_setting():
    # what sbatch of SLURM 22.05 prints
    log = (
        "sbatch: error: Batch job submission failed: Requested node configuration is not available"
    )
    (remedy,) = remedies(f"Some lines\n{log}\n")
    assert remedy.startswith("slurm/config.yaml: ") and "gpu_model" in remedy
    assert remedies("Error in rule evaluate_part") == []
