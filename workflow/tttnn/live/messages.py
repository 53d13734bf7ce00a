"""What travels: Arrow streams of one record batch, with a small JSON object in their schema.

| message | columns | JSON |
|---|---|---|
| search, asked | `vector`: float32, d of them | `k`, `shards` |
| search, answered | `passage_id`: int64, `distance`: float64, k of each, nearest first; -1: none | `build`, `shards` |
| texts, asked | `passage_id` | |
| texts, answered | `passage_id`, `subset`, `text` | `build`, `shards` |

`build` is the digest of the run's index, `shards` are the digests, by name, of those that answered.
Whatever bytes arrive, reading them ends in the message or in `Refused`: the schema is compared
before a batch is read, and a compressed batch, which may be of any size, is never opened.
"""  # noqa: E501

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tttnn.live import frames
from tttnn.live.frames import KEY, Column
from tttnn.live.limits import Limits, Refused

IDS = pa.schema([("passage_id", pa.int64())])
TEXTS = pa.schema([("passage_id", pa.int64()), ("subset", pa.string()), ("text", pa.string())])
JSON_BYTES = 1 << 16
LARGEST = 1e15  # of a vector's numbers, whose squares float32 can still add up
FLOAT, DOUBLE, LONG = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)


class Search(NamedTuple):
    """A search asked for: vectors (n, d), float32, finite."""

    vectors: np.ndarray
    k: int
    shards: tuple[str, ...]


def prepare() -> None:
    """Make an array, at the first of which pyarrow imports pandas: half a second of a processor.

    Without it the first question of many clients waits until they all, and the servers, have.
    """
    pa.array([], pa.int64())


def _write(schema: pa.Schema, columns: list[pa.Array], said: dict[str, Any]) -> pa.Buffer:
    schema = schema.with_metadata({KEY: json.dumps(said)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    return sink.getvalue()


def _is_compressed(batch: pa.ipc.Message) -> bool:
    """Whether a record batch says that its buffers are compressed.

    pyarrow does not tell, and takes what a compressed buffer says of its size at its word. So this
    looks for field 3 of the flatbuffer `RecordBatch`, which is field 2 of `Message`
    (Arrow, format/Message.fbs); pyarrow has verified the flatbuffer when it read the message.
    """
    data = batch.metadata.to_pybytes()

    def field(table: int, number: int) -> int:
        """Where a table's field is; 0 where it is left out."""
        vtable = table - struct.unpack_from("<i", data, table)[0]
        (size,) = struct.unpack_from("<H", data, vtable)
        place = 4 + 2 * number
        offset = struct.unpack_from("<H", data, vtable + place)[0] if place < size else 0
        return table + offset if offset else 0

    (root,) = struct.unpack_from("<I", data, 0)
    header = field(root, 2)
    return bool(field(header + struct.unpack_from("<I", data, header)[0], 3))


def _read(data: pa.Buffer, most: int) -> tuple[pa.Schema, pa.RecordBatch, dict[str, Any]]:
    """The batch of a stream, its schema and JSON; raises `Refused`."""
    if data.size > most:
        raise Refused("bytes", f"the message has {data.size} bytes, {most} at most are read")
    try:
        reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(data))
        head, body = reader.read_next_message(), reader.read_next_message()
        if (head.type, body.type) != ("schema", "record batch"):
            raise Refused("garbage", f"a {head.type} and a {body.type} are no schema and batch")
        schema = pa.ipc.read_schema(head)
        told = (schema.metadata or {}).get(KEY, b"{}")
        if len(told) > JSON_BYTES:
            raise Refused("bytes", f"the JSON has {len(told)} bytes, {JSON_BYTES} at most are read")
        said = json.loads(told)
        if not isinstance(said, dict):
            raise Refused("garbage", "the schema's JSON is no object")
        if _is_compressed(body):
            raise Refused("type", "the batch is compressed: send it as it is")
        for name, kind in zip(schema.names, schema.types, strict=True):
            if pa.types.is_nested(kind) and not _is_list_of_numbers(kind):
                raise Refused("type", f"column {name[:100]!r} is nested: {TYPES}")
            if pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType):
                raise Refused("type", f"column {name[:100]!r} is of no plain type: {TYPES}")
        batch = pa.ipc.read_record_batch(body, schema)
        batch.validate(full=True)
    except Refused:
        raise
    except (pa.ArrowException, OSError, ValueError, EOFError, StopIteration) as error:
        reason = " ".join(str(error).split())[:200]
        raise Refused("garbage", f"this is no Arrow stream of one batch ({reason})") from None
    except (struct.error, RecursionError, OverflowError, MemoryError) as error:
        raise Refused("garbage", f"this is no Arrow stream ({type(error).__name__})") from None
    return schema, batch, said


TYPES = "vectors are fixed-size lists of float32, ids are int64"


def _is_list_of_numbers(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(kind) and pa.types.is_primitive(kind.value_type)


def _column(schema: pa.Schema, batch: pa.RecordBatch, name: str) -> pa.Array:
    if schema.names.count(name) != 1 or len(schema) != 1:
        names = ", ".join(repr(each[:40]) for each in schema.names[:8])
        raise Refused("column", f"the columns are {names or 'none'}, {name!r} alone is expected")
    column = batch.column(0)
    if column.null_count:
        raise Refused("null", f"{column.null_count} values of {name!r} are missing")
    return column


def _names(value: Any, held: tuple[str, ...]) -> tuple[str, ...]:
    """The shards that are asked for, or all that are held; raises `Refused`."""
    if value is None:
        return held
    if not isinstance(value, list) or not value or len(set(map(str, value))) != len(value):
        raise Refused("shards", "shards is not a list of different names")
    for name in value:
        if name not in held:
            raise Refused("shards", f"shard {str(name)[:40]!r} is not held here: {', '.join(held)}")
    return tuple(value)


# --- searches --------------------------------------------------------------------------------


def search_request(vectors: np.ndarray, k: int, shards: list[str]) -> pa.Buffer:
    """The message for vectors (n, d)."""
    columns = (Column("vector", FLOAT, vectors.shape[1]),)
    return frames.write_numbers(columns, (vectors,), {"k": k, "shards": shards})


def read_search(data: pa.Buffer, limits: Limits, dimension: int, held: tuple[str, ...]) -> Search:
    """What is asked for; raises `Refused`, naming what is wrong."""
    known = frames.take(data) if data.size <= limits.max_request_bytes else None
    if known is not None and known.columns == (Column("vector", FLOAT, dimension),):
        return _search(known.values[0], known.said, limits, held)
    schema, batch, said = _read(data, limits.max_request_bytes)
    column = _column(schema, batch, "vector")
    if not pa.types.is_fixed_size_list(column.type) or column.type.value_type != pa.float32():
        raise Refused("type", f"vectors are {str(column.type)[:100]}, not fixed-size float32 lists")
    if column.type.list_size != dimension:
        raise Refused(
            "dimension", f"vectors have {column.type.list_size} dimensions, the index {dimension}"
        )
    values = column.flatten()
    if values.null_count:
        raise Refused("null", "vectors have missing numbers")
    vectors = values.to_numpy(zero_copy_only=False).reshape(len(column), dimension)
    search = _search(vectors, said, limits, held)
    frames.keep(data, schema, batch, said)
    return search


def _search(
    vectors: np.ndarray, said: dict[str, Any], limits: Limits, held: tuple[str, ...]
) -> Search:
    if not 0 < len(vectors) <= limits.max_vectors:
        raise Refused("vectors", f"{len(vectors)} vectors; 1 to {limits.max_vectors} can be asked")
    k = said.get("k")
    if type(k) is not int or not 0 < k <= limits.max_k:
        raise Refused("k", f"k is {str(k)[:40]}, it must be a whole number of 1 to {limits.max_k}")
    bad = np.flatnonzero(~(np.abs(vectors) <= LARGEST).all(axis=1))
    if len(bad):
        raise Refused("finite", f"vector {bad[0]} has a NaN or a number beyond {LARGEST:g}")
    size = len(vectors) * k * (LONG.itemsize + DOUBLE.itemsize)
    if size > limits.max_answer_bytes:
        raise Refused(
            "answer",
            f"{k} neighbours of {len(vectors)} vectors are {size} bytes, at most "
            f"{limits.max_answer_bytes} are sent: ask for fewer vectors at a time",
        )
    return Search(vectors, k, _names(said.get("shards"), held))


def _found(width: int) -> tuple[Column, Column]:
    return Column("passage_id", LONG, width), Column("distance", DOUBLE, width)


def search_answer(distances: np.ndarray, ids: np.ndarray, said: dict[str, Any]) -> pa.Buffer:
    """The message for what was found, both (n, k)."""
    return frames.write_numbers(_found(ids.shape[1]), (ids, distances), said)


def read_found(
    data: pa.Buffer, queries: int, k: int
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Distances and ids, both (n, at most k), and the JSON; raises `Refused`."""
    known = frames.take(data)
    if known is None:
        schema, batch, said = _read(data, 1 << 30)
        frames.keep(data, schema, batch, said)
        known = frames.take(data)
    if (
        known is None
        or known.columns != _found(known.columns[0].width)
        or known.columns[0].width > k
        or len(known.values[0]) != queries
    ):
        raise Refused("garbage", "the answer is not one to this search")
    ids, distances = known.values
    return distances, ids, known.said


# --- texts -----------------------------------------------------------------------------------


def texts_request(ids: list[int]) -> pa.Buffer:
    """The message for passages' ids."""
    return _write(IDS, [pa.array(ids, pa.int64())], {})


def read_ids(data: pa.Buffer, limits: Limits) -> list[int]:
    """The ids that are asked for; raises `Refused`."""
    schema, batch, _ = _read(data, limits.max_request_bytes)
    column = _column(schema, batch, "passage_id")
    if column.type != pa.int64():
        raise Refused("type", f"ids are {str(column.type)[:100]}, not int64")
    if not 0 < len(column) <= limits.max_ids:
        raise Refused("ids", f"{len(column)} ids; 1 to {limits.max_ids} can be asked")
    return column.to_pylist()


def texts_answer(rows: list[tuple[int, str | None, str]], said: dict[str, Any]) -> pa.Buffer:
    """The message for passages: id, subset, text."""
    values = zip(*rows, strict=True)
    columns = [pa.array(column, kind) for column, kind in zip(values, TEXTS.types, strict=True)]
    return _write(TEXTS, columns, said)


def read_texts(data: pa.Buffer) -> tuple[list[tuple[int, str | None, str]], dict[str, Any]]:
    """Passages, and the JSON; raises `Refused`."""
    schema, batch, said = _read(data, 1 << 30)
    if not schema.remove_metadata().equals(TEXTS):
        raise Refused("garbage", "the answer is not one of texts")
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True)), said
