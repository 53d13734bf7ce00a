"""Vectors that faiss wrote are searched where they lie, and only if they are the passages'."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import faiss
import numpy as np
import pytest
import yaml

from shards import (
    MEMORY_MB,
    Shards,
    brute_force,
    build_index,
    index_spec,
    search,
    searched,
    write_passages,
    write_queries,
)
from tiny import save_encoder
from tttnn.digests import BLOCK, DamagedError, write_record
from tttnn.files import sha256
from tttnn.live.shard import OpenShard
from tttnn.live.shard import Run as LiveRun
from tttnn.models.folder import load_encoder
from tttnn.retrieval.adopt import adopt_embeddings
from tttnn.retrieval.control import RandomSpec, draw_random
from tttnn.retrieval.embed import embed_texts
from tttnn.retrieval.published import HEADER, check_opened, digests, read_header
from tttnn.retrieval.recall import RecallSpec, measure_recall
from tttnn.retrieval.tensors import save_tensors
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.embed import Embed
from tttnn.sections.embeddings import Adopt
from tttnn.tables import read_table

ROOT = Path(__file__).parents[3]
SPEC = Adopt(embed=Embed(max_tokens=32, batch_tokens=2048), sample=16, tolerance=0.2)
CHUNKS = [[40, 0, 37], [61, 5, 11]]  # passages, of two shards
D = 32


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def made(encoder) -> list[tuple[list[str], np.ndarray]]:
    """Of each shard its lines, and their vectors."""
    letters = np.random.default_rng(5)
    shards = []
    for chunks in CHUNKS:
        texts = [bytes(letters.integers(97, 123, 24)).decode() for _ in range(sum(chunks))]
        vectors = embed_texts(*load_encoder(encoder), texts, SPEC.embed)
        shards.append((texts, vectors))
    return shards


class Run:
    """A run's passages and models, and a folder of published files."""

    def __init__(self, folder: Path, encoder: Path, made, left_out: dict[int, list[int]]) -> None:
        self.folder, self.run = folder, folder / "results/live"
        self.published = folder / "published"
        self.published.mkdir()
        self.model = shutil.copytree(encoder, self.run / "models/some")
        self.lines = [vectors for _, vectors in made]
        self.left_out = left_out
        self.ids, self.kept = [], []
        for shard, (texts, vectors) in enumerate(made):
            lines = [line for line in range(len(texts)) if line not in left_out.get(shard, [])]
            self._write_corpus(f"{shard:02d}", left_out.get(shard, []))
            row = 0
            for chunk, count in enumerate(CHUNKS[shard]):
                own = lines[row : row + count]
                ids = [shard * 2**40 + row + place for place in range(len(own))]
                path = self.run / f"passages/{shard:02d}/{chunk}.parquet"
                write_passages(path, ids, [texts[line] for line in own])
                self.ids += ids
                self.kept += [vectors[line] for line in own]
                row += len(own)
            self.write(shard, vectors)

    def _write_corpus(self, shard: str, left_out: list[int]) -> None:
        (self.run / "corpus").mkdir(parents=True, exist_ok=True)
        counts = {"empty text": len(left_out)} if left_out else {}
        write_record(self.run / f"corpus/{shard}.json", {"rejected": counts})
        listed = "".join(json.dumps({"line": line + 1}) + "\n" for line in left_out)
        (self.run / f"corpus/{shard}.rejected.jsonl").write_text(listed)

    def file(self, shard: int) -> Path:
        return self.published / f"{shard:02d}.jsonl.index"

    def write(self, shard: int, vectors, index: faiss.Index | None = None) -> None:
        index = index or faiss.IndexFlatL2(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, np.float32))
        faiss.write_index(index, str(self.file(shard)))

    def adopt(self, shard: int = 0, spec: Adopt = SPEC) -> Path:
        name = f"{shard:02d}"
        output = self.run / f"embeddings/some/{name}.json"
        passages = [self.run / f"passages/{name}/{chunk}.parquet" for chunk in range(3)]
        manifest = self.run / f"corpus/{name}.json"
        rejected = self.run / f"corpus/{name}.rejected.jsonl"
        adopt_embeddings(spec, self.file(shard), passages, manifest, rejected, self.model, output)
        return output

    def refused(self, shard: int = 0) -> str:
        """The line that it is refused with; nothing is written."""
        with pytest.raises(DamagedError) as caught:
            self.adopt(shard)
        assert not (self.run / f"embeddings/some/{shard:02d}.json").exists()
        assert str(self.file(shard)) in str(caught.value) and "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def run(tmp_path, encoder, made):
    return Run(tmp_path, encoder, made, {})


# --- good ones ---------------------------------------------------------------------------------


@pytest.mark.parametrize("left_out", [{}, {0: [0, 3, 4, 50], 1: [76]}], ids=["all", "left out"])
def test_vectors_are_those_of_the_passages_lines(tmp_path, encoder, made, left_out):
    run = Run(tmp_path, encoder, made, left_out)
    store = VectorStore.of([run.adopt(0), run.adopt(1)])
    assert store.embedder == sha256(run.model / "manifest.json")
    ids, kept = np.array(run.ids), np.array(run.kept)
    assert len(store) == len(ids) == sum(map(sum, CHUNKS)) - sum(map(len, left_out.values()))
    blocks = list(store.blocks(10, as_stored=True))
    np.testing.assert_array_equal(np.concatenate([each for each, _ in blocks]), ids)
    np.testing.assert_array_equal(np.concatenate([each for _, each in blocks]), kept)
    assert all(each.flags.aligned and each.dtype == np.float32 for _, each in blocks)
    some = np.random.default_rng(0).permutation(len(ids))[:50]
    np.testing.assert_array_equal(store.fetch(ids[some]), kept[some].astype(np.float64))


@pytest.mark.parametrize("left_out", [{}, {0: [7, 41], 1: [0]}], ids=["all", "left out"])
def test_exact_search_random_and_recall_work_on_them(tmp_path, encoder, made, left_out):
    run = Run(tmp_path, encoder, made, left_out)
    lists = [run.adopt(0), run.adopt(1)]
    before = {path: path.stat().st_mtime_ns for path in run.published.iterdir()}
    asked = np.random.default_rng(1).normal(size=(9, D)).astype(np.float32)
    asked[3] = run.kept[70]
    numbers = np.arange(9)
    vectors = tmp_path / "queries.safetensors"
    said = {"embedder": sha256(run.model / "manifest.json"), "environments": []}
    save_tensors(vectors, {"query_id": numbers, "vectors": asked}, said)
    queries = [write_queries(tmp_path / "queries/0.parquet", numbers.tolist())]
    near = [tmp_path / "near/0.parquet"]
    search(tmp_path / "found", index_spec(), lists, queries, vectors, near, k=6)
    distances, ids = brute_force(asked, np.array(run.kept), np.array(run.ids), 6)
    table = read_table(near[0])
    np.testing.assert_array_equal(table["passage_id"].to_numpy().reshape(9, 6), ids)
    found = table["distance"].to_numpy().reshape(9, 6)
    np.testing.assert_allclose(found, distances, rtol=1e-14)
    recall, found = tmp_path / "recall.csv", {"queries": queries, "vectors": vectors}
    measure_recall(
        RecallSpec(queries=9, at=[5], **searched(index_spec())), embeddings=lists, index=[],
        name="flat", candidates=near, output=recall, made=tmp_path / "made.json",
        rates=tmp_path / "rates.csv", memory_mb=MEMORY_MB, **found,
    )  # fmt: skip
    assert recall.read_text().splitlines()[1].startswith("flat,Flat,5,1.0,9,")
    far = [tmp_path / "far/0.parquet"]
    draw_random(
        RandomSpec(candidates=5, seed=0), embeddings=lists, outputs=far, memory_mb=MEMORY_MB,
        **found,
    )  # fmt: skip
    at = [run.ids.index(each) for each in read_table(far[0])["passage_id"].to_pylist()[:5]]
    expected = ((np.array(run.kept)[at].astype(np.float64) - asked[0]) ** 2).sum(1)
    np.testing.assert_allclose(read_table(far[0])["distance"].to_numpy()[:5], expected)
    assert before == {path: path.stat().st_mtime_ns for path in run.published.iterdir()}


def test_an_index_that_learns_is_built_of_them(run):
    lists = [run.adopt(0), run.adopt(1)]
    shards = Shards([], [], lists, np.array(run.ids), np.array(run.kept))
    merged = build_index(run.folder / "ivf", index_spec("IVF4,Flat"), shards)
    vectors, asked = run.folder / "queries.safetensors", np.array(run.kept[60:65])
    said = {"embedder": sha256(run.model / "manifest.json"), "environments": []}
    save_tensors(vectors, {"query_id": np.arange(5), "vectors": asked}, said)
    queries = [write_queries(run.folder / "queries/0.parquet", [*range(5)])]
    near = search(
        run.folder / "found", index_spec("IVF4,Flat"), lists, queries, vectors,
        [run.folder / "near/0.parquet"], k=3, merged=merged, nprobe=4,
    )  # fmt: skip
    found = read_table(near[0])["passage_id"].to_numpy().reshape(5, 3)
    np.testing.assert_array_equal(found, brute_force(asked, shards.vectors, shards.ids, 3)[1])


def test_what_another_machine_rounds_is_no_other_vector(run, made):
    """Bfloat16 keeps eight bits; float16 more."""
    vectors = made[0][1]
    run.write(0, vectors.astype(np.float16))
    run.adopt()
    run.write(0, vectors * (1 + np.random.default_rng(0).normal(0, 2**-9, vectors.shape)))
    run.adopt()


def test_an_empty_shard_has_an_empty_file(tmp_path, encoder, made):
    empty = [([], np.empty((0, D), np.float32)), made[1]]
    run = Run(tmp_path, encoder, empty, {})
    assert len(VectorStore.of([run.adopt(0), run.adopt(1)])) == sum(CHUNKS[1])


# --- files that are refused before a vector is read ----------------------------------------------


def test_a_file_that_is_cut_is_told_from_whole_ones(run):
    whole = run.file(0).read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, HEADER.size):
        run.file(0).write_bytes(whole[:size])
        assert f"has {size} bytes" in run.refused() and "it is cut" in run.refused()
    for size in (HEADER.size - 1, 5):
        run.file(0).write_bytes(whole[:size])
        assert f"ends within its header, after {size} bytes" in run.refused()
    run.file(0).write_bytes(b"")
    assert "is no index of faiss" in run.refused()
    run.file(0).write_bytes(whole + b"x")
    assert "something follows them" in run.refused()
    run.file(0).unlink()
    assert "is missing" in run.refused()


def test_another_metric_or_type_is_named(run, made):
    vectors = made[0][1]
    run.write(0, vectors, faiss.IndexFlatIP(D))
    assert "inner products (IndexFlatIP)" in run.refused()
    run.write(0, vectors, faiss.IndexFlat(D, faiss.METRIC_L1))
    assert "a flat index of another metric" in run.refused()
    trained = faiss.index_factory(D, "IVF2,Flat")
    trained.train(vectors)
    run.write(0, vectors, trained)
    assert "an index of another type (faiss calls it b'IwFl')" in run.refused()
    run.write(0, vectors, faiss.IndexScalarQuantizer(D, faiss.ScalarQuantizer.QT_fp16))
    assert "another type" in run.refused()
    run.file(0).write_bytes(b"<!doctype html>" * 100)
    assert "is no index of faiss" in run.refused()


def test_a_header_that_lies_is_found_out(run):
    whole = run.file(0).read_bytes()
    fields = list(HEADER.unpack(whole[: HEADER.size]))
    for place, value, said in (
        (1, 0, "cannot be"),
        (1, -D, "cannot be"),
        (2, 2**62, "cannot be"),
        (5, 0, "not trained"),
        (6, 0, "metric 0"),
        (7, 2**40, "cannot be"),
    ):
        changed = [*fields[:place], value, *fields[place + 1 :]]
        run.file(0).write_bytes(HEADER.pack(*changed) + whole[HEADER.size :])
        assert said in run.refused()
    # twice as many dimensions, half the rows: as many numbers
    rows, twice = 76 // 2, 2 * D
    run.file(0).write_bytes(
        HEADER.pack(b"IxF2", twice, rows, 0, 0, 1, 1, rows * twice) + b"\0" * (4 * rows * twice)
    )
    assert "has 38 vectors, its shard 77 passages" in run.refused()


def test_faiss_itself_writes_the_header_that_is_read(tmp_path):
    index = faiss.IndexFlatL2(7)
    index.add(np.ones((3, 7), np.float32))
    faiss.write_index(index, str(tmp_path / "x"))
    assert read_header(tmp_path / "x") == (3, 7)


# --- whole files of something else -------------------------------------------------------------


def test_another_dimension_is_another_embedder(run, made):
    run.write(0, np.tile(made[0][1], 2))
    assert "vectors of 64 dimensions" in run.refused() and "makes 32" in run.refused()


def test_another_number_of_rows_is_another_corpus(run, made):
    run.write(0, made[0][1][:-1])
    assert "has 76 vectors, its shard 77 passages: a vector is" in run.refused()
    run.write(0, made[0][1][:0])
    assert "has 0 vectors" in run.refused()


def test_records_that_were_left_out_are_counted(tmp_path, encoder, made):
    run = Run(tmp_path, encoder, made, {0: [2, 5]})
    run.write(0, np.delete(made[0][1], [2, 5], axis=0))
    assert "has 75 vectors, its shard 75 passages and 2 left out:" in run.refused()


@pytest.mark.parametrize("by", [1, -1, 3])
def test_rows_that_are_shifted_are_said_to_be(by, run, made):
    run.write(0, np.roll(made[0][1], by, axis=0))
    side = "later" if by > 0 else "earlier"
    said = run.refused()
    assert "in row 0 " in said
    assert f"shifted by {abs(by)}: a passage's vector stands that many rows {side}" in said


def test_rows_that_are_shifted_from_some_row_on_are_found(run, made):
    """A vector too many in the middle, and the last one gone."""
    vectors = made[0][1]
    run.write(0, np.concatenate([vectors[:50], vectors[49:-1]]))
    said = run.refused()
    assert "of 16 passages" in said and "shifted by 1: a passage's vector stands that many" in said
    row = int(said.partition("in row ")[2].split()[0])
    assert row >= 50


def test_files_that_took_each_other_s_names_are_named(run):
    first, second = (run.file(shard).read_bytes() for shard in (0, 1))
    assert len(first) == len(second)
    run.file(0).write_bytes(second)
    run.file(1).write_bytes(first)
    assert f"of another shard, and {run.file(1)} is this one's" in run.refused(0)
    assert f"of another shard, and {run.file(0)} is this one's" in run.refused(1)


def test_vectors_of_something_else_are_refused(run, made):
    vectors = made[0][1]
    run.write(0, made[1][1])
    run.file(1).unlink()
    assert "of 16 passages that were embedded again 16 have another vector" in run.refused()
    run.write(0, vectors[:, ::-1])
    assert "another shard, or of another embedder" in run.refused()
    run.write(0, np.full_like(vectors, np.nan))
    assert "(nan of the distance" in run.refused()
    # as near as encoders' vectors are to one another: all point one way
    run.write(0, np.broadcast_to(vectors.mean(0), vectors.shape))
    assert "have another vector" in run.refused()


# --- asked live ----------------------------------------------------------------------------------


def live(run: Run) -> LiveRun:
    """The run as a live search opens it."""
    values = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    values["corpus"]["shards"], values["chunk"]["chunks_per_shard"] = len(CHUNKS), 3
    values["models"]["some"] = {"kind": "local", "path": "some"}
    values["indexes"]["flat"]["embedder"] = "some"
    values["search"]["indexes"] = ["flat"]
    values["embeddings"]["published"] = {"some": str(run.published)}
    (run.run / "config.json").write_text(json.dumps(values), encoding="utf-8")
    return LiveRun(run.folder / "results/live")


def test_a_server_answers_from_them(run):
    with pytest.raises(ValueError, match=r"00\.json is missing: run the workflow"):
        live(run).build()
    for shard in (0, 1):
        run.adopt(shard)
    build, asked = live(run).build(), np.array(run.kept[5:8])
    assert build.dimension == D and build.embedder == sha256(run.model / "manifest.json")
    distances, ids = OpenShard(live(run), "00").search(asked, 4)
    expected = brute_force(asked, np.array(run.kept[:77]), np.array(run.ids[:77]), 4)
    np.testing.assert_array_equal(ids, expected[1])
    np.testing.assert_allclose(distances, expected[0], rtol=1e-14)


def test_a_server_compares_all_of_a_file(run, made):
    run.adopt()
    whole = bytearray(run.file(0).read_bytes())
    whole[-1] ^= 1
    run.file(0).write_bytes(whole)
    with pytest.raises(DamagedError, match=r"00\.jsonl\.index has SHA-256"):
        OpenShard(live(run), "00")


# --- after it was adopted ----------------------------------------------------------------------


def test_a_file_that_changed_since_is_not_opened(run, made):
    listed = run.adopt()
    whole = run.file(0).read_bytes()
    for content in (
        whole[:-4],
        whole[:-1] + bytes([whole[-1] ^ 1]),
        HEADER.pack(b"IxF2", D, 0, 0, 0, 1, 1, 0),
    ):
        run.file(0).write_bytes(content)
        with pytest.raises(DamagedError, match=r"00\.jsonl\.index (has|had) ") as caught:
            VectorStore.of([listed])
        assert "copy it again" in str(caught.value)
    run.file(0).write_bytes(whole)
    assert len(VectorStore.of([listed])) == 77
    passages = run.run / "passages/00/0.parquet"
    shutil.copyfile(run.run / "passages/00/2.parquet", passages)
    with pytest.raises(DamagedError, match="parquet"):
        VectorStore.of([listed])


def test_the_first_and_the_last_block_are_always_compared(tmp_path):
    rows = (6 * BLOCK) // (4 * D)
    path = tmp_path / "large.index"
    with path.open("wb") as file:
        file.write(HEADER.pack(b"IxF2", D, rows, 0, 0, 1, 1, rows * D))
        file.truncate(HEADER.size + 4 * D * rows)
    said = digests(path)
    assert said["sha256"] == sha256(path) and len(said["blocks"]) == 7
    check_opened(path, said, "again")
    for place in (HEADER.size, path.stat().st_size - 1):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\1")
        with pytest.raises(DamagedError, match="16 MiB from byte"):
            check_opened(path, said, "again")
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\0")
