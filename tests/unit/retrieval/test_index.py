"""Indexes through all four stages: every id survives, and searching finds what there is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import faiss
import numpy as np
import pytest
from faiss.contrib.ondisk import merge_ondisk
from safetensors.numpy import load_file

from shards import (
    MADE_WITH,
    brute_force,
    build_index,
    fill_shards,
    index_spec,
    train_index,
    write_shards,
)
from tttnn.digests import read_record, write_record
from tttnn.environment import environment
from tttnn.retrieval.index import (
    IndexSpec,
    MergedIndex,
    merge_index,
    merge_training,
    train_shard_index,
)
from tttnn.retrieval.indexes.ivf.engine import _without_empty
from tttnn.retrieval.vectors import VectorStore, in_share, manifest_of

COUNTS = [[40, 0, 61], [100], [0, 99]]  # chunks without passages are there
D = 16
FACTORIES = ["Flat", "IVF8,Flat", "IVF8,SQ8", "IVF8,SQfp16", "IVF4,PQ8x4"]


def spec(factory: str = "IVF8,Flat", **values) -> IndexSpec:
    return index_spec(factory, **values)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(8, D)) * 3
    vectors = centers[generator.integers(8, size=300)] + generator.normal(size=(300, D))
    return write_shards(tmp_path_factory.mktemp("shards"), COUNTS, vectors.astype(np.float32))


@pytest.fixture(scope="module")
def built(shards, tmp_path_factory):
    return {
        factory: build_index(tmp_path_factory.mktemp("run") / "index/some", spec(factory), shards)
        for factory in FACTORIES
    }


@pytest.fixture(scope="module")
def queries():
    return np.random.default_rng(1).normal(size=(20, D)).astype(np.float32) * 3


@pytest.mark.parametrize("factory", FACTORIES)
def test_every_passage_is_there_once(factory, built, shards):
    index = MergedIndex(built[factory])
    assert (index.factory, index.ntotal, index.dimension) == (factory, 300, D)
    _, ids = index.search(shards.vectors[:3], 300, {"nprobe": 8})
    assert (np.sort(ids, axis=1) == shards.ids).all()


@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat"])
def test_a_vector_finds_itself_under_its_own_id(factory, built, shards):
    distances, ids = MergedIndex(built[factory]).search(shards.vectors, 1, {"nprobe": 1})
    assert (ids[:, 0] == shards.ids).all()
    assert distances.max() < 1e-4


@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat"])
def test_with_all_lists_read_the_search_is_exact(factory, built, shards, queries):
    distances, ids = MergedIndex(built[factory]).search(queries, 25, {"nprobe": 8})
    expected_distances, expected_ids = brute_force(queries, shards.vectors, shards.ids, 25)
    assert (ids == expected_ids).all()
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-4)


@pytest.mark.parametrize(
    ("factory", "least"), [("IVF8,SQ8", 0.9), ("IVF8,SQfp16", 0.95), ("IVF4,PQ8x4", 0.4)]
)
def test_codes_find_about_the_same(factory, least, built, shards, queries):
    _, ids = MergedIndex(built[factory]).search(queries, 20, {"nprobe": 8})
    _, expected = brute_force(queries, shards.vectors, shards.ids, 20)
    found = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(ids, expected, strict=True)])
    assert found >= least  # chance is 0.07


def test_fewer_lists_find_less(built, queries):
    index = MergedIndex(built["IVF8,Flat"])
    exact = index.search(queries, 20, {"nprobe": 8})[1]
    found = [
        (index.search(queries, 20, {"nprobe": nprobe})[1] == exact).mean() for nprobe in (1, 2, 8)
    ]
    assert found[0] < found[1] < found[2] == 1


def test_what_a_probe_does_not_find_is_minus_one(built, shards, queries):
    _, ids = MergedIndex(built["IVF8,Flat"]).search(queries, 300, {"nprobe": 1})
    for row in ids:
        count = (row >= 0).sum()
        assert 0 < count < 300
        assert (row[count:] == -1).all()
        assert set(row[:count]) <= set(shards.ids)


@pytest.mark.parametrize("factory", ["Flat", "IVF8,SQ8"])
def test_a_merged_index_is_one_folder_that_can_be_moved(factory, shards, queries, tmp_path):
    merged = build_index(tmp_path / "old", spec(factory), shards)
    before = MergedIndex(merged).search(queries, 10, {"nprobe": 3})
    shutil.copytree(merged, tmp_path / "new")
    shutil.rmtree(tmp_path / "old")
    after = MergedIndex(tmp_path / "new").search(queries, 10, {"nprobe": 3})
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("factory", ["IVF8,Flat", "IVF4,PQ8x4"])
def test_training_again_learns_the_same(factory, shards, tmp_path):
    folders = [tmp_path / name / "index/some" for name in ("one", "two")]
    trained = [train_index(folder, spec(factory), shards) for folder in folders]
    assert trained[0].read_bytes() == trained[1].read_bytes()
    other = train_index(tmp_path / "other/index/some", spec(factory, seed=1), shards)
    assert other.read_bytes() != trained[0].read_bytes()


def test_a_shard_learns_weighted_centroids(shards, tmp_path):
    files = shards.passages[0], shards.embeddings[0]
    train_shard_index(spec(sample_per_shard=60), *files, tmp_path / "0")
    learnt = load_file(tmp_path / "0")
    assert learnt["centroids"].shape == (8, D)
    assert learnt["weights"].sum() == pytest.approx(101)  # all, of which 60 were looked at
    assert learnt["sample"].shape == (60, D)
    train_shard_index(spec("Flat"), *files, tmp_path / "0")
    assert load_file(tmp_path / "0")["sample"].shape == (0, D)


def test_codes_learn_from_all_of_a_shard(shards, tmp_path, monkeypatch):
    monkeypatch.setattr("tttnn.retrieval.indexes.ivf.engine.KEPT", 10)
    files = shards.passages[0], shards.embeddings[0]
    train_shard_index(spec("IVF8,SQ8"), *files, tmp_path / "0")
    sample = load_file(tmp_path / "0")["sample"]
    own = shards.vectors[:101]
    rows = [int(np.flatnonzero((own == vector).all(axis=1))[0]) for vector in sample]
    assert 5 <= len(rows) <= 10
    assert rows[0] < 20 and rows[-1] > 80


def test_the_merged_quantiser_weighs_a_large_shard_more(tmp_path):
    """Two far clusters, 90 vectors in one shard and 10 in the other: two lists, one for each."""
    vectors = np.concatenate([np.full((90, 4), 100.0), np.full((10, 4), -100.0)])
    vectors += np.random.default_rng(0).normal(size=vectors.shape)
    shards = write_shards(tmp_path, [[90], [10]], vectors.astype(np.float32))
    index = faiss.read_index(str(train_index(tmp_path, spec("IVF2,Flat"), shards)))
    centroids = index.quantizer.reconstruct_n(0, 2)
    expected = np.stack([vectors[90:].mean(0), vectors[:90].mean(0)])
    np.testing.assert_allclose(np.sort(centroids, axis=0), expected, atol=1e-3)


def skewed(seed: int) -> list[np.ndarray]:
    """Shards of unequal size and content: vectors in clusters, a few of which have most."""
    generator = np.random.default_rng(seed)
    clusters = generator.zipf(1.3, size=6000) % 100
    vectors = generator.normal(size=(100, D))[clusters] + 0.3 * generator.normal(size=(6000, D))
    ordered = vectors[np.argsort(clusters, kind="stable")].astype(np.float32)
    return np.split(ordered, [3500, 4800, 5400])


def balance(centroids: np.ndarray, vectors: np.ndarray) -> tuple[float, int]:
    """The imbalance factor and the number of empty lists, every distance worked out."""
    squares = (vectors.astype(float) ** 2).sum(1)[:, None] + (centroids.astype(float) ** 2).sum(1)
    nearest = (squares - 2 * vectors.astype(float) @ centroids.T.astype(float)).argmin(1)
    sizes = np.bincount(nearest, minlength=len(centroids))
    return len(sizes) * (sizes**2).sum() / sizes.sum() ** 2, int((sizes == 0).sum())


def merged_centroids(folder: Path, parts: list[np.ndarray], **values: int) -> np.ndarray:
    shards = write_shards(folder, [[len(part)] for part in parts], np.concatenate(parts))
    index = faiss.read_index(str(train_index(folder, spec("IVF32,Flat", **values), shards)))
    return index.quantizer.reconstruct_n(0, 32)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_merged_lists_are_as_balanced_as_lists_of_all_vectors(seed, tmp_path):
    parts = skewed(seed)
    everything = np.concatenate(parts)
    merged, empty = balance(merged_centroids(tmp_path, parts, seed=seed), everything)
    direct = [faiss.Kmeans(D, 32, seed=other) for other in range(5)]
    for kmeans in direct:
        kmeans.train(everything)
    alone = np.median([balance(kmeans.centroids, everything)[0] for kmeans in direct])
    assert empty == 0
    assert merged <= 1.25 * alone


def test_merged_lists_are_the_same_with_any_number_of_threads(tmp_path):
    found = []
    before = faiss.omp_get_max_threads()
    try:
        for threads in (1, 2, 3):
            faiss.omp_set_num_threads(threads)
            found.append(merged_centroids(tmp_path / str(threads), skewed(3)))
    finally:
        faiss.omp_set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_list_without_vectors_is_put_where_they_are_far_from_theirs():
    sample = np.array([[0, 0], [1, 0], [0, 1], [9, 9]], np.float32)
    centroids = np.array([[0, 0], [50, 50], [40, 40]], np.float32)
    mended = _without_empty(centroids, sample, np.ones(4, np.float32))
    assert balance(mended, sample)[1] == 0
    assert [9, 9] in mended.tolist()
    assert centroids[1].tolist() == [50, 50]  # what was given stays as it was


@pytest.mark.parametrize("factory", FACTORIES)
def test_sizes_of_lists_are_those_of_the_nearest_centroids(factory, built, shards):
    sizes = MergedIndex(built[factory]).list_sizes()
    if factory == "Flat":
        assert sizes is None
        return
    path = str(built[factory] / "index.faiss")
    index = faiss.read_index(path, faiss.IO_FLAG_ONDISK_SAME_DIR)
    centroids = index.quantizer.reconstruct_n(0, index.nlist).astype(float)
    distances = ((shards.vectors[:, None].astype(float) - centroids) ** 2).sum(2)
    counted = np.bincount(distances.argmin(1), minlength=len(centroids))
    assert sizes.tolist() == counted.tolist()


# --- what must be refused --------------------------------------------------------------------


@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat"])
def test_shards_that_are_not_the_passages_are_an_error(factory, shards, tmp_path):
    trained = train_index(tmp_path, spec(factory), shards)
    filled = fill_shards(tmp_path, spec(factory), trained, shards)
    for wrong in (filled[:2], [*filled, filled[0]], [filled[0], filled[0], filled[2]]):
        with pytest.raises(ValueError, match=r"shard indexes in .* do not match one to one"):
            merge_index(spec(factory), trained, wrong, **shards.files, output=tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("factory", "name"),
    [("Flat", "01.faiss"), ("IVF8,Flat", "index.faiss"), ("IVF8,Flat", "lists.ivfdata")],
)
def test_a_file_cut_short_or_gone_is_named(factory, name, built, tmp_path):
    folder = tmp_path / "merged"
    shutil.copytree(built[factory], folder)
    file = folder / name
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        ValueError, match=rf"{name} has \d+ bytes, its manifest says {len(content)}"
    ):
        MergedIndex(folder)
    file.unlink()
    with pytest.raises(ValueError, match=f"{name} has None bytes"):
        MergedIndex(folder)


def test_lists_of_zeros_are_noticed_before_they_are_searched(built, tmp_path):
    folder = tmp_path / "merged"
    shutil.copytree(built["IVF8,Flat"], folder)
    lists = folder / "lists.ivfdata"
    lists.write_bytes(bytes(lists.stat().st_size))
    with pytest.raises(ValueError, match=rf"lists\.ivfdata has SHA-256 .* remove {folder} and run"):
        MergedIndex(folder)


@pytest.mark.parametrize("factory", ["IVF8,Flat", "IVF8,SQ8", "IVF4,PQ8x4"])
def test_lists_on_disk_are_what_faiss_makes_of_them(factory, shards, tmp_path):
    merged = build_index(tmp_path, spec(factory), shards)
    index = faiss.read_index(str(tmp_path / "trained.faiss"))
    filled = [str(path) for path in sorted((tmp_path / "shards").iterdir())]
    merge_ondisk(index, filled, str(tmp_path / "faiss.ivfdata"))
    assert (merged / "lists.ivfdata").read_bytes() == (tmp_path / "faiss.ivfdata").read_bytes()


def test_where_an_index_was_made_is_no_part_of_it(shards, built, tmp_path):
    for factory in ("Flat", "IVF8,Flat"):
        merged = build_index(tmp_path / factory / "index/some", spec(factory), shards)
        for path in merged.iterdir():
            assert path.read_bytes() == (built[factory] / path.name).read_bytes()


def test_a_full_disk_is_named_when_lists_are_merged(shards, tmp_path, monkeypatch):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    trained = train_index(tmp_path, spec(), shards)
    filled = fill_shards(tmp_path, spec(), trained, shards)
    monkeypatch.setattr("os.posix_fallocate", no_room)
    with pytest.raises(OSError, match=r"21600 bytes are needed .*lists\.ivfdata"):
        merge_index(spec(), trained, filled, **shards.files, output=tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_an_index_says_with_what_it_was_made(built):
    manifest = read_record(built["IVF8,Flat"] / "manifest.json")
    assert manifest["environments"] == [environment()]
    assert manifest["embeddings"] == [{"environment": MADE_WITH, "chunks": 6}]


def test_chunks_of_two_embedders_are_an_error(shards, tmp_path):
    other = write_shards(tmp_path, COUNTS, shards.vectors)
    manifest = manifest_of(other.embeddings[1][0])
    write_record(manifest, read_record(manifest) | {"embedder": "another"})
    with pytest.raises(ValueError, match=r"01/0\.npy is of another embedder"):
        VectorStore(**other.files)
    manifest.unlink()
    with pytest.raises(ValueError, match=r"01/0\.json is missing: remove .*01/0\.npy and run"):
        VectorStore(**other.files)


def test_fewer_vectors_than_lists_is_an_error(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(10, D)).astype(np.float32)
    shards = write_shards(tmp_path, [[5], [5]], vectors)
    train_index(tmp_path, spec("IVF10,Flat"), shards)
    with pytest.raises(ValueError, match=r"11 inverted lists, but .* 10 clusters: use fewer lists"):
        train_index(tmp_path, spec("IVF11,Flat"), shards)


@pytest.mark.parametrize(
    ("factory", "reason"), [("IVF4,PQ8", "training points"), ("IVF4,PQ5", "multiple")]
)
def test_codes_that_cannot_be_trained_are_an_error(factory, reason, tmp_path):
    vectors = np.random.default_rng(0).normal(size=(100, D)).astype(np.float32)
    shards = write_shards(tmp_path, [[100]], vectors)
    with pytest.raises(ValueError, match=f"faiss cannot train {factory}: .*{reason}"):
        train_index(tmp_path, spec(factory), shards)
    assert not (tmp_path / "trained.faiss").exists()


def test_vectors_of_two_embedders_are_an_error(shards, tmp_path):
    other = write_shards(tmp_path, [[50]], np.zeros((50, 8), np.float32))
    trained = train_index(tmp_path, spec("Flat"), other)
    with pytest.raises(ValueError, match="is for 8 dimensions, not 16"):
        fill_shards(tmp_path, spec("Flat"), trained, shards)
    files = [shards.passages[1][0], other.passages[0][0]]
    with pytest.raises(ValueError, match=r"0\.npy has 8 dimensions, the others 16"):
        VectorStore(files, [shards.embeddings[1][0], other.embeddings[0][0]])


def test_vectors_of_another_chunk_are_an_error(shards):
    with pytest.raises(ValueError, match=r"99 passages that are not those of .* same chunk"):
        VectorStore(shards.passages[1], shards.embeddings[2][1:])


def test_a_folder_without_a_manifest_is_no_index(tmp_path):
    with pytest.raises(ValueError, match=r"has no manifest\.json: remove .* run again"):
        MergedIndex(tmp_path)


def test_the_manifest_names_every_file_with_its_size(built):
    for folder in built.values():
        manifest = json.loads((folder / "manifest.json").read_text())
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        sizes.pop("manifest.json")
        assert manifest["bytes"] == sizes
        assert set(manifest["indexes"]) <= sizes.keys()


# --- the vectors beside the index ------------------------------------------------------------


def test_the_store_gives_vectors_by_id_and_in_blocks(shards):
    store = VectorStore(**shards.files)
    assert len(store) == 300
    assert (store.ids() == shards.ids).all()
    blocks = list(store.blocks(rows=33))
    assert all(len(ids) == len(vectors) <= 33 for ids, vectors in blocks)
    assert (np.concatenate([ids for ids, _ in blocks]) == shards.ids).all()
    assert (np.concatenate([vectors for _, vectors in blocks]) == shards.vectors).all()
    places = np.random.default_rng(0).integers(300, size=(7, 5))
    fetched = store.fetch(shards.ids[places])
    assert fetched.dtype == np.float64
    assert (fetched == shards.vectors[places]).all()
    assert store.fetch(np.empty((0, 5), np.int64)).shape == (0, 5, D)


@pytest.mark.parametrize("stranger", [-1, 101, 2**40 + 100, 2**41 + 99, 2**42])
def test_the_store_refuses_an_id_it_does_not_have(stranger, shards):
    with pytest.raises(ValueError, match=f"passage {stranger} is in no chunk"):
        VectorStore(**shards.files).fetch(np.array([[0, stranger]]))


def test_a_sample_is_without_repeats_and_of_all_chunks(shards):
    store = VectorStore(**shards.files)
    everything = store.sample(1000, np.random.default_rng(0))
    assert (everything == shards.vectors).all()
    some = store.sample(150, np.random.default_rng(0))
    rows = [int(np.flatnonzero((shards.vectors == vector).all(axis=1))[0]) for vector in some]
    assert len(set(rows)) == 150
    assert min(np.histogram(rows, bins=[0, 101, 201, 300])[0]) > 25
    assert (some == store.sample(150, np.random.default_rng(0))).all()


def test_shares_are_nested_and_as_large_as_asked():
    ids = np.concatenate([np.arange(10_000), (3 << 40) + np.arange(10_000)])
    tenth, half = in_share(ids, 0.1), in_share(ids, 0.5)
    assert not (tenth & ~half).any()
    assert tenth.mean() == pytest.approx(0.1, abs=0.01)
    assert half[:10_000].mean() == pytest.approx(half[10_000:].mean(), abs=0.03)
    assert in_share(ids, 1.0).all()


def test_a_shard_may_have_none_of_a_small_share(shards, tmp_path):
    index = MergedIndex(build_index(tmp_path, spec("Flat", share=1e-6), shards))
    assert index.ntotal == 0


def test_merging_needs_the_same_dimension_of_all(shards, tmp_path):
    other = write_shards(tmp_path, [[50]], np.zeros((50, 8), np.float32))
    train_shard_index(spec("IVF4,Flat"), *shards.files.values(), tmp_path / "a")
    train_shard_index(spec("IVF4,Flat"), *other.files.values(), tmp_path / "b")
    with pytest.raises(ValueError, match="dimension"):
        merge_training(spec("IVF4,Flat"), [tmp_path / "a", tmp_path / "b"], tmp_path / "c")
