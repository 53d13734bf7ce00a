"""What travels arrives as it was sent, and whatever else arrives is refused by name."""

from __future__ import annotations

import json
import os
import random
import time

import numpy as np
import pyarrow as pa
import pytest

from tttnn.live.frames import KEY
from tttnn.live.limits import Limits, Refused
from tttnn.live.messages import (
    read_found,
    read_ids,
    read_search,
    read_texts,
    search_answer,
    search_request,
    texts_answer,
    texts_request,
)

SECONDS = float(os.environ.get("TTTNN_FUZZ_SECONDS", "15"))
SEED = int(os.environ.get("TTTNN_FUZZ_SEED", "0"))
D = 6
LIMITS = Limits(max_k=50, max_vectors=10, max_ids=20, max_request_bytes=1 << 16)
HELD = ("00", "01")
VECTORS = np.random.default_rng(0).normal(size=(3, D)).astype(np.float32)


def stream(batch: pa.RecordBatch, said: object = None, **options) -> pa.Buffer:
    said = {"k": 5} if said is None else said
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    batch = batch.replace_schema_metadata({KEY: raw})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def vectors(values: object, kind: pa.DataType | None = None, name: str = "vector"):
    column = pa.array(values, kind or pa.list_(pa.float32(), D))
    return pa.record_batch([column], names=[name])


def refused(data: pa.Buffer | bytes, limits: Limits = LIMITS) -> Refused:
    with pytest.raises(Refused) as caught:
        read_search(pa.py_buffer(data), limits, D, HELD)
    assert str(caught.value).startswith(f"{caught.value.name}: ")
    return caught.value


def test_a_search_arrives_as_it_was_sent():
    asked = read_search(search_request(VECTORS, 7, ["01"]), LIMITS, D, HELD)
    assert (asked.vectors == VECTORS).all() and asked.vectors.dtype == np.float32
    assert asked[1:] == (7, ("01",))


def test_what_was_found_arrives_as_it_was_sent():
    distances = np.array([[0.1, np.inf], [1 / 3, 2.0]])
    ids = np.array([[7, -1], [2**41 + 1, 0]])
    got = read_found(search_answer(distances, ids, {"build": "x"}), 2, 2)
    assert got[0].tobytes() == distances.tobytes() and got[1].tolist() == ids.tolist()
    assert got[2] == {"build": "x"}


def test_texts_arrive_as_they_were_sent():
    rows = [(5, "Github", "ein Täxt\n\0"), (2**40, None, "")]
    assert read_texts(texts_answer(rows, {"build": "x"})) == (rows, {"build": "x"})
    assert read_ids(texts_request([3, 2**41]), LIMITS) == [3, 2**41]


@pytest.mark.parametrize("k", [0, -1, 51, 2.0, "5", True, None, 2**80, [5], float("nan")])
def test_a_k_that_is_no_number_of_neighbours_is_refused(k):
    batch = vectors(VECTORS.tolist())
    assert refused(stream(batch, {"k": k})).name == "k"


@pytest.mark.parametrize(
    ("batch", "name"),
    [
        (vectors([[1.0] * 5], pa.list_(pa.float32(), 5)), "dimension"),
        (vectors([], None), "vectors"),
        (vectors([[1.0] * D] * 11), "vectors"),
        (vectors([[1.0] * D], pa.list_(pa.float64(), D)), "type"),
        (vectors([[1.0] * D], pa.list_(pa.float32())), "type"),
        (vectors([1.0], pa.float32()), "type"),
        (vectors(["x"], pa.string()), "type"),
        (vectors([[[1.0]]], pa.list_(pa.list_(pa.float32(), 1), 1)), "type"),
        (vectors([[1.0] * D], name="vectors"), "column"),
        (pa.record_batch([[1], [2]], names=["vector", "vector"]), "column"),
        (pa.record_batch([], schema=pa.schema([])), "column"),
        (vectors([[1.0] * D, None]), "null"),
        (vectors([[1.0] * (D - 1) + [None]]), "null"),
        (vectors([[1.0] * D, [float("nan")] * D]), "finite"),
        (vectors([[1.0] * (D - 1) + [float("-inf")]]), "finite"),
        (vectors([[1.0] * (D - 1) + [3e38]]), "finite"),  # its square is not
        (vectors([1], pa.dictionary(pa.int8(), pa.int64())), "garbage"),
    ],
)
def test_vectors_that_are_none_are_refused(batch, name):
    assert refused(stream(batch)).name == name


def test_more_than_an_answer_holds_is_refused_before_it_is_searched_for():
    limits = Limits(max_k=50, max_vectors=10, max_answer_bytes=10 * 49 * 16)
    data = [stream(vectors([[1.0] * D] * 10), {"k": k}) for k in (49, 50)]
    assert len(read_search(data[0], limits, D, HELD).vectors) == 10
    assert refused(data[1], limits).name == "answer"


@pytest.mark.parametrize("shards", [[], ["02"], ["00", "00"], "00", [7], [["00"]], {"00": 1}])
def test_shards_that_are_not_held_are_refused(shards):
    assert refused(stream(vectors(VECTORS.tolist()), {"k": 5, "shards": shards})).name == "shards"


@pytest.mark.parametrize(
    "said", [b"[]", b"{", b"\xff", b"[" * 5000, b'{"k": ' + b"9" * 5000 + b"}"]
)
def test_json_that_is_no_object_is_refused(said):
    assert refused(stream(vectors(VECTORS.tolist()), said)).name == "garbage"


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_compressed_batch_is_refused_before_it_grows(codec):
    """64 MB of zeros in some KB: what it would be is not for the one who sends it to decide."""
    many = 1 << 22
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(many * 4, np.float32)), 4)
    data = stream(pa.record_batch([column], names=["vector"]), compression=codec)
    assert data.size < 1 << 19
    before = pa.total_allocated_bytes()
    found = refused(data, Limits(max_vectors=1 << 30))
    assert (found.name, "compressed" in str(found)) == ("type", True)
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_too_many_bytes_are_refused_before_they_are_read():
    data = search_request(np.zeros((1000, 64), np.float32), 5, ["00"])
    assert refused(data).name == "bytes"
    assert refused(stream(vectors(VECTORS.tolist()), b" " * (1 << 17)), Limits()).name == "bytes"


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 100, b"\xff" * 64, b"ARROW1\0\0" * 9])
def test_garbage_is_refused(data):
    assert refused(data).name == "garbage"
    with pytest.raises(Refused, match="garbage"):
        read_ids(pa.py_buffer(data), LIMITS)


def test_ids_that_are_none_are_refused():
    for column, name in (
        (pa.array([], pa.int64()), "ids"),
        (pa.array(range(21)), "ids"),
        (pa.array([1.0]), "type"),
        (pa.array([1, None]), "null"),
    ):
        with pytest.raises(Refused) as caught:
            read_ids(stream(pa.record_batch([column], names=["passage_id"])), LIMITS)
        assert caught.value.name == name


def test_whatever_bytes_arrive_are_read_or_refused():
    """Messages with some of their bytes changed, cut, repeated or joined to others."""
    rng = random.Random(SEED)
    whole = [
        search_request(VECTORS, 5, ["00"]).to_pybytes(),
        texts_request([1, 2, 3]).to_pybytes(),
        search_answer(np.zeros((2, 3)), np.zeros((2, 3), np.int64), {}).to_pybytes(),
        texts_answer([(1, "a", "b")], {}).to_pybytes(),
        stream(vectors(VECTORS.tolist()), compression="zstd").to_pybytes(),
    ]
    readers = [
        lambda data: read_search(data, LIMITS, D, HELD),
        lambda data: read_ids(data, LIMITS),
        lambda data: read_found(data, 2, 3),
        read_texts,
    ]
    end = time.monotonic() + SECONDS
    tried = read = 0
    while time.monotonic() < end:
        data = bytearray(rng.choice(whole))
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            at = rng.randrange(len(data)) if data else 0
            match rng.randrange(5):
                case 0:
                    data[at : at + 1] = bytes([rng.randrange(256)])
                case 1:
                    data[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"])
                case 2:
                    del data[at : at + rng.choice([1, 8, 64])]
                case 3:
                    data[at:at] = data[at : at + rng.choice([1, 8, 64])]
                case 4:
                    data[at:] = rng.choice(whole)[at:]
        for reader in readers:
            tried += 1
            try:
                found = reader(pa.py_buffer(bytes(data)))
                read += 1
            except Refused:
                continue
            except Exception as error:
                raise AssertionError(f"seed {SEED}, {bytes(data).hex()}: {error!r}") from error
            if reader is readers[0]:
                assert np.isfinite(found.vectors).all() and found.vectors.shape[1] == D
    assert tried > 100 and 0 < read < tried
