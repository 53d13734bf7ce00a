"""Indexes through all four stages: every id survives, and searching finds what there is."""

from __future__ import annotations

import shutil
from pathlib import Path

import faiss
import numpy as np
import pytest
from safetensors.numpy import load_file

from shards import (
    MEMORY_MB,
    brute_force,
    build_index,
    fill_shards,
    index_spec,
    train_index,
    write_shards,
    write_vectors,
)
from tttnn.digests import read_record, write_record
from tttnn.environment import environment
from tttnn.retrieval.faiss_files import guards
from tttnn.retrieval.index import IndexSpec, merge_index, merge_training, train_shard_index
from tttnn.retrieval.indexes.ivf.engine import _without_empty, fill
from tttnn.retrieval.merged import MergedIndex, write_merged
from tttnn.retrieval.vectors import VectorStore, in_share, manifest_of

COUNTS = [[40, 0, 61], [100], [0, 99]]  # chunks without passages are there
D = 16
FACTORIES = [
    *("IVF8,Flat", "IVF8,SQ8", "IVF8,SQfp16", "IVF4,PQ8x4", "OPQ8,IVF4,PQ8x4"),
    *("IVF8,RaBitQ", "IVF8,RaBitQfs"),
]


def spec(factory: str = "IVF8,Flat", **values) -> IndexSpec:
    return index_spec(factory, **values)


def opened(folder: Path, factory: str = "IVF8,Flat") -> MergedIndex:
    return MergedIndex(folder, guards("ivf", factory, D, "some"))


def search(
    folder: Path, factory: str, queries: np.ndarray, k: int, nprobe: int
) -> tuple[np.ndarray, np.ndarray]:
    """By the merged index alone."""
    index = opened(folder, factory).index()
    set_nprobe(index, nprobe)
    return index.search(queries, k)


def set_nprobe(index: faiss.Index, nprobe: int) -> None:
    if isinstance(index, faiss.IndexShards):
        for number in range(index.count()):
            set_nprobe(index.at(number), nprobe)
    else:
        faiss.extract_index_ivf(index).nprobe = nprobe


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
    index = opened(built[factory], factory)
    assert (index.factory, index.rows, index.dimension) == (factory, 300, D)
    _, ids = search(built[factory], factory, shards.vectors[:3], 300, nprobe=8)
    assert (np.sort(ids, axis=1) == shards.ids).all()


def test_a_vector_finds_itself_under_its_own_id(built, shards):
    distances, ids = search(built["IVF8,Flat"], "IVF8,Flat", shards.vectors, 1, nprobe=1)
    assert (ids[:, 0] == shards.ids).all()
    assert distances.max() < 1e-4


def test_with_all_lists_read_the_search_is_exact(built, shards, queries):
    distances, ids = search(built["IVF8,Flat"], "IVF8,Flat", queries, 25, nprobe=8)
    expected_distances, expected_ids = brute_force(queries, shards.vectors, shards.ids, 25)
    assert (ids == expected_ids).all()
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-4)


@pytest.mark.parametrize(
    ("factory", "least"),
    [
        *(("IVF8,SQ8", 0.9), ("IVF8,SQfp16", 0.95), ("IVF4,PQ8x4", 0.4)),
        *(("OPQ8,IVF4,PQ8x4", 0.4), ("IVF8,RaBitQ", 0.3), ("IVF8,RaBitQfs", 0.3)),
    ],
)
def test_codes_find_about_the_same(factory, least, built, shards, queries):
    _, ids = search(built[factory], factory, queries, 20, nprobe=8)
    _, expected = brute_force(queries, shards.vectors, shards.ids, 20)
    found = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(ids, expected, strict=True)])
    assert found >= least  # chance is 0.07


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_shards_together_are_one_index_of_all_vectors(factory, built, shards, queries):
    """As one that faiss fills from the same training with everything, every distance."""
    whole = faiss.read_index(str(built[factory] / "trained.faiss"))
    whole.add_with_ids(shards.vectors, shards.ids)
    set_nprobe(whole, 2)
    expected, _ = whole.search(queries, 20)
    distances, ids = search(built[factory], factory, queries, 20, nprobe=2)
    np.testing.assert_array_equal(distances, expected)
    assert all(set(row) <= {-1, *shards.ids} for row in ids)


def test_fewer_lists_find_less(built, queries):
    exact, *found = (
        search(built["IVF8,Flat"], "IVF8,Flat", queries, 20, nprobe)[1] for nprobe in (8, 1, 2, 8)
    )
    shares = [(ids == exact).mean() for ids in found]
    assert shares[0] < shares[1] < shares[2] == 1


def test_a_merged_index_is_one_folder_that_can_be_moved(shards, queries, tmp_path):
    merged = build_index(tmp_path / "old", spec("IVF8,SQ8"), shards)
    before = search(merged, "IVF8,SQ8", queries, 10, nprobe=3)
    shutil.copytree(merged, tmp_path / "new")
    shutil.rmtree(tmp_path / "old")
    after = search(tmp_path / "new", "IVF8,SQ8", queries, 10, nprobe=3)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_nothing_is_on_the_disk_twice(built):
    """A merged folder has the shards' files themselves; a copy where there are no hard links."""
    for folder in built.values():
        own = [folder.parent / "trained.faiss", *(folder.parent / "shards").iterdir()]
        inodes = {path.stat().st_ino for path in own}
        files = [path for path in folder.iterdir() if path.name != "manifest.json"]
        assert {path.stat().st_ino for path in files} == inodes


def test_where_there_are_no_links_files_are_copied(shards, built, tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    merged = build_index(tmp_path / "index/some", spec(), shards)
    for path in merged.iterdir():
        assert path.stat().st_nlink == 1
        assert path.read_bytes() == (built["IVF8,Flat"] / path.name).read_bytes()


@pytest.mark.parametrize("factory", ["IVF8,Flat", "IVF4,PQ8x4"])
def test_training_again_learns_the_same(factory, shards, tmp_path):
    folders = [tmp_path / name / "index/some" for name in ("one", "two")]
    trained = [train_index(folder, spec(factory), shards) for folder in folders]
    assert trained[0].read_bytes() == trained[1].read_bytes()
    other = train_index(tmp_path / "other/index/some", spec(factory, seed=1), shards)
    assert other.read_bytes() != trained[0].read_bytes()


def test_a_shard_learns_weighted_centroids(shards, tmp_path):
    train_shard_index(spec(sample_per_shard=60), shards.lists[0], tmp_path / "0", MEMORY_MB)
    learnt = load_file(tmp_path / "0")
    assert learnt["centroids"].shape == (8, D)
    assert learnt["weights"].sum() == pytest.approx(101)  # all, of which 60 were looked at
    assert learnt["sample"].shape == (60, D)


def test_codes_learn_from_all_of_a_shard(shards, tmp_path, monkeypatch):
    monkeypatch.setattr("tttnn.retrieval.indexes.ivf.engine.KEPT", 10)
    train_shard_index(spec("IVF8,SQ8"), shards.lists[0], tmp_path / "0", MEMORY_MB)
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


def test_sizes_of_lists_are_those_of_the_nearest_centroids(built, shards):
    for factory in ("IVF8,Flat", "IVF8,RaBitQfs"):
        sizes = opened(built[factory], factory).list_sizes()
        index = faiss.read_index(str(built[factory] / "trained.faiss"))
        centroids = index.quantizer.reconstruct_n(0, index.nlist).astype(float)
        distances = ((shards.vectors[:, None].astype(float) - centroids) ** 2).sum(2)
        counted = np.bincount(distances.argmin(1), minlength=len(centroids))
        assert sizes.tolist() == counted.tolist()


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_shard_that_is_filled_in_pieces_is_the_same_file(factory, shards, tmp_path):
    """With room for a few codes only, byte for byte; packed ones are filled at once."""
    trained = train_index(tmp_path, spec(factory), shards)
    store = VectorStore.of(shards.lists[:1])
    for name, memory in (("little", 8000), ("much", 10**9)):
        fill(spec(factory).index, trained, store, tmp_path / name, tmp_path / "x", memory)
    assert (tmp_path / "little").read_bytes() == (tmp_path / "much").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("little*")) == ["little"]


# --- what must be refused --------------------------------------------------------------------


def test_shards_that_are_not_the_passages_are_an_error(shards, tmp_path):
    trained = train_index(tmp_path, spec(), shards)
    filled = fill_shards(tmp_path, spec(), trained, shards)
    more = write_shards(tmp_path / "more", [[40, 0, 61]], shards.vectors[:101] + 1)
    for lists, files, message in (
        (shards.lists, [filled[1], *filled[1:]], r"01\.faiss is an index of another vectors"),
        ([more.lists[0], *shards.lists[1:]], filled, r"00\.faiss is an index of another vectors"),
    ):
        with pytest.raises(ValueError, match=message):
            merge_index(spec(), trained, files, lists, tmp_path / "merged", MEMORY_MB)
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("fault", ["twice", "stranger", "fewer"])
def test_ids_that_are_not_the_passages_are_an_error(fault, shards, tmp_path, monkeypatch):
    trained = train_index(tmp_path, spec(), shards)
    filled = fill_shards(tmp_path, spec(), trained, shards)

    def ids(path):
        own = shards.ids[:101].copy() if path == filled[0] else shards.ids[:0]
        own[:1] = {"twice": own[1:2], "stranger": -1, "fewer": own[:1]}[fault]
        yield own[: 50 if fault == "fewer" else None]

    monkeypatch.setattr("tttnn.retrieval.indexes.ivf.engine.ids", ids)
    with pytest.raises(
        ValueError, match=r"00\.faiss holds \d+ ids, its passages are 101, .* match"
    ):
        merge_index(spec(), trained, filled, shards.lists, tmp_path / "merged", MEMORY_MB)


def test_an_index_of_another_training_is_an_error(shards, tmp_path):
    filled = [
        fill_shards(tmp_path / str(seed), spec(seed=seed), trained, shards)
        for seed in (0, 1)
        for trained in [train_index(tmp_path / str(seed), spec(seed=seed), shards)]
    ]
    trained = tmp_path / "0/trained.faiss"
    with pytest.raises(ValueError, match=r"01\.faiss is an index of another trained"):
        mixed = [filled[0][0], *filled[1][1:]]
        merge_index(spec(), trained, mixed, shards.lists, tmp_path / "merged", MEMORY_MB)


@pytest.mark.parametrize("name", ["01.faiss", "trained.faiss"])
def test_a_file_cut_short_or_gone_is_named(name, built, tmp_path):
    folder = tmp_path / "merged"
    shutil.copytree(built["IVF8,Flat"], folder)
    file = folder / name
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        ValueError, match=rf"{name} has \d+ bytes, its manifest says {len(content)}"
    ):
        opened(folder)
    file.unlink()
    with pytest.raises(ValueError, match=f"{name} has None bytes"):
        opened(folder)


@pytest.mark.parametrize("looked_at", [256, 1])
def test_lists_of_zeros_are_noticed_before_they_are_searched(
    looked_at, built, tmp_path, monkeypatch
):
    """Also by a drawn block, where a file has more blocks than are looked at."""
    monkeypatch.setattr("tttnn.digests.BLOCK", 1000)
    monkeypatch.setattr("tttnn.retrieval.merged.BLOCK", 1000)
    folder = tmp_path / "index/some/merged"
    shutil.copytree(built["IVF8,Flat"].parent / "shards", folder.parent / "shards")
    shards_files = sorted((folder.parent / "shards").iterdir())
    write_merged(folder, {"kind": "ivf"}, shards_files[0], shards_files[1:], 1)
    monkeypatch.setattr("tttnn.retrieval.merged.LOOKED_AT", looked_at)
    lists = folder / "01.faiss"
    lists.write_bytes(bytes(lists.stat().st_size))
    with pytest.raises(ValueError, match=rf"01\.faiss has SHA-256 .* remove {folder} and run"):
        MergedIndex(folder, {})


@pytest.mark.parametrize(
    ("guard", "value"),
    [
        *(("kind", "hnsw"), ("factory", "IVF9,Flat"), ("metric", "inner product")),
        *(("dimension", 8), ("embedder", "another"), ("faiss", "1.0.0")),
    ],
)
def test_an_index_that_is_not_what_is_wanted_is_named_before_faiss_reads(
    guard, value, built, monkeypatch
):
    monkeypatch.setattr(faiss, "read_index", None)
    expected = guards("ivf", "IVF8,Flat", D, "some") | {guard: value}
    message = rf"manifest\.json is an index of another {guard}: it has .*, '?{value}'? is needed"
    with pytest.raises(ValueError, match=f"{message} here: remove .*merged and run again"):
        MergedIndex(built["IVF8,Flat"], expected)


def test_a_full_disk_is_named_when_pieces_are_joined(shards, tmp_path, monkeypatch):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    trained = train_index(tmp_path, spec(), shards)
    monkeypatch.setattr("os.posix_fallocate", no_room)
    monkeypatch.setattr("tttnn.retrieval.index.room", lambda _: 8000)
    with pytest.raises(OSError, match=r"\d+ bytes are needed .*00\.faiss"):
        fill_shards(tmp_path, spec(), trained, shards)
    assert not list((tmp_path / "shards").iterdir())


def test_an_index_says_with_what_it_was_made(built):
    manifest = read_record(built["IVF8,Flat"] / "manifest.json")
    assert manifest["environments"] == [environment()]


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
    other = write_shards(tmp_path, [[50]], np.random.default_rng(0).random((50, 8), np.float32))
    trained = train_index(tmp_path, spec("IVF4,Flat"), other)
    with pytest.raises(ValueError, match=r"trained\.faiss .* another dimension: it has 8, 16 is"):
        fill_shards(tmp_path, spec("IVF4,Flat"), trained, shards)
    files = [shards.passages[1][0], other.passages[0][0]]
    with pytest.raises(ValueError, match=r"0\.npy has 8 dimensions, the others 16"):
        VectorStore(files, [shards.embeddings[1][0], other.embeddings[0][0]])


def test_vectors_of_another_chunk_are_an_error(shards):
    with pytest.raises(ValueError, match=r"99 passages that are not those of .* same chunk"):
        VectorStore(shards.passages[1], shards.embeddings[2][1:])


def test_a_folder_without_a_manifest_is_no_index(tmp_path):
    with pytest.raises(ValueError, match=r"has no manifest\.json: remove .* run again"):
        MergedIndex(tmp_path, {})


def test_the_manifest_names_every_file_with_its_size(built):
    for folder in built.values():
        manifest = read_record(folder / "manifest.json")
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        sizes.pop("manifest.json")
        assert {name: part["bytes"] for name, part in manifest["parts"].items()} == sizes
        assert manifest["shards"] == ["00.faiss", "01.faiss", "02.faiss"]


# --- the vectors beside the index ------------------------------------------------------------


def test_the_store_gives_vectors_by_id_and_in_blocks(shards):
    store = VectorStore(**shards.files)
    assert len(store) == 300
    assert (store.ids_at(np.arange(300)) == shards.ids).all()
    assert [len(each) for each in store.ranges()] == [40, 61, 100, 99]
    assert store.held(0.5) == in_share(shards.ids, 0.5).sum()
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
    index = opened(build_index(tmp_path, spec(share=1e-6), shards))
    assert index.rows == index.index().ntotal == 0


def test_merging_needs_the_same_dimension_of_all(shards, tmp_path):
    other = write_shards(tmp_path, [[50]], np.zeros((50, 8), np.float32))
    train_shard_index(spec("IVF4,Flat"), shards.lists[0], tmp_path / "a", MEMORY_MB)
    train_shard_index(spec("IVF4,Flat"), other.lists[0], tmp_path / "b", MEMORY_MB)
    learnt = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(ValueError, match="dimension"):
        merge_training(spec("IVF4,Flat"), learnt, tmp_path / "c", MEMORY_MB)


def test_a_list_of_chunks_that_were_made_again_is_an_error(shards, tmp_path):
    other = write_shards(tmp_path, COUNTS, shards.vectors)
    write_vectors(other.embeddings[0][0], other.passages[0][0], shards.vectors[:40] + 1)
    with pytest.raises(ValueError, match=r"0\.npy is not what .*some/00\.json lists: remove"):
        VectorStore.of(other.lists)
    other.embeddings[1][0].unlink()
    with pytest.raises(
        ValueError, match=r"01/0\.npy is missing: .*01/0\.npy and .*01\.json and run"
    ):
        VectorStore.of(other.lists[1:])
