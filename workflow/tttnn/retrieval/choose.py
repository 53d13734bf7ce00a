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
import pyarrow as pa
from pydantic import BeforeValidator, SerializeAsAny
from tqdm import tqdm

from tttnn.retrieval.candidates import CANDIDATES, load_vectors, read_query_ids
from tttnn.retrieval.stopping import kept, posterior_variance
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.base import Section
from tttnn.sections.kinds import SELECTIONS, checked, load
from tttnn.sections.selection import Selection
from tttnn.tables import read_table, write_table

QUERIES_AT_ONCE = 64  # whose candidates' vectors are in memory together
CENTER_OF = 4096  # passages, at most, whose mean is the center


class ChooseSpec(Section):
    """The selection, checked by the class of its own kind."""

    selection: SerializeAsAny[Annotated[Selection, BeforeValidator(partial(checked, SELECTIONS))]]


def _read_candidates(path: Path, members: np.ndarray, picks: int) -> dict[str, np.ndarray]:
    """Columns of a task's candidates, (queries, K) each, in order of passage id."""
    table = read_table(path, CANDIDATES.names)
    k = len(table) // max(1, len(members))
    if not np.array_equal(np.repeat(members, k), table["query_id"].to_numpy()):
        raise ValueError(
            f"{path} is not a table of K candidates for each query of the task: remove it and "
            "search again"
        )
    if len(members) and k < picks:
        raise ValueError(
            f"{path} has {k} candidates a query, {picks} are to be picked: raise search.candidates "
            "or lower picks"
        )
    names = ("passage_id", "rank", "distance")
    columns = {name: table[name].to_numpy().reshape(len(members), k) for name in names}
    order = np.argsort(columns["passage_id"], axis=1)
    return {name: np.take_along_axis(column, order, 1) for name, column in columns.items()}


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
    """For each query of a task, places among its candidates of those to train on, in that order.

    `center` is taken off every vector.
    """
    choose = load(SELECTIONS, spec.kind).choose
    ranks, ids = found["rank"], found["passage_id"]
    if not spec.BY_VECTORS and spec.stop is None:  # vectors would change nothing
        yield from (choose(spec, row, None, None) for row in ranks)
        return
    for start in tqdm(range(0, len(ids), QUERIES_AT_ONCE), desc="choose", mininterval=5):
        group = slice(start, start + QUERIES_AT_ONCE)
        targets = _unit(queries[group] - center, query_ids[group], "query")
        candidates = _unit(store.fetch(ids[group]) - center, ids[group], "passage")
        for row, vectors, target in zip(ranks[group], candidates, targets, strict=True):
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
    passages: list[Path],
    embeddings: list[Path],
    outputs: list[Path],
) -> None:
    """Write, for every query, which of its candidates are trained on, in the order of training.

    `candidates`, `queries` and `outputs` are a file a task in the same order; `vectors` holds the
    queries' embeddings in the order of the files `queries`. An output has the columns of
    `CANDIDATES`: `rank` counts from 0, `distance` is the candidates' own, of vectors as they were
    embedded. A query has `picks` rows, or with `stop` fewer, but at least one.

    Raises `ValueError` if a query has fewer candidates than picks, if a table is of other queries,
    or if a vector that decides is zero.
    """
    selection = spec.selection
    query_ids = read_query_ids(queries)
    all_targets = load_vectors(vectors, query_ids).astype(np.float64)
    by_task = np.split(all_targets, np.cumsum([len(ids) for ids in query_ids])[:-1])
    store = VectorStore(passages, embeddings)
    center: np.ndarray | float = 0.0
    if selection.center:
        drawn = store.sample(CENTER_OF, np.random.default_rng(0))  # the same for every selection
        center = drawn.mean(axis=0, dtype=np.float64)
    for path, members, targets, output in zip(candidates, query_ids, by_task, outputs, strict=True):
        found = _read_candidates(path, members, selection.picks)
        chosen = list(_choose(selection, store, center, found, members, targets))
        rows = np.repeat(np.arange(len(chosen)), [len(places) for places in chosen])
        places = np.concatenate([np.empty(0, np.int64), *chosen])
        columns = [
            members[rows],
            np.concatenate([np.empty(0, np.int32), *(np.arange(len(p)) for p in chosen)]),
            found["passage_id"][rows, places],
            found["distance"][rows, places],
        ]
        write_table(output, pa.table(columns, schema=CANDIDATES))
