"""Every passage is of the cluster whose centroid is nearest, and a cluster's draw is of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shards import MEMORY_MB, Shards, write_shards
from tttnn.digests import DamagedError, read_record
from tttnn.methods.experts import needs
from tttnn.retrieval import clusters as stage
from tttnn.retrieval.clusters import (
    Clusters,
    bisected,
    cluster_passages,
    keys_of,
    read_clusters,
)
from tttnn.sections.experts import Clustering

COUNTS = [[40, 30], [0, 50]]
GROUPS = 4
D = 8


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Shards:
    """120 vectors around four directions, of many lengths, far from the origin on one side."""
    generator = np.random.default_rng(3)
    around = np.eye(D)[generator.integers(GROUPS, size=120)]
    vectors = (around + 0.15 * generator.normal(size=(120, D))) * generator.uniform(1, 5, (120, 1))
    return write_shards(tmp_path_factory.mktemp("shards"), COUNTS, (vectors + 0.3).astype("f4"))


def clustered(shards: Shards, folder: Path, memory_mb: int = MEMORY_MB, **spec) -> Clusters:
    spec = Clustering(**{"clusters": GROUPS, "passages": 1000, "sample": 1000} | spec)
    cluster_passages(spec, shards.lists, folder / "c.safetensors", folder / "c.json", memory_mb)
    return read_clusters(folder / "c.safetensors")


def nearest(shards: Shards, found: Clusters) -> list[int]:
    """The cluster of each passage, one product at a time."""
    labels = []
    for vector in shards.vectors.astype(float) - found.center:
        cosines = [vector @ c / np.linalg.norm(vector) for c in found.centroids.astype(float)]
        labels.append(cosines.index(max(cosines)))
    return labels


@pytest.mark.parametrize("center", [False, True])
def test_a_passage_is_of_the_cluster_of_the_nearest_centroid(shards, tmp_path, center):
    found = clustered(shards, tmp_path, center=center)
    labels = np.array(nearest(shards, found))
    expected = shards.vectors.mean(axis=0, dtype=float) if center else np.zeros(D)
    np.testing.assert_allclose(found.center, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-6)
    for cluster in range(GROUPS):
        assert found.drawn(cluster).tolist() == shards.ids[labels == cluster].tolist()
    assert found.sizes.tolist() == np.bincount(labels).tolist()
    assert read_record(tmp_path / "c.json")["sizes"] == found.sizes.tolist()
    assert found.embedder == "some"


def test_well_parted_groups_are_the_clusters():
    generator = np.random.default_rng(0)
    truth = generator.integers(5, size=200)
    vectors = np.eye(16)[truth] + 0.02 * generator.normal(size=(200, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("f4")
    labels = bisected(vectors, 5, seed=1)
    pairs = set(zip(truth.tolist(), labels.tolist(), strict=True))
    assert len(pairs) == 5
    assert {label for _, label in pairs} == set(range(5))


def test_a_draw_is_of_its_own_cluster_without_repeats_and_follows_the_seed(shards, tmp_path):
    every = clustered(shards, tmp_path)
    some = clustered(shards, tmp_path, passages=7)
    for cluster in range(GROUPS):
        drawn = some.drawn(cluster).tolist()
        assert len(set(drawn)) == len(drawn) == 7
        assert set(drawn) <= set(every.drawn(cluster).tolist())
    again = clustered(shards, tmp_path, passages=7)
    assert again.passages.tolist() == some.passages.tolist()
    # another seed learns from the same sample, which is everything, and draws others
    other = clustered(shards, tmp_path, passages=7, seed=5)
    assert other.passages.tolist() != some.passages.tolist()


def test_every_passage_of_a_cluster_is_as_likely_to_be_drawn():
    counts = np.zeros(20)
    for seed in range(400):
        drawn = stage._Drawn(1, 5)
        for first in (0, 10):
            ids = np.arange(first, first + 10)
            drawn.add(0, keys_of(ids, seed), ids)
        counts[drawn.ids()[0]] += 1
    assert counts.sum() == 2000
    assert abs(counts - 100).max() < 4.5 * np.sqrt(400 * 0.25 * 0.75)


def test_a_key_is_of_an_id_and_a_seed_alone():
    ids = np.array([0, 5, 2**40 + 3])
    assert keys_of(ids[1:], 7).tolist() == keys_of(ids, 7).tolist()[1:]
    both = [*keys_of(np.arange(1000), 7).tolist(), *keys_of(np.arange(1000), 8).tolist()]
    assert len(set(both)) == 2000


def test_centroids_are_learnt_from_a_sample_and_all_passages_are_dealt(shards, tmp_path):
    found = clustered(shards, tmp_path, sample=30)
    assert found.sizes.sum() == len(shards.ids)
    labels = np.array(nearest(shards, found))
    assert found.sizes.tolist() == np.bincount(labels, minlength=GROUPS).tolist()


def test_passages_that_cannot_be_told_apart_are_refused(tmp_path):
    shards = write_shards(tmp_path, [[9]], np.ones((9, D), np.float32))
    with pytest.raises(ValueError, match="cannot be told apart: lower the experts' clusters"):
        clustered(shards, tmp_path)


def test_a_vector_without_direction_is_named(tmp_path):
    vectors = np.eye(D, dtype=np.float32)
    vectors[5] = 0
    shards = write_shards(tmp_path, [[D]], vectors)
    with pytest.raises(ValueError, match=r"passage 5 has no direction"):
        clustered(shards, tmp_path, clusters=2)


def test_a_sample_without_room_is_refused(shards, tmp_path):
    with pytest.raises(ValueError, match="raise memory_mb, or lower the experts' sample"):
        clustered(shards, tmp_path, memory_mb=1000, passages=10**8)


def test_a_damaged_file_is_noticed(shards, tmp_path):
    clustered(shards, tmp_path)
    path = tmp_path / "c.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError):
        read_clusters(path)


def test_the_plan_knows_what_is_held():
    assert (needs.HELD, needs.DRAWN) == (stage.HELD, stage.DRAWN)
