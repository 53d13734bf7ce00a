"""What the library is given and can do nothing with is said; what is nearly right works."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tttnn
from live_run import write_run
from tiny import save_causal, save_encoder, write_manifest
from tttnn.arguments import positive, whole
from tttnn.files import sha256

TEXT, NEIGHBORS = "a text to measure", ["one neighbour", "another neighbour"]
VECTORS = np.random.default_rng(0).normal(size=(6, 8))
WITHOUT = np.where(np.arange(8) == 0, np.inf, VECTORS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_causal(tmp_path_factory.mktemp("model"), "gpt2")


@pytest.fixture
def loaded(folder):
    return tttnn.load_model(folder)


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.int8(3), np.array(3), torch.tensor(3)], ids=repr
)
def test_a_whole_number_may_be_numpy_s(value):
    assert whole(value, "k") == 3 and type(whole(value, "k")) is int


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None, [3], np.array([3])], ids=repr)
def test_what_is_no_whole_number_is_said(value):
    with pytest.raises(ValueError, match=r"^k is .*: give a whole number$"):
        whole(value, "k")


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "1", None, True, [1.0]])
def test_what_is_not_above_0_is_said(value):
    with pytest.raises(ValueError, match=r"^noise is .*: give a number above 0$"):
        positive(value, "noise")


def test_recipes_take_numpy_s_numbers():
    expected = tttnn.recipe_for(3, 0.5, [0, 3])
    given = tttnn.recipe_for(np.int64(3), np.float32(0.5), np.array([0, 3]))
    assert given == expected
    assert tttnn.recipe_for(np.int32(2)).evaluate_at == [0, 1, 2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("3",), "num_neighbors is '3': give a whole number"),
        ((True,), "num_neighbors is True: give a whole number"),
        ((-1,), "num_neighbors is -1: it must be 0 or more"),
        ((3, True), "learning_rate is True: give a number above 0"),
        ((3, float("nan")), "learning_rate is nan: give a number above 0"),
        ((3, 0.1, [0, 2.0]), "a number of evaluate_at is 2.0: give a whole number"),
    ],
)
def test_recipes_say_what_they_cannot_take(given, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        tttnn.recipe_for(*given)


CALLS = [
    lambda model, tokenizer: tttnn.log_likelihood(model, tokenizer, TEXT),
    lambda model, tokenizer: tttnn.bits_per_byte(model, tokenizer, TEXT),
    lambda model, tokenizer: tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS),
    lambda model, tokenizer: tttnn.adapted(model, tokenizer, NEIGHBORS).__enter__(),
]


@pytest.mark.parametrize("call", CALLS)
def test_models_and_tokenizers_are_looked_at_first(loaded, call):
    model, tokenizer = loaded
    with pytest.raises(ValueError, match="the model is of type str: give what load_model gives"):
        call("gpt2", tokenizer)
    with pytest.raises(ValueError, match="the tokenizer is of type GPT2LMHeadModel"):
        call(model, model)
    tokenizer.eos_token = tokenizer.bos_token = None
    with pytest.raises(ValueError, match="neither a beginning-of-text nor an end-of-text token"):
        call(model, tokenizer)


@pytest.mark.parametrize("call", CALLS)
def test_a_model_without_its_weights_is_said(loaded, call):
    model, tokenizer = loaded
    model.transformer.h[1].to("meta")  # as one of which a part is kept elsewhere
    with pytest.raises(ValueError, match="weights on the device meta, which holds none: load all"):
        call(model, tokenizer)


@pytest.mark.parametrize("call", CALLS[2:])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_that_a_step_would_be_lost_in_are_said(loaded, call, dtype):
    model, tokenizer = loaded
    model.to(getattr(torch, dtype))
    with pytest.raises(ValueError, match=f"weights in {dtype}.* call model.float.. first"):
        call(model, tokenizer)


def test_the_remedy_for_half_precision_is_one(loaded):
    model, tokenizer = loaded
    model.to(torch.bfloat16).float()
    how = tttnn.recipe_for(2, 1e-2)
    curve = tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS, how)["bits_per_byte"]
    assert curve.is_unique


def test_adapters_beside_weights_in_bfloat16_are_trained(loaded):
    model, tokenizer = loaded
    model.to(torch.bfloat16)
    how = tttnn.recipe_for(2, 5e-2, lora={"rank": 4})
    curve = tttnn.adapt(model, tokenizer, TEXT, NEIGHBORS, how)["bits_per_byte"]
    assert curve.is_unique
    with tttnn.adapted(model, tokenizer, NEIGHBORS, how):
        found = tttnn.bits_per_byte(model, tokenizer, TEXT)
    assert found == pytest.approx(curve.iloc[-1], rel=2e-2)


@pytest.mark.parametrize("window", [True, "16", 2.5, 0])
def test_a_window_is_a_whole_number(loaded, window):
    with pytest.raises(ValueError, match=r"^window is "):
        tttnn.bits_per_byte(*loaded, TEXT, window)


CHOICES = [lambda *given, **more: tttnn.sift(*given, **({"noise": 0.1} | more)), tttnn.hull]


@pytest.mark.parametrize("choose", CHOICES)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((VECTORS, VECTORS[0], 0), "picks is 0: it must be 1 or more"),
        ((VECTORS, VECTORS[0], 2.0), "picks is 2.0: give a whole number"),
        ((VECTORS, VECTORS[0, :3], 2), r"candidates are of shape \(6, 8\) and the query of \(3,\)"),
        ((VECTORS[:0], VECTORS[0], 2), r"of shape \(0, 8\).*K at least 1"),
        ((VECTORS[0], VECTORS[0], 2), r"of shape \(8,\)"),
        ((WITHOUT, VECTORS[0], 2), "a number that is not finite: leave out"),
        (([["a"]], ["b"], 2), "the vectors are not numbers .*: give arrays of floats"),
    ],
)
def test_a_choice_needs_vectors_and_a_number(choose, given, message):
    with pytest.raises(ValueError, match=message):
        choose(*given)


@pytest.mark.parametrize("noise", [0, -1, float("nan"), float("inf"), "1", True])
def test_sift_needs_noise(noise):
    with pytest.raises(ValueError, match=r"noise is .*: give a number above 0"):
        tttnn.sift(VECTORS, VECTORS[0], 2, noise)


def test_sift_picks_none_twice_where_none_may_be():
    every = tttnn.sift(VECTORS, VECTORS[0], 6, 0.1, replacement=False)
    assert sorted(every) == list(range(6))
    with pytest.raises(ValueError, match=r"picks is 7, of 6 candidates none .* replacement=True"):
        tttnn.sift(VECTORS, VECTORS[0], 7, 0.1, replacement=False)
    assert len(tttnn.sift(VECTORS, VECTORS[0], 7, 0.1)) == 7


def test_a_choice_is_of_float64_whatever_is_given():
    low = VECTORS.astype(np.float16)
    for choose in CHOICES:
        assert (
            choose(low.tolist(), low[0], np.int64(4)).tolist()
            == choose(low.astype(np.float64), low[0].astype(np.float64), 4).tolist()
        )
    assert tttnn.hull(VECTORS, VECTORS[2], 9).tolist() == [2] * 9  # the query is a candidate


def test_k_may_be_more_than_there_is_and_must_be_a_number(tmp_path, monkeypatch):
    embedder = save_encoder(tmp_path / "results/live/models/embedder")
    write_manifest(embedder)
    vectors = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    write_run(tmp_path, [[3], [2]], vectors, embedder=sha256(embedder / "manifest.json"))
    monkeypatch.chdir(tmp_path)
    # without the copy in memory, as in a large run, room for k results is planned before a search
    monkeypatch.setattr("tttnn.live.shard.AtHand.of", lambda *given: None)
    assert len(tttnn.search(TEXT, "live", 10**9)) == 5
    for k in (0, True, 2.0, "2"):
        with pytest.raises(ValueError, match=r"^k is "):
            tttnn.search(TEXT, "live", k)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tttnn.load_model(None), "the model's folder is None: give its name or its path"),
        (lambda: tttnn.load_model("any", "meta"), "device meta holds no weights: take cpu"),
        (lambda: tttnn.read_tables(3), "the run is 3: give its name or its path"),
        (lambda: tttnn.search(TEXT, None), "the run is None: give its name or its path"),
        (lambda: tttnn.search(TEXT, "none"), "there is no folder results/none: give the name of"),
        (lambda: tttnn.search(TEXT, "results/none"), "there is no folder results/none: give the n"),
    ],
)
def test_what_names_nothing_is_said(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        call()
