"""Unigrams of the neighbours mixed into predictions: by hand, and over whole vocabularies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tiny import Clock, save_causal
from tttnn.methods.interpolate.engine import adapt, histogram, unigrams
from tttnn.methods.interpolate.settings import Interpolate
from tttnn.methods.likelihood import (
    TokenLogProbabilities,
    log_likelihood,
    prefix_token,
    rolling_windows,
)
from tttnn.methods.measure import Query
from tttnn.methods.mixing import mixture
from tttnn.models.folder import load_causal

ALPHAS = [0.0, 0.02, 0.5]
RECIPE = Interpolate(kind="interpolate", num_neighbors=3, evaluate_at=[0, 1, 3], alphas=ALPHAS)
TEXT = "the cat sat on the mat, and the dog on the cat"
NEIGHBORS = ["the cat sat", "", "a dog on a mat"]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load_causal(save_causal(tmp_path_factory.mktemp("gpt2")))


def measured(network, query, recipe=RECIPE):
    (result,) = adapt(*network, [query], recipe, 16)
    return {(m.num_neighbors, m.alpha): m.loglikelihood for m in result.measurements}


def test_five_tokens_by_hand():
    """Neighbours (1, 1, 2) and (0, 2) at squared distances 4 and 9, tokens 2, 1, 4."""
    model = np.array([0.5, 0.25, 0.1])
    near, far = math.exp(-2), math.exp(-3)
    neighbors = [(near / 3 + far / 2) / (near + far), near * 2 / 3 / (near + far), 0.0]
    expected = sum(math.log(0.3 * q + 0.7 * p) for q, p in zip(neighbors, model, strict=True))

    vocabulary, places = np.unique([2, 1, 4], return_inverse=True)
    histograms = np.array([histogram(ids, vocabulary) for ids in ([1, 1, 2], [0, 2])])
    assert histograms.tolist() == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [0, 1 / 2, 0]]))
    shares = unigrams(histograms, np.array([2.0, 3.0]))[places]
    assert shares == pytest.approx(neighbors, rel=1e-14)
    plain = TokenLogProbabilities(np.log(model).sum(), np.log(model))
    with np.errstate(divide="ignore"):
        assert mixture(plain, np.log(shares), 0.3) == pytest.approx(expected, rel=1e-14)


def test_weights_of_far_neighbours_do_not_vanish_together():
    """exp(-1000) is 0 in float64, but only the difference of distances matters."""
    shares = unigrams(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1000.0, 1001.0]))
    assert shares == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.e)], rel=1e-12)


def test_against_whole_distributions(gpt2):
    """The mixture of all 257 probabilities at every position; the empty neighbour has no part."""
    model, tokenizer = gpt2
    ids = tokenizer(TEXT)["input_ids"]
    distances = [0.25, 0.36, 1.21]
    found = measured(gpt2, Query(0, TEXT, NEIGHBORS, distances))

    rows = []
    for inputs, targets in rolling_windows(ids, 0, 16):
        logits = model(torch.tensor([inputs])).logits[0, -len(targets) :]
        rows.append(logits.detach().double().softmax(-1).numpy())
    model_p = np.concatenate(rows)
    unigram = []
    for text in (NEIGHBORS[0], NEIGHBORS[2]):
        counts = np.zeros(257)
        np.add.at(counts, tokenizer(text)["input_ids"], 1)
        unigram.append(counts / counts.sum())
    weights = np.exp([-0.5, -1.1]) / np.exp([-0.5, -1.1]).sum()
    for count, neighbor_p in [(1, unigram[0]), (3, weights @ unigram)]:
        for alpha in ALPHAS:
            mixed = alpha * neighbor_p + (1 - alpha) * model_p
            assert mixed.sum(1) == pytest.approx(1)
            expected = np.log(mixed[np.arange(len(ids)), ids]).sum()
            assert found[count, alpha] == pytest.approx(expected, rel=1e-6)


def test_alpha_zero_and_no_neighbours_are_the_model_bit_for_bit(gpt2):
    model, tokenizer = gpt2
    windows = rolling_windows(tokenizer(TEXT)["input_ids"], prefix_token(tokenizer), 16)
    plain = log_likelihood(model, windows)
    found = measured(gpt2, Query(0, TEXT, NEIGHBORS, [1.0, 2.0, 3.0]))
    assert list(found) == [(0, 0.0), *((k, alpha) for k in (1, 3) for alpha in ALPHAS)]
    assert {found[0, 0.0], found[1, 0.0], found[3, 0.0]} == {plain}
    assert plain not in (found[1, 0.02], found[3, 0.5])
    empty = measured(gpt2, Query(0, TEXT, ["", "", ""], [1.0, 2.0, 3.0]))
    assert set(empty.values()) == {plain}


def test_what_is_counted(gpt2, monkeypatch):
    monkeypatch.setattr("tttnn.methods.interpolate.engine.clock", Clock())
    for module in ("interpolate.engine", "mixing"):
        monkeypatch.setattr(f"tttnn.methods.{module}.time", Clock())
    query = Query(0, TEXT, NEIGHBORS[:2], [1.0, 2.0], stopped=True)
    (result,) = adapt(*gpt2, [query], RECIPE, 16)
    assert [m.train_tokens for m in result.measurements] == [0, *[11] * 6]
    # read for 1 second; counted the first neighbour for 1, the others for 3 more
    assert [m.train_seconds for m in result.measurements] == [0, *[1] * 3, *[1 + 3] * 3]
    mixing = (1, 3, 5, 7, 9, 11)
    assert [m.evaluate_seconds for m in result.measurements] == [1, *(1 + s for s in mixing)]
    found = measured(gpt2, query)
    assert found[1, 0.5] == found[3, 0.5]


@pytest.mark.parametrize(
    ("distances", "neighbors", "message"),
    [
        ([1.0, 2.0], NEIGHBORS, "query 7 has 3 neighbours with the squared distances"),
        ([1.0, 2.0, math.nan], NEIGHBORS, "finite and not negative"),
        ([1.0, 2.0, math.inf], NEIGHBORS, "finite and not negative"),
        ([1.0, -2.0, 3.0], NEIGHBORS, "finite and not negative"),
        ([1.0, 2.0, 3.0], NEIGHBORS[:2], "query 7 has 2 neighbours, but the method uses 3"),
    ],
)
def test_bad_queries_are_refused(gpt2, distances, neighbors, message):
    with pytest.raises(ValueError, match=message):
        measured(gpt2, Query(7, TEXT, neighbors, distances))
