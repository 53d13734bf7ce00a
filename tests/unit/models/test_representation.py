"""An embedder's own pooling, scaling and prompt: read from its files, applied, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tiny import save_encoder
from tttnn.models.fetch import FetchSpec, fetch_model
from tttnn.models.folder import load_encoder
from tttnn.models.kinds.local import LocalModel
from tttnn.models.model_files import ModelError
from tttnn.models.representation import PAPERS, Representation, representation_of
from tttnn.models.sentence_transformers import said_by
from tttnn.operations.embedders import _told
from tttnn.retrieval.embed import embed_texts
from tttnn.sections.embed import Embed

TEXTS = ["the cat sat on the mat", "a dog", "some more words than that, " * 3]
SPEC = Embed(max_tokens=64, batch_tokens=128)
TYPES = "sentence_transformers.models."


def write(folder: Path, kinds: list[str], pooling: dict, prompts: dict | None = None) -> Path:
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": TYPES + kind}
        for i, kind in enumerate(kinds)
    ]
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts or {}))
    return folder


def modes(**on: bool) -> dict:
    plain = dict.fromkeys(("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"), False)
    return {f"pooling_mode_{name}": value for name, value in {**plain, **on}.items()}


def entry(**given) -> LocalModel:
    return LocalModel(kind="local", path="somewhere", **given)


BASE = ["Transformer", "Pooling"]


@pytest.mark.parametrize(
    ("kinds", "pooling", "expected"),
    [
        ([*BASE, "Normalize"], modes(mean_tokens=True), Representation(normalize=True)),
        (BASE, modes(cls_token=True), Representation(pooling="cls")),
        (BASE, modes(max_tokens=True), Representation(pooling="max")),
        (BASE, modes(lasttoken=True), Representation(pooling="last")),
        (BASE, {"pooling_mode": "cls"}, Representation(pooling="cls")),
    ],
)
def test_the_files_say_what_is_null(kinds, pooling, expected, tmp_path):
    write(tmp_path, kinds, pooling)
    assert said_by(tmp_path, entry()) == expected
    mean = said_by(tmp_path, entry(pooling="mean", normalize=False))
    assert mean == Representation(pooling="mean", normalize=False)
    prompt = said_by(tmp_path, entry(prompt="query: "))
    assert prompt == expected.model_copy(update={"prompt": "query: "})


def test_a_model_that_says_nothing_is_as_in_the_paper(tmp_path):
    assert said_by(tmp_path, entry()) is None
    assert said_by(tmp_path, entry(normalize=True)) == Representation(normalize=True)


def test_the_default_prompt_is_put_before_texts_unless_the_entry_says_otherwise(tmp_path):
    prompts = {"prompts": {"query": "query: ", "doc": "passage: "}, "default_prompt_name": "doc"}
    write(tmp_path, BASE, modes(mean_tokens=True), prompts)
    assert said_by(tmp_path, entry()) == Representation(prompt="passage: ")
    assert said_by(tmp_path, entry(prompt=False)) == Representation(prompt="")
    write(tmp_path, BASE, modes(mean_tokens=True), prompts | {"default_prompt_name": None})
    assert said_by(tmp_path, entry()) == Representation(prompt="")


@pytest.mark.parametrize(
    ("kinds", "pooling", "prompts", "says"),
    [
        ([*BASE, "Dense", "Normalize"], modes(mean_tokens=True), {}, "a module Dense, which"),
        (["Transformer"], modes(), {}, "modules Transformer, which"),
        (BASE, modes(mean_sqrt_len_tokens=True), {}, "pools by pooling_mode_mean_sqrt_len_tokens"),
        (BASE, modes(cls_token=True, max_tokens=True), {}, "_cls_token and pooling_mode_max_tok"),
        (BASE, modes(mean_tokens=True), {"default_prompt_name": "q"}, "names the prompt 'q'"),
        (
            BASE,
            modes(mean_tokens=True) | {"include_prompt": False},
            {"default_prompt_name": "q", "prompts": {"q": "query: "}},
            "include_prompt: false",
        ),
    ],
)
def test_what_is_not_done_here_is_refused_by_name(kinds, pooling, prompts, says, tmp_path):
    write(tmp_path, kinds, pooling, prompts)
    with pytest.raises(ModelError, match=says):
        said_by(tmp_path, entry())
    told = said_by(tmp_path, entry(pooling="mean", normalize=True, prompt=False))
    assert told == Representation(normalize=True)  # asked for in so many words


@pytest.mark.parametrize("content", ["no json", "{}", "[1]", '[{"type": "a"}]'])
def test_a_damaged_list_of_modules_names_its_file(content, tmp_path):
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(ValueError, match=r"modules\.json .*fetch or copy it again"):
        said_by(tmp_path, entry())


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp("roberta"))


def by_hand(folder: Path, text: str, how: Representation) -> np.ndarray:
    """One text at a time, without padding."""
    model, tokenizer = load_encoder(folder)
    ids = tokenizer(how.prompt + text, truncation=True, max_length=64)["input_ids"]
    with torch.inference_mode():
        vectors = model(input_ids=torch.tensor([ids])).last_hidden_state[0].double().numpy()
    pooled = {
        "mean": vectors.mean(0),
        "cls": vectors[0],
        "max": vectors.max(0),
        "last": vectors[-1],
    }[how.pooling]
    return pooled / np.sqrt((pooled**2).sum()) if how.normalize else pooled


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last"])
def test_vectors_are_pooled_as_by_hand(pooling, normalize, encoder):
    how = Representation(pooling=pooling, normalize=normalize, prompt="q: ")
    found = embed_texts(*load_encoder(encoder), TEXTS, SPEC, how)
    expected = [by_hand(encoder, text, how) for text in TEXTS]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(found, embed_texts(*load_encoder(encoder), TEXTS, SPEC))


def test_a_fetched_embedder_says_it_in_its_manifest_and_one_without_says_nothing(encoder, tmp_path):
    plain = FetchSpec.model_validate({"kind": "local", "path": str(encoder)})
    fetch_model(plain, tmp_path / "plain")
    assert "representation" not in json.loads((tmp_path / "plain/manifest.json").read_text())
    assert representation_of(tmp_path / "plain") == PAPERS
    write(encoder, [*BASE, "Normalize"], modes(mean_tokens=True))
    fetch_model(plain, tmp_path / "models/own")
    manifest = json.loads((tmp_path / "models/own/manifest.json").read_text())
    assert manifest["representation"] == {"pooling": "mean", "normalize": True, "prompt": ""}
    assert {"modules.json", "1_Pooling/config.json"} <= manifest["files"].keys()
    assert (tmp_path / "models/own/1_Pooling/config.json").is_file()
    assert representation_of(tmp_path / "models/own") == Representation(normalize=True)


def test_a_model_that_is_evaluated_has_no_pooling(tmp_path):
    spec = FetchSpec.model_validate({"kind": "local", "path": str(tmp_path), "pooling": "cls"})
    with pytest.raises(ValueError, match=r"pooling is of embedders|config\.json"):
        fetch_model(spec, tmp_path / "out", causal=True)


def test_the_plan_says_what_applies_and_who_says_so(tmp_path):
    write(tmp_path, [*BASE, "Normalize"], modes(mean_tokens=True))
    told = _told(LocalModel(kind="local", path=str(tmp_path), prompt="q: "))
    assert told == (
        "the mean of token vectors, scaled to length 1, after the prompt 'q: ', by its "
        "modules.json and prompt: 'q: '"
    )
    write(tmp_path, [*BASE, "Dense"], modes(mean_tokens=True))
    dense = _told(LocalModel(kind="local", path=str(tmp_path)))
    assert dense.startswith("cannot be used: ")
    assert "Dense" in dense
    missing = _told(LocalModel(kind="local", path=str(tmp_path / "none")))
    assert missing.startswith("as its modules.json says")
