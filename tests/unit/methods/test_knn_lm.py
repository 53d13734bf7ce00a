"""kNN-LM over a document's neighbours: every distance computed one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tiny import CAUSAL, Clock, save_causal
from tttnn.methods.knn_lm import engine as module
from tttnn.methods.knn_lm.engine import Found, adapt, log_votes, search, states
from tttnn.methods.knn_lm.settings import KnnLm
from tttnn.methods.likelihood import log_likelihood, prefix_token, rolling_windows
from tttnn.methods.measure import Query
from tttnn.models.folder import load_causal

ALPHAS = [0.0, 0.25, 0.6]
TEXT = "the cat sat on the mat, and the dog on the cat"
NEIGHBORS = ["the cat sat on the hat", "", "a dog on the mat, and a cat on a dog"]
NOTHING = Found(torch.empty(20, 0, dtype=torch.float64), torch.empty(20, 0, dtype=torch.bool))


def recipe(**changes):
    changes = {
        "num_neighbors": 3,
        "evaluate_at": [0, 1, 3],
        "nearest": 7,
        "alphas": ALPHAS,
    } | changes
    return KnnLm(kind="knn_lm", **changes)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load_causal(save_causal(tmp_path_factory.mktemp("gpt2")))


def measured(network, query, **changes):
    (result,) = adapt(*network, [query], recipe(**changes), 16)
    return {(m.num_neighbors, m.alpha): m.loglikelihood for m in result.measurements}


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_state_is_what_the_head_predicts_from(kind, tmp_path):
    model, tokenizer = load_causal(save_causal(tmp_path, kind))
    windows = rolling_windows(tokenizer(TEXT)["input_ids"], 0, 16)
    for batch_tokens in (1, 40, 8192):
        targets, found = map(torch.cat, zip(*states(model, windows, batch_tokens), strict=True))
        assert targets.tolist() == tokenizer(TEXT)["input_ids"]
        logits = [model(torch.tensor([w.inputs])).logits[0, -len(w.targets) :] for w in windows]
        assert torch.allclose(model.get_output_embeddings()(found), torch.cat(logits), atol=1e-5)


@pytest.mark.parametrize("nearest", [1, 5, 30, 100])
def test_search_in_pieces_is_sorting_all_distances(nearest, monkeypatch):
    """Far from the origin, where a float32 product would drown the differences."""
    monkeypatch.setattr(module, "POSITIONS_AT_ONCE", 7)
    generator = np.random.default_rng(0)
    queries = (generator.normal(size=(20, 4)) + 300).astype(np.float32)
    keys = (generator.normal(size=(50, 4)) + 300).astype(np.float32)
    targets, values = generator.integers(5, size=20), generator.integers(5, size=50)
    found = NOTHING
    for rows in (slice(0, 3), slice(3, 40), slice(40, 50)):
        parts = (targets, queries, values[rows], keys[rows])
        found = search(found, *map(torch.from_numpy, parts), nearest)

    differences = queries[:, None].astype(np.float64) - keys[None]
    distances = np.square(differences).sum(2)
    order = np.argsort(distances, axis=1)[:, :nearest]
    sorting = found.distances.argsort(1)
    expected = np.take_along_axis(distances, order, 1)
    assert found.distances.gather(1, sorting).numpy() == pytest.approx(expected, abs=1e-8)
    assert np.array_equal(found.hits.gather(1, sorting).numpy(), values[order] == targets[:, None])


def test_votes_by_hand():
    distances = torch.tensor([[0.0, 2.0, 4.0], [1e6, 1e6 + 2, 1e6]], dtype=torch.float64)
    found = Found(distances, torch.tensor([[True, False, True], [False, False, False]]))
    weights = [1, math.exp(-1), math.exp(-2)]
    expected = math.log((weights[0] + weights[2]) / sum(weights))
    assert log_votes(found, temperature=2.0).tolist() == [pytest.approx(expected), -math.inf]
    assert log_votes(NOTHING, temperature=2.0) is None


@pytest.mark.parametrize("kind", CAUSAL)
def test_against_brute_force(kind, tmp_path):
    """States from transformers' own list of them, distances and votes in plain loops."""
    model, tokenizer = network = load_causal(save_causal(tmp_path, kind))
    found = measured(network, Query(0, TEXT, NEIGHBORS), temperature=3.0)

    def read(text):
        rows = []
        for inputs, targets in rolling_windows(tokenizer(text)["input_ids"], 0, 16):
            with torch.no_grad():
                output = model(torch.tensor([inputs]), output_hidden_states=True)
            log_p = output.logits[0].double().log_softmax(-1)
            for place, token in zip(range(len(inputs))[-len(targets) :], targets, strict=True):
                state = output.hidden_states[-1][0, place].double().numpy()
                rows.append((state, token, log_p[place, token].exp().item()))
        return rows

    for count in (1, 3):
        store = [row for text in NEIGHBORS[:count] for row in read(text)]
        shares = []
        for state, token, _ in read(TEXT):
            pairs = [(((state - key) ** 2).sum(), value) for key, value, _ in store]
            nearest = sorted(pairs)[:7]
            weights = [math.exp((nearest[0][0] - d) / 3.0) for d, _ in nearest]
            hits = [w for w, (_, value) in zip(weights, nearest, strict=True) if value == token]
            shares.append(sum(hits) / sum(weights))
        assert 0 < sum(share > 0 for share in shares) < len(shares)
        for alpha in ALPHAS:
            pairs = zip(read(TEXT), shares, strict=True)
            expected = sum(math.log(alpha * q + (1 - alpha) * row[2]) for row, q in pairs)
            assert found[count, alpha] == pytest.approx(expected, rel=1e-6)


def test_alpha_zero_and_no_neighbours_are_the_model_bit_for_bit(gpt2):
    model, tokenizer = gpt2
    windows = rolling_windows(tokenizer(TEXT)["input_ids"], prefix_token(tokenizer), 16)
    plain = log_likelihood(model, windows)
    found = measured(gpt2, Query(0, TEXT, NEIGHBORS))
    assert list(found) == [(0, 0.0), *((k, alpha) for k in (1, 3) for alpha in ALPHAS)]
    assert {found[0, 0.0], found[1, 0.0], found[3, 0.0]} == {plain}
    assert plain not in (found[1, 0.25], found[3, 0.6])
    assert set(measured(gpt2, Query(0, TEXT, [""] * 3)).values()) == {plain}


def test_a_copy_is_recited(gpt2):
    """Its every key is at distance 0, so alone it votes for the right token with all its weight."""
    found = measured(gpt2, Query(0, TEXT, [TEXT, "x", "y"]), nearest=1)
    assert found[1, 0.6] > len(TEXT) * math.log(0.6) > found[0, 0.0]


def test_what_is_counted(gpt2, monkeypatch):
    monkeypatch.setattr("tttnn.methods.knn_lm.engine.clock", Clock())
    monkeypatch.setattr("tttnn.methods.mixing.time", Clock())
    (result,) = adapt(*gpt2, [Query(0, TEXT, NEIGHBORS[:2], stopped=True)], recipe(), 16)
    assert [m.train_tokens for m in result.measurements] == [0, *[22] * 6]
    assert [m.num_neighbors for m in result.measurements] == [0, 1, 1, 1, 3, 3, 3]
    # read for 1 second; the query's states 3, then the neighbours' 5 and 7 more
    assert [m.train_seconds for m in result.measurements] == [0, *[3 + 5] * 3, *[3 + 5 + 7] * 3]
    mixing = (1, 3, 5, 7, 9, 11)
    assert [m.evaluate_seconds for m in result.measurements] == [1, *(1 + s for s in mixing)]
    assert result.measurements[2].loglikelihood == result.measurements[5].loglikelihood


def test_too_few_neighbours_is_an_error(gpt2):
    with pytest.raises(ValueError, match="query 0 has 2 neighbours, but the method uses 3"):
        measured(gpt2, Query(0, TEXT, NEIGHBORS[:2]))
