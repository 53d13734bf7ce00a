"""Arrow streams of one batch of numbers, read and written without pyarrow where they are alike.

Thousands of messages a second differ in their numbers alone: what stands before these, schema, JSON
and the batch's description, says where each number is. So what pyarrow made of such a beginning,
and found to be right, is kept, and of a message that begins with the same bytes the numbers are
taken from the same places. (Each call of pyarrow lets another thread have the interpreter and waits
for it: with 64 requests at once reading one took four times as long as alone.)
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

KEY = b"tttnn"
KEPT = 256  # beginnings
LONGEST = 4096  # bytes of one that is kept
AGAIN = 0xFFFFFFFF  # with which each message of a stream begins


class Column(NamedTuple):
    """Numbers (n, width) of a fixed-size list."""

    name: str
    dtype: np.dtype
    width: int


class _Layout(NamedTuple):
    """Where the numbers of messages with one beginning are."""

    columns: tuple[Column, ...]
    said: dict[str, Any]
    rows: int
    places: tuple[int, ...]
    end: int


class Numbers(NamedTuple):
    """A message: its JSON, and each column's numbers (n, width)."""

    columns: tuple[Column, ...]
    said: dict[str, Any]
    values: tuple[np.ndarray, ...]


_layouts: dict[bytes, _Layout] = {}
_templates: dict[tuple, tuple[bytes, _Layout]] = {}


def _beginning(data: pa.Buffer) -> bytes | None:
    """What stands before the numbers; None where that is not kept, or no beginning of a stream."""
    head = bytes(memoryview(data)[:LONGEST])
    at = 0
    for _ in range(2):  # the schema, the batch
        if len(head) < at + 8:
            return None
        mark, length = struct.unpack_from("<II", head, at)
        if mark != AGAIN:
            return None
        at += 8 + length
    return head[:at] if at <= len(head) else None


def _keep(cache: dict, key: Any, value: Any) -> None:
    if len(cache) >= KEPT:  # somebody sends all kinds of beginnings
        cache.clear()
    cache[key] = value


def _take(data: pa.Buffer, layout: _Layout) -> Numbers:
    values = tuple(
        np.frombuffer(data, column.dtype, layout.rows * column.width, place).reshape(
            layout.rows, column.width
        )
        for column, place in zip(layout.columns, layout.places, strict=True)
    )
    return Numbers(layout.columns, layout.said, values)


def take(data: pa.Buffer) -> Numbers | None:
    """The message, where one with this beginning was kept."""
    beginning = _beginning(data)
    layout = None if beginning is None else _layouts.get(beginning)
    return None if layout is None or data.size < layout.end else _take(data, layout)


def keep(data: pa.Buffer, schema: pa.Schema, batch: pa.RecordBatch, said: dict[str, Any]) -> None:
    """Keep the beginning of a message that was read, and in which nothing is wrong."""
    beginning = _beginning(data)
    layout = None if beginning is None else _layout(data, schema, batch, said)
    if layout is not None:
        _keep(_layouts, beginning, layout)


def _layout(
    data: pa.Buffer, schema: pa.Schema, batch: pa.RecordBatch, said: dict[str, Any]
) -> _Layout | None:
    """Where the numbers are; None for what is not fixed-size lists of numbers, none missing."""
    columns, places = [], []
    end = 0
    for field, values in zip(schema, batch.columns, strict=True):
        if not pa.types.is_fixed_size_list(field.type):
            return None
        flat = values.flatten()
        if values.null_count or flat.null_count or not len(flat):
            return None
        buffers = values.buffers()
        if any(buffer is not None for buffer in buffers[:-1]) or buffers[-1] is None:
            return None  # of what is missing, though nothing is
        if values.offset or flat.offset:
            return None
        dtype = np.dtype(field.type.value_type.to_pandas_dtype())
        place = buffers[-1].address - data.address
        size = len(flat) * dtype.itemsize
        if dtype.kind not in "fi" or not 0 <= place <= data.size - size:
            return None
        columns.append(Column(field.name, dtype, field.type.list_size))
        places.append(place)
        end = max(end, place + size)
    if not columns:
        return None
    return _Layout(tuple(columns), said, batch.num_rows, tuple(places), end)


def write_numbers(
    columns: tuple[Column, ...], values: tuple[np.ndarray, ...], said: dict[str, Any]
) -> pa.Buffer:
    """A stream of one batch of `values`, (n, width) each, with `said` in its schema."""
    rows, told = len(values[0]), json.dumps(said)
    known = _templates.get((columns, rows, told))
    if known is None:
        known = _template(columns, rows, told)
        if len(known[0]) <= 1 << 16:
            _keep(_templates, (columns, rows, told), known)
    written = bytearray(known[0])
    for column, place, each in zip(columns, known[1].places, values, strict=True):
        into = np.frombuffer(written, column.dtype, rows * column.width, place)
        into.reshape(rows, column.width)[:] = each
    return pa.py_buffer(written)


def _template(columns: tuple[Column, ...], rows: int, told: str) -> tuple[bytes, _Layout]:
    """A message of zeros, as pyarrow writes it, and where its numbers are."""
    fields = [
        pa.field(column.name, pa.list_(pa.from_numpy_dtype(column.dtype), column.width))
        for column in columns
    ]
    schema = pa.schema(fields, metadata={KEY: told})
    arrays = [
        pa.FixedSizeListArray.from_arrays(
            pa.array(np.zeros(rows * column.width, column.dtype)), column.width
        )
        for column in columns
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    data = sink.getvalue()
    with pa.ipc.open_stream(data) as reader:
        layout = _layout(data, schema, reader.read_next_batch(), {})
    assert layout is not None  # there are rows, and none is missing
    return data.to_pybytes(), layout
