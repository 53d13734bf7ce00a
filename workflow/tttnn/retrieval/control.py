"""The random control: as many neighbours, drawn instead of found."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tttnn.retrieval.candidates import (
    exact_distances,
    load_vectors,
    read_query_ids,
    write_candidates,
)
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.base import Section


class RandomSpec(Section):
    """K, and the seed of the draw."""

    candidates: int
    seed: int


def draw_random(
    spec: RandomSpec,
    queries: list[Path],
    vectors: Path,
    passages: list[Path],
    embeddings: list[Path],
    outputs: list[Path],
) -> None:
    """Write K passages drawn at random for each query, in the order drawn: the control.

    A query's draw depends on the seed, its id and the corpus, and on no other query.
    """
    query_ids = read_query_ids(queries)
    targets = load_vectors(vectors, query_ids)
    store = VectorStore(passages, embeddings)
    everything = store.ids()
    k = min(spec.candidates, len(everything))
    draws = [
        np.random.default_rng([spec.seed, int(name)]).choice(len(everything), k, replace=False)
        for name in np.concatenate(query_ids)
    ]
    ids = everything[np.array(draws, dtype=np.int64).reshape(-1, k)]
    write_candidates(outputs, query_ids, exact_distances(store, targets, ids), ids)
