"""Choose among each query's candidates what serves all of its windows."""

from __future__ import annotations

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
from tttnn.retrieval.vectors import VectorStore
from tttnn.retrieval.window_targets import WindowTargets
from tttnn.sections.base import Section
from tttnn.sections.kinds import SELECTIONS, checked, load
from tttnn.sections.memory import room
from tttnn.sections.windows import ByWindows

CENTER_OF = 4096  # passages, at most, whose mean is the center


class ChooseWindowsSpec(Section):
    """The selection, checked by the class of its own kind."""

    selection: SerializeAsAny[Annotated[ByWindows, BeforeValidator(partial(checked, SELECTIONS))]]


def _unit(vectors: np.ndarray, center: np.ndarray | float, of: str) -> np.ndarray:
    vectors = vectors.astype(np.float64) - center
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (lengths > 0).all():
        raise ValueError(f"a vector of {of} has no direction (length 0): embed again")
    return vectors / lengths


def _places(
    spec: ByWindows, ranks: np.ndarray, candidates: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Those to train on, in that order; with `stop`, by the mean variance of the windows."""
    places = load(SELECTIONS, spec.kind).choose(spec, ranks, candidates, targets)
    if spec.stop is None:
        return places
    each = [posterior_variance(candidates[places], target, spec.noise) for target in targets]
    return places[kept(np.mean(each, axis=0), spec.stop, spec.stop_form)]


def choose_windows(
    spec: ChooseWindowsSpec,
    candidates: list[Path],
    queries: list[Path],
    windows: Path,
    embeddings: list[Path],
    outputs: list[Path],
    memory_mb: int,
) -> None:
    """Write, for every query, which of its candidates are trained on, in the order of training.

    As `tttnn.retrieval.choose.choose_neighbors` does, but by the vectors of all of a query's
    windows, which `embed_windows` wrote to `windows`.

    In memory are the queries' ids and some queries' candidates with their vectors.

    Raises `ValueError` if a query has fewer candidates than picks, if a table is of other queries,
    or if a vector is zero.
    """
    selection, memory = spec.selection, room(memory_mb)
    query_ids = read_query_ids(queries)
    targets, store = WindowTargets(windows, query_ids), VectorStore.of(embeddings)
    center: np.ndarray | float = 0.0
    if selection.center:
        drawn = store.sample(CENTER_OF, np.random.default_rng(0))  # the same for every selection
        center = drawn.mean(axis=0, dtype=np.float64)
    start = 0
    progress = tqdm(total=sum(map(len, query_ids)), unit=" queries", mininterval=5, delay=5)
    for path, members, output in zip(candidates, query_ids, outputs, strict=True):
        table = QueryTable(path, members)
        if len(members) and table.k < selection.picks:
            raise ValueError(
                f"{path} has {table.k} candidates a query, {selection.picks} are to be picked: "
                "raise search.candidates or lower picks"
            )
        each = table.k * (2 * VECTOR_BYTES * store.dimension + GROUP_BYTES)
        with writing(output) as writer:
            for group in groups(len(members), each, memory):
                found = table.read(group)
                order = np.argsort(found["passage_id"], axis=1)
                found = {n: np.take_along_axis(rows, order, 1) for n, rows in found.items()}
                vectors = _unit(store.fetch(found["passage_id"]), center, f"{path}'s passages")
                for row, query in enumerate(members[group]):
                    own = targets[start + group.start + row]
                    unit = _unit(own, center, f"query {query}")
                    places = _places(selection, found["rank"][row], vectors[row], unit)
                    ids, distances = (found[n][row, places] for n in ("passage_id", "distance"))
                    counts = np.array([len(places)])
                    writer.write_rows(np.repeat(query, counts), counts, ids, distances)
                    progress.update()
        start += len(members)
    progress.close()
