"""The bootstrap against a plain loop, a closed form, and its own promises."""

import math

import numpy as np
import pytest

from tttnn.scores.bootstrap import BLOCK, Estimate, resample_counts, weighted_mean


def estimate(samples, documents=10, **values):
    samples = np.asarray(samples, dtype=float)
    return Estimate(np.array([0]), samples.mean(axis=0), samples, documents, **values)


def test_a_resample_draws_as_many_documents_as_there_are():
    counts = resample_counts(7, 50, 1, "pile_arxiv")
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert (counts >= 0).all()
    assert len({tuple(row) for row in counts}) > 40


def test_counts_give_the_sums_that_a_loop_over_drawn_documents_gives():
    values = np.random.default_rng(0).normal(size=9)
    for row, total in zip(
        counts := resample_counts(9, 20, 3, "pile_enron"), counts @ values, strict=True
    ):
        drawn = [document for document, times in enumerate(row) for _ in range(int(times))]
        assert total == pytest.approx(math.fsum(values[document] for document in drawn), abs=1e-12)


def test_the_same_task_has_the_same_resamples_and_another_has_others():
    first = resample_counts(40, 30, 5, "pile_arxiv").copy()
    resample_counts.cache_clear()
    assert np.array_equal(first, resample_counts(40, 30, 5, "pile_arxiv"))
    assert not np.array_equal(first, resample_counts(40, 30, 5, "pile_github"))
    assert not np.array_equal(first, resample_counts(40, 30, 6, "pile_arxiv"))


def test_blocks_cover_every_resample():
    documents = BLOCK // 3  # three resamples a block, and a shorter last block
    counts = resample_counts.__wrapped__(documents, 4, 0, "pile_arxiv")
    assert (counts.sum(axis=1) == documents).all()


def test_interval_of_a_mean_has_the_width_that_the_normal_distribution_says():
    n = 2000
    values = np.random.default_rng(4).exponential(size=n)
    samples = (resample_counts(n, 4000, 0, "pile_arxiv") @ values / n)[:, None]
    (low,), (high,) = estimate(samples, n).interval(0.95)
    error = values.std() / math.sqrt(n)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(8)
    counts = resample_counts(60, 400, 2, "pile_arxiv")
    covered = 0
    for _ in range(400):
        samples = (counts @ generator.normal(3, 1, 60) / 60)[:, None]
        (low,), (high,) = estimate(samples, 60).interval(0.9)
        covered += low <= 3 <= high
    assert 0.84 < covered / 400 < 0.95


def test_interval_is_of_percentiles():
    samples = np.arange(1, 102, dtype=float)[:, None]  # 1 to 101: the p-th percentile is 1 + p
    (low,), (high,) = estimate(samples).interval(0.9)
    assert (low, high) == (pytest.approx(6), pytest.approx(96))


def test_one_document_has_no_interval():
    low, high = estimate([[2.0, 3.0]] * 5, documents=1, spread=False).interval(0.95)
    assert np.isnan(low).all() and np.isnan(high).all() and low.shape == (2,)


def test_weighted_mean_is_stratified():
    generator = np.random.default_rng(1)
    parts = [estimate(generator.normal(size=(3000, 1))) for _ in range(2)]
    mean = weighted_mean([(0.8, parts[0]), (0.2, parts[1])])
    assert mean.value == pytest.approx(0.8 * parts[0].value + 0.2 * parts[1].value)
    assert (mean.documents, mean.tasks, mean.spread) == (20, 2, True)
    # independent tasks: variances add by squared weights
    assert mean.samples.std() == pytest.approx(math.sqrt(0.8**2 + 0.2**2), rel=0.05)


def test_weighted_mean_of_single_documents_has_no_interval():
    single = estimate([[1.0]] * 3, documents=1, spread=False)
    assert not weighted_mean([(0.5, single), (0.5, single)]).spread
    assert weighted_mean([(0.5, single), (0.5, estimate([[1.0], [2.0], [3.0]]))]).spread
