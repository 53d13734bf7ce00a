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

from tttnn.retrieval.candidates import read_query_ids
from tttnn.retrieval.chosen import center_of, unit, write_chosen
from tttnn.retrieval.stopping import kept, posterior_variance
from tttnn.retrieval.targets import Targets
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.base import Section
from tttnn.sections.kinds import SELECTIONS, checked, load
from tttnn.sections.selection import Selection


class ChooseSpec(Section):
    """The selection, checked by the class of its own kind."""

    selection: SerializeAsAny[Annotated[Selection, BeforeValidator(partial(checked, SELECTIONS))]]


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
    targets = unit(queries.astype(np.float64) - center, query_ids, "query")
    candidates = unit(store.fetch(ids) - center, ids, "passage")
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
    center = center_of(selection, store)

    def choose(
        these: range, names: np.ndarray, found: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        some = targets[slice(these.start, these.stop)]
        return _choose(selection, store, center, found, names, some)

    write_chosen(
        choose, selection.picks, candidates, query_ids, store.dimension, outputs, memory_mb
    )
