"""Choose and order training texts among each query's candidates.

The table it writes has the form of the candidates, so that whatever reads neighbours of an index
reads chosen ones: rank is the order of training, and a passage may occur more than once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, SerializeAsAny
from tqdm import tqdm

from tttnn.retrieval.candidates import (
    GROUP_BYTES,
    VECTOR_BYTES,
    QueryTable,
    groups,
    read_query_ids,
    writing,
)
from tttnn.retrieval.stopping import kept, posterior_variance
from tttnn.retrieval.targets import Targets
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.base import Section
from tttnn.sections.kinds import SELECTIONS, checked, load
from tttnn.sections.memory import room
from tttnn.sections.selection import Selection

CENTER_OF = 4096  # passages, at most, whose mean is the center


class ChooseSpec(Section):
    """The selection, checked by the class of its own kind."""

    selection: SerializeAsAny[Annotated[Selection, BeforeValidator(partial(checked, SELECTIONS))]]


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


def _unit(vectors: np.ndarray, names: np.ndarray, kind: str) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (lengths > 0).all():
        name = names[(~(lengths > 0))[..., 0]][0]
        raise ValueError(
            f"the vector of {kind} {name} has no direction (length 0 or not a number): embed again"
        )
    return vectors / lengths


def _choose(
    spec: Selection,
    store: VectorStore,
    center: np.ndarray | float,
    found: dict[str, np.ndarray],
    query_ids: np.ndarray,
    queries: np.ndarray,
) -> Iterator[np.ndarray]:
    """For each of some queries, places among its candidates of those to train on, in that order.

    `center` is taken off every vector.
    """
    choose = load(SELECTIONS, spec.kind).choose
    ranks, ids = found["rank"], found["passage_id"]
    if not spec.BY_VECTORS and spec.stop is None:  # vectors would change nothing
        yield from (choose(spec, row, None, None) for row in ranks)
        return
    targets = _unit(queries.astype(np.float64) - center, query_ids, "query")
    candidates = _unit(store.fetch(ids) - center, ids, "passage")
    for row, vectors, target in zip(ranks, candidates, targets, strict=True):
        places = choose(spec, row, vectors, target)
        if spec.stop is not None:
            variance = posterior_variance(vectors[places], target, spec.noise)
            places = places[kept(variance, spec.stop, spec.stop_form)]
        yield places


def choose_neighbors(
    spec: ChooseSpec,
    candidates: list[Path],
    queries: list[Path],
    vectors: Path,
    embeddings: list[Path],
    outputs: list[Path],
    memory_mb: int,
) -> None:
    """Write, for every query, which of its candidates are trained on, in the order of training.

    `candidates`, `queries` and `outputs` are a file a task in the same order; `vectors` holds the
    queries' embeddings in the order of the files `queries`; `embeddings` are the shards' lists. An
    output has the columns of `CANDIDATES`: `rank` counts from 0, `distance` is the candidates' own,
    of vectors as they were embedded. A query has `picks` rows, or with `stop` fewer, but at least
    one.

    In memory are the queries' ids and some queries' candidates with their vectors.

    Raises `ValueError` if a query has fewer candidates than picks, if a table is of other queries,
    or if a vector that decides is zero.
    """
    selection = spec.selection
    query_ids = read_query_ids(queries)
    targets = Targets(vectors, query_ids)
    store = VectorStore.of(embeddings)
    center: np.ndarray | float = 0.0
    if selection.center:
        drawn = store.sample(CENTER_OF, np.random.default_rng(0))  # the same for every selection
        center = drawn.mean(axis=0, dtype=np.float64)
    progress = tqdm(total=len(targets), unit=" queries", mininterval=5, delay=5)
    for path, members, rows, output in zip(
        candidates, query_ids, targets.tasks, outputs, strict=True
    ):
        table = QueryTable(path, members)
        _check_depth(table, members, selection.picks)
        each = table.k * (2 * VECTOR_BYTES * store.dimension + GROUP_BYTES)
        with writing(output) as writer:
            for group in groups(len(members), each, room(memory_mb)):
                found = _in_order_of_id(table.read(group))
                some = targets[slice(rows.start + group.start, rows.start + group.stop)]
                chosen = []
                for places in _choose(selection, store, center, found, members[group], some):
                    chosen.append(places)
                    progress.update()
                counts = np.array([len(places) for places in chosen], np.int64)
                at, places = np.repeat(np.arange(len(chosen)), counts), np.concatenate(chosen)
                ids, distances = found["passage_id"][at, places], found["distance"][at, places]
                writer.write_rows(members[group][at], counts, ids, distances)
    progress.close()
