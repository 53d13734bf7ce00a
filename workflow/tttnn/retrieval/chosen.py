"""What all who choose among candidates do alike: their tables, in groups that memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tttnn.retrieval.candidates import GROUP_BYTES, VECTOR_BYTES, QueryTable, groups, writing
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.memory import room
from tttnn.sections.selection import Selection

CENTER_OF = 4096  # passages, at most, whose mean is the center

Choose = Callable[[range, np.ndarray, dict[str, np.ndarray]], Iterable[np.ndarray]]
"""Of some queries, by their places among those of all tables, their ids, and the columns of their
candidates, (queries, K) each in order of passage id: for each query, places among its candidates
of those to train on, in that order."""


def center_of(selection: Selection, store: VectorStore) -> np.ndarray | float:
    """What is taken off every vector: the mean of some passages, or nothing."""
    if not selection.center:
        return 0.0
    drawn = store.sample(CENTER_OF, np.random.default_rng(0))  # the same for every selection
    return np.asarray(drawn.mean(axis=0, dtype=np.float64))


def unit(vectors: np.ndarray, names: np.ndarray, kind: str) -> np.ndarray:
    """Vectors (..., d) of unit length; raises `ValueError` for one of no direction."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (lengths > 0).all():
        name = np.broadcast_to(names, lengths.shape[:-1])[~(lengths > 0)[..., 0]][0]
        raise ValueError(
            f"the vector of {kind} {name} has no direction (length 0 or not a number): embed again"
        )
    return vectors / lengths


def _check_depth(table: QueryTable, members: np.ndarray, picks: int) -> None:
    if len(members) and table.k < picks:
        raise ValueError(
            f"{table.path} has {table.k} candidates a query, {picks} are to be picked: raise "
            "search.candidates or lower picks"
        )


def _in_order_of_id(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns of some queries' candidates, (queries, K) each, in order of passage id."""
    order = np.argsort(found["passage_id"], axis=1)
    return {name: np.take_along_axis(column, order, 1) for name, column in found.items()}


def write_chosen(
    choose: Choose,
    picks: int,
    candidates: list[Path],
    query_ids: list[np.ndarray],
    dimension: int,
    outputs: list[Path],
    memory_mb: int,
) -> None:
    """Write, for every query, which of its candidates are trained on, in the order of training.

    `candidates`, `query_ids` and `outputs` are of the same tasks; vectors that `choose` fetches
    have `dimension` numbers. Raises `ValueError` if a query has fewer candidates than `picks`, or
    if a table is of other queries.
    """
    start = 0
    progress = tqdm(total=sum(map(len, query_ids)), unit=" queries", mininterval=5, delay=5)
    for path, members, output in zip(candidates, query_ids, outputs, strict=True):
        table = QueryTable(path, members)
        _check_depth(table, members, picks)
        each = table.k * (2 * VECTOR_BYTES * dimension + GROUP_BYTES)
        with writing(output) as writer:
            for group in groups(len(members), each, room(memory_mb)):
                found = _in_order_of_id(table.read(group))
                these = range(start + group.start, start + group.stop)
                chosen = []
                for places in choose(these, members[group], found):
                    chosen.append(places)
                    progress.update()
                counts = np.array([len(places) for places in chosen], np.int64)
                at, places = np.repeat(np.arange(len(chosen)), counts), np.concatenate(chosen)
                ids, distances = found["passage_id"][at, places], found["distance"][at, places]
                writer.write_rows(members[group][at], counts, ids, distances)
        start += len(members)
    progress.close()
