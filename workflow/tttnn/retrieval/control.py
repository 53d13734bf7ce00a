"""The random control: as many neighbours, drawn instead of found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from tttnn.retrieval.candidates import (
    GROUP_BYTES,
    exact_distances,
    groups,
    read_query_ids,
    writing,
)
from tttnn.retrieval.targets import Targets
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.base import Section
from tttnn.sections.memory import room


class RandomSpec(Section):
    """K, and the seed of the draw."""

    candidates: int
    seed: int


def draw_random(
    spec: RandomSpec,
    queries: list[Path],
    vectors: Path,
    embeddings: list[Path],
    outputs: list[Path],
    memory_mb: int,
) -> None:
    """Write K passages drawn at random for each query, in the order drawn: the control.

    A query's draw depends on the seed, its id and the corpus, and on no other query. `embeddings`
    are the shards' lists. In memory are the queries' ids and some queries' candidates with their
    vectors. (Of fewer than 50 K passages numpy lists all places to draw.)
    """
    targets = Targets(vectors, read_query_ids(queries))
    store = VectorStore.of(embeddings)
    k = min(spec.candidates, len(store))
    memory = room(memory_mb)
    progress = tqdm(total=len(targets), unit=" queries", mininterval=5, delay=5)
    for rows, output in zip(targets.tasks, outputs, strict=True):
        with writing(output) as writer:
            each = GROUP_BYTES * k + 8 * targets.dimension
            for group in groups(rows.stop - rows.start, each, memory // 2):
                some = slice(rows.start + group.start, rows.start + group.stop)
                members = targets.ids[some]
                draws = [
                    np.random.default_rng([spec.seed, int(name)]).choice(
                        len(store), k, replace=False
                    )
                    for name in members
                ]
                ids = store.ids_at(np.array(draws, dtype=np.int64).reshape(-1, k))
                distances = exact_distances(store, targets[some], ids, memory // 2)
                writer.write(members, distances, ids)
                progress.update(len(members))
    progress.close()
