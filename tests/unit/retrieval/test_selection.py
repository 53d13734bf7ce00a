"""Choosing by vectors agrees with closed forms, hand computation and other libraries."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from activeft.sift import Retriever
from scipy.optimize import nnls

from tttnn.retrieval.selections.hull import hull, hull_weights, multiset
from tttnn.retrieval.selections.mmr import Mmr, choose
from tttnn.retrieval.selections.sift import sift
from tttnn.retrieval.stopping import kept, posterior_variance


def units(seed: int, rows: int, dimension: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def near(query: np.ndarray, seed: int, rows: int, spread: float) -> np.ndarray:
    """Unit vectors around `query`, as the neighbours of a text are."""
    vectors = query + spread * np.random.default_rng(seed).normal(size=(rows, len(query)))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def rounded(vectors: np.ndarray) -> np.ndarray:
    """The same directions, from other lengths: last digits differ."""
    lengths = np.random.default_rng(0).uniform(0.5, 2, size=(len(vectors), 1))
    changed = vectors * lengths
    changed /= np.linalg.norm(changed, axis=1, keepdims=True)
    assert (changed != vectors).any(axis=1).mean() > 0.5
    return changed


def direct_variance(picked: np.ndarray, query: np.ndarray, noise: float) -> list[float]:
    """The textbook's formula, solved anew for every n."""
    variances = []
    for n in range(1, len(picked) + 1):
        x = picked[:n]
        explained = x @ query @ np.linalg.inv(x @ x.T + noise * np.eye(n)) @ (x @ query)
        variances.append(query @ query - explained)
    return variances


# --- the posterior variance ------------------------------------------------------------------


@pytest.mark.parametrize("noise", [1e-3, 0.1, 10.0])
def test_posterior_variance_is_the_direct_formulas(noise):
    query = units(1, 1, 32)[0]
    picked = near(query, 2, 40, 0.2)[np.random.default_rng(3).integers(40, size=50)]
    expected = direct_variance(picked, query, noise)
    np.testing.assert_allclose(posterior_variance(picked, query, noise), expected, atol=1e-12)


def test_posterior_variance_of_a_copy_by_hand():
    """The query n times: the mean of n observations has variance noise / n, the query has 1."""
    query = units(1, 1, 8)[0]
    variance = posterior_variance(np.tile(query, (4, 1)), query, noise=0.5)
    np.testing.assert_allclose(variance, [0.5 / (n + 0.5) for n in (1, 2, 3, 4)], rtol=1e-12)


def test_what_is_orthogonal_to_the_query_tells_nothing():
    np.testing.assert_allclose(posterior_variance(np.eye(4)[1:], np.eye(4)[0], 0.1), 1.0)


# --- SIFT ------------------------------------------------------------------------------------


def by_activeft(candidates: np.ndarray, query: np.ndarray, picks: int, noise: float):
    """Places and posterior variances of the authors' library, in float32."""
    index = faiss.IndexFlatIP(len(query))
    index.add(candidates.astype(np.float32))
    retriever = Retriever(index, llambda=noise, also_query_opposite=False)
    values, places, _, _ = retriever.search(query[None], N=picks, K=len(candidates), threads=1)
    return places, -values


@pytest.mark.filterwarnings("ignore::DeprecationWarning:activeft")
@pytest.mark.parametrize(
    ("rows", "dimension", "picks", "noise"),
    [(200, 64, 50, 0.1), (60, 16, 50, 0.01), (100, 256, 20, 1.0)],
)
def test_sift_picks_as_its_authors_library(rows, dimension, picks, noise):
    query = units(4, 1, dimension)[0]
    candidates = near(query, 5, rows, 0.15)
    expected, variance = by_activeft(candidates, query, picks, noise)
    chosen = sift(candidates, query, picks, noise)
    assert chosen.tolist() == expected.tolist()
    ours = posterior_variance(candidates[chosen], query, noise)
    np.testing.assert_allclose(ours, variance, atol=3e-4)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("noise", [1e-3, 0.1])
def test_every_pick_leaves_the_least_variance(noise, replacement):
    """Greedy by brute force: try every candidate, invert the whole matrix."""
    query = units(6, 1, 12)[0]
    candidates = near(query, 7, 15, 0.4)
    chosen = sift(candidates, query, 12, noise, replacement).tolist()
    for n, pick in enumerate(chosen):
        allowed = [i for i in range(15) if replacement or i not in chosen[:n]]
        left = {i: direct_variance(candidates[[*chosen[:n], i]], query, noise)[-1] for i in allowed}
        assert pick == min(left, key=left.get)
    assert (len(set(chosen)) == 12) or replacement


def test_with_much_noise_the_most_similar_is_picked_every_time():
    query = units(8, 1, 16)[0]
    candidates = units(9, 50, 16)
    best = int(np.argmax(np.abs(candidates @ query)))
    assert sift(candidates, query, 10, noise=1e6).tolist() == [best] * 10


def test_with_much_noise_and_no_replacement_similarity_orders():
    query = units(8, 1, 16)[0]
    candidates = units(9, 50, 16)
    order = np.argsort(-np.abs(candidates @ query))
    assert sift(candidates, query, 50, 1e9, replacement=False).tolist() == order.tolist()


@pytest.mark.parametrize(("noise", "repeats"), [(1e-3, False), (1.0, True)])
def test_orthogonal_candidates_come_by_similarity_unless_noise_makes_them_repeat(noise, repeats):
    query = np.array([0.5, -0.7, 0.3, 0.4, 0.1])
    query /= np.linalg.norm(query)
    chosen = sift(np.eye(5), query, 5, noise).tolist()
    assert chosen == [1, 0, 3, 2, 4] if not repeats else len(set(chosen)) < 5


def test_near_copies_are_passed_over():
    """Ten near-copies of the best candidate, and two others that tell something else."""
    query = np.array([0.8, 0.5, 0.33166, 0.0])
    query /= np.linalg.norm(query)
    copies = np.tile(np.eye(4)[0], (10, 1)) + 1e-4 * units(10, 10, 4)
    candidates = np.vstack([copies, np.eye(4)[1], np.eye(4)[2]])
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    first, *others = sift(candidates, query, 3, noise=0.01).tolist()
    assert first < 10
    assert others == [10, 11]


@pytest.mark.parametrize("rows", [7, 64, 203])
@pytest.mark.parametrize("replacement", [True, False])
def test_of_equal_candidates_the_first_is_picked(rows, replacement):
    """Everything three times, equal but for the rounding of different lengths."""
    query = units(11, 1, 100)[0]
    original = np.random.default_rng(13).permutation(np.repeat(np.arange(rows), 3))
    chosen = sift(
        rounded(near(query, 12, rows, 0.1)[original]), query, min(30, rows), 1e-3, replacement
    )
    copies = {name: np.flatnonzero(original == name).tolist() for name in range(rows)}
    taken: dict[int, int] = {}
    for pick in chosen:
        name = original[pick]
        used = 0 if replacement else taken.get(name, 0)
        assert pick == copies[name][used]
        taken[name] = taken.get(name, 0) + 1


def test_tiny_noise_and_copies_stay_finite():
    """50 picks among copies: in exact arithmetic no variance falls below zero."""
    query = units(14, 1, 64)[0]
    candidates = np.repeat(near(query, 15, 4, 0.1), 20, axis=0)
    chosen = sift(candidates, query, 50, noise=1e-9)
    variance = posterior_variance(candidates[chosen], query, 1e-6)
    assert np.isfinite(variance).all() and (np.diff(variance) <= 1e-12).all()
    assert set(chosen[:4].tolist()) == {0, 20, 40, 60}


# --- convex reconstruction -------------------------------------------------------------------


def by_least_squares(candidates: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The convex projection by Lawson and Hanson: non-negative least squares on the cone's section.

    Minimising |A w|² + (sum w - 1)² over w >= 0, with the query as origin, gives the weights up to
    a factor.
    """
    moved = np.vstack([(candidates - query).T, np.ones(len(candidates))])
    weights, _ = nnls(moved, np.append(np.zeros(len(query)), 1.0), maxiter=100_000)
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("rows", "dimension", "spread"), [(5, 8, 0.5), (40, 64, 0.3), (40, 64, 3.0), (200, 24, 0.5)]
)
def test_weights_are_the_convex_projections(rows, dimension, spread):
    query = units(16, 1, dimension)[0]
    candidates = near(query, 17, rows, spread)
    weights = hull_weights(candidates, query, iterations=20_000)
    expected = by_least_squares(candidates, query)
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(weights @ candidates, expected @ candidates, atol=2e-6)
    if rows <= dimension:  # otherwise several combinations may be as near
        np.testing.assert_allclose(weights, expected, atol=1e-5)


def test_weights_of_a_triangle_by_hand():
    """The query's foot on the plane of three axes is at (.6, .3, .1); the fourth is far."""
    query = np.array([0.6, 0.3, 0.1, -5.0])
    weights = hull_weights(np.eye(4), query, iterations=1000)
    np.testing.assert_allclose(weights, [0.6, 0.3, 0.1, 0], atol=1e-6)


def test_a_candidate_can_leave_the_combination():
    """The first is most similar, so it starts there; half-way between the others is nearer."""
    candidates = np.array([[0.85, np.sqrt(1 - 0.85**2), 0], [0.8, 0, 0.6], [0.8, 0, -0.6]])
    query = np.array([0.7, 0.0, 0.0])
    assert np.argmax(candidates @ query) == 0
    weights = hull_weights(candidates, query, iterations=200)
    np.testing.assert_allclose(weights, [0, 0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_what_left_the_combination_has_no_trace_of_weight(seed):
    """The nearest point is on a face, which has at most as many corners as there are dimensions."""
    query = units(seed, 1, 24)[0]
    weights = hull_weights(near(query, 100 + seed, 200, 0.5), 0.7 * query, iterations=20_000)
    assert (weights >= 0).all()
    assert np.count_nonzero(weights) <= 24


def test_the_query_itself_takes_all_weight():
    query = units(18, 1, 16)[0]
    candidates = np.vstack([near(query, 19, 30, 0.2), query])
    assert hull(candidates, query, 6, 200).tolist() == [30] * 6


def test_the_line_search_is_exact():
    """From the first axis towards the second: the foot of the query is reached in one step."""
    weights = hull_weights(np.eye(3), np.array([0.6, 0.4, -1.0]), iterations=1)
    np.testing.assert_allclose(weights, [0.6, 0.4, 0], atol=1e-15)


@pytest.mark.parametrize("support", [1, 2, 10])
def test_no_more_candidates_than_asked_have_weight(support):
    query = units(20, 1, 64)[0]
    weights = hull_weights(near(query, 21, 100, 0.3), query, 200, support)
    assert np.count_nonzero(weights) == support


def test_a_few_picks_are_the_first_candidates_reached():
    """Of two: the most similar, and the one most in the direction of what is then left."""
    query = units(20, 1, 64)[0]
    candidates = near(query, 21, 100, 0.3)
    first = int(np.argmax(candidates @ query))
    second = int(np.argmax(candidates @ (query - candidates[first])))
    assert hull(candidates, query, 1, 200).tolist() == [first]
    assert set(hull(candidates, query, 2, 200).tolist()) == {first, second}
    heaviest = np.argsort(-by_least_squares(candidates, query))[:2]
    assert set(heaviest.tolist()) != {first, second}  # so it matters that it stops


def test_more_iterations_come_nearer():
    query = units(22, 1, 24)[0]
    candidates = near(query, 23, 200, 0.5)
    errors = [
        np.linalg.norm(hull_weights(candidates, query, steps) @ candidates - query)
        for steps in (1, 10, 100)
    ]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize(
    ("weights", "picks", "expected"),
    [
        ([0.5, 0.3, 0.2], 10, [0] * 5 + [1] * 3 + [2] * 2),
        ([0.2, 0.5, 0.3], 10, [1] * 5 + [2] * 3 + [0] * 2),  # heaviest first
        ([0.55, 0.27, 0.18], 4, [0, 0, 1, 2]),  # 2.2, 1.08, 0.72: the last has the most left
        ([0.25] * 4, 6, [0, 0, 1, 1, 2, 3]),  # equal: the first
        ([0.5, 0.25, 0.25], 2, [0, 1]),  # 1, 0.5, 0.5
        ([0.1, 0.6, 0.3], 5, [1, 1, 1, 2, 2]),  # 0.5, 3, 1.5: of equal remainders the heavier
        ([0.0, 1.0], 3, [1, 1, 1]),
    ],
)
def test_weights_become_counts_by_largest_remainder(weights, picks, expected):
    assert multiset(np.array(weights), picks).tolist() == expected


def test_rounding_does_not_decide_between_equal_weights():
    weights = np.array([1 / 3 - 1e-13, 1 / 3, 1 / 3 + 1e-13])
    assert multiset(weights, 4).tolist() == [0, 0, 1, 2]


def test_of_equal_candidates_the_first_has_the_weight():
    query = units(24, 1, 100)[0]
    original = np.random.default_rng(26).permutation(np.repeat(np.arange(30), 3))
    chosen = hull(rounded(near(query, 25, 30, 0.3)[original]), query, 20, 200)
    firsts = {np.flatnonzero(original == name)[0] for name in range(30)}
    assert set(chosen.tolist()) <= firsts
    assert len(chosen) == 20


# --- when to stop ----------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "expected"), [("prefix", [0, 1]), ("filter", [0, 1, 4])])
def test_stop_by_hand(form, expected):
    """With alpha 0.5 the standard deviation may be 2, 1, 2/3, 1/2, 2/5 after 1 to 5 picks."""
    deviations = np.array([0.95, 0.9, 0.7, 0.6, 0.3])
    assert kept(deviations**2, 0.5, form).tolist() == expected


def test_a_deviation_at_the_bound_is_kept():
    assert kept(np.array([1.0, 0.25, 1 / 9]), 1.0, "prefix").tolist() == [0, 1, 2]


@pytest.mark.parametrize("form", ["prefix", "filter"])
def test_all_are_kept_while_the_bound_is_far_and_the_first_always(form):
    query = units(27, 1, 32)[0]
    candidates = near(query, 28, 50, 0.2)
    variance = posterior_variance(candidates, query, 0.1)
    assert len(kept(variance, 1e-3, form)) == 50
    useless = posterior_variance(np.eye(32)[1:], np.eye(32)[0], 0.1)
    assert kept(useless, 1.0, form).tolist() == [0]


def test_variance_below_zero_by_rounding_is_zero():
    assert kept(np.array([1e-3, -1e-17]), 1.0, "prefix").tolist() == [0, 1]


# --- maximal marginal relevance ----------------------------------------------------------------


def mmr(candidates: np.ndarray, query: np.ndarray, picks: int, balance: float) -> list[int]:
    spec = Mmr(kind="mmr", index="flat", picks=picks, balance=balance)
    return choose(spec, np.arange(len(candidates)), candidates, query).tolist()


@pytest.mark.parametrize("balance", [0.0, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_mmr_is_its_definition(balance, seed):
    """arg max of λ sim(d, q) - (1 - λ) max sim(d, picked), one number after the other.

    Vectors in all directions, so that some likenesses are below zero.
    """
    query, candidates = units(seed, 1, 4)[0], units(seed + 10, 12, 4)
    picked: list[int] = []
    for _ in range(12):
        best = {}
        for place in set(range(12)) - set(picked):
            others = [sum(candidates[place] * candidates[j]) for j in picked]
            relevance = sum(candidates[place] * query)
            best[place] = balance * relevance - (1 - balance) * max(others, default=0.0)
        picked.append(max(sorted(best), key=best.get))
    assert mmr(candidates, query, 12, balance) == picked


def test_mmr_passes_over_a_copy_by_hand():
    """λ = ½: after place 0 its copy is worth (0.9 - 1) / 2, place 2 more than (0.6 - 0.2) / 2."""
    query = np.array([1.0, 0.0])
    at = np.arccos([0.9, 0.9, 0.6])
    candidates = np.stack([np.cos(at), np.sin(at) * [1, 1, -1]], axis=1)
    assert candidates[2] @ candidates[0] < 0.2
    assert mmr(candidates, query, 3, 0.5) == [0, 2, 1]
    assert mmr(candidates, query, 3, 1.0) == [0, 1, 2]


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_of_equal_candidates_mmr_picks_the_first(balance):
    query = units(1, 1, 32)[0]
    candidates = rounded(np.repeat(near(query, 2, 10, 0.3), 2, axis=0))
    chosen = mmr(candidates, query, 20, balance)
    assert all(chosen.index(place) < chosen.index(place + 1) for place in range(0, 20, 2))
