"""Deal a task's documents to parts of equal expected cost.

Documents of one task differ a thousandfold in length, so parts of equally many documents would
differ in hours, and a task would be waiting for the part with the longest book. What a document
costs is known before anything is evaluated, from the lengths of its texts, so every part's job
makes the same deal by itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tttnn.sections.lengths import Lengths
from tttnn.tables import open_table

ROWS_AT_ONCE = 256  # whose texts are in memory together


def _rows(path: Path, columns: Sequence[str], texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The columns that there are, with the bytes of a text in its place."""
    file = open_table(path)
    held = [name for name in (*columns, *texts) if name in file.schema_arrow.names]
    for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=held):
        values = [
            pc.binary_length(batch[name]) if name in texts else batch[name]
            for name in batch.schema.names
        ]
        yield from pa.RecordBatch.from_arrays(values, names=batch.schema.names).to_pylist()


def read_lengths(
    queries: Path, neighbors: list[Path], most: int, below: float | None
) -> list[Lengths]:
    """Lengths of all documents of a task, in the order of `queries`; texts are not kept.

    `most` neighbours are used of each document, of those that overlap it less than `below`.
    """
    found: dict[int, list[tuple[int, int]]] = {}
    for path in neighbors:
        for row in _rows(path, ["query_id", "rank", "overlap"], ["text"]):
            if below is None or row["overlap"] < below:
                found.setdefault(row["query_id"], []).append((row["rank"], row["text"]))
    lengths = []
    for row in _rows(queries, ["query_id"], ["text", "continuation"]):
        used = [size for _, size in sorted(found.get(row["query_id"], []))[:most]]
        if "continuation" in row:
            lengths.append(Lengths(row["continuation"], row["text"], used))
        else:
            lengths.append(Lengths(row["text"], 0, used))
    return lengths


def deal(costs: Sequence[int], parts: int) -> list[list[int]]:
    """Places of what costs this much, dealt to `parts`, each in ascending order.

    The costliest is dealt first, each to the part that has least (Graham 1969: the longest part is
    at most 4/3 - 1/(3 `parts`) of the shortest that any deal could make it). Costs are whole
    numbers and ties are broken by place, so that the deal is the same on every machine.
    """
    dealt: list[list[int]] = [[] for _ in range(parts)]
    loads = [(0, part) for part in range(parts)]
    for place in sorted(range(len(costs)), key=lambda place: (-costs[place], place)):
        load, part = heapq.heappop(loads)
        dealt[part].append(place)
        heapq.heappush(loads, (load + costs[place], part))
    return [sorted(places) for places in dealt]
