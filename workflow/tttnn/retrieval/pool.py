"""Candidates made of other candidates: another document's, or several searches' together."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, SerializeAsAny
from tqdm import tqdm

from tttnn.retrieval.candidates import (
    GROUP_BYTES,
    QueryTable,
    exact_distances,
    groups,
    read_query_ids,
    writing,
)
from tttnn.retrieval.targets import Targets
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.base import Section
from tttnn.sections.kinds import checked, load
from tttnn.sections.memory import room
from tttnn.sections.pool import POOLS, Pool


class PoolSpec(Section):
    """The pool, checked by the class of its own kind."""

    pool: SerializeAsAny[Annotated[Pool, BeforeValidator(partial(checked, POOLS))]]


def _ids(path: Path, members: np.ndarray, memory: int) -> np.ndarray:
    """The candidates (n, K) of a task's queries, by rank."""
    table = QueryTable(path, members)
    some = groups(len(members), GROUP_BYTES * table.k, memory)
    empty = np.empty((0, table.k), np.int64)
    return np.concatenate([empty, *(table.read(group)["passage_id"] for group in some)])


def pool_candidates(
    spec: PoolSpec,
    sources: list[Path],
    queries: list[Path],
    vectors: Path,
    embeddings: list[Path],
    outputs: list[Path],
    memory_mb: int,
) -> None:
    """Write each task's candidates, made of the `sources`' by the pool's kind.

    `sources` are tables of candidates: all tasks' of the first source, then of the next, in the
    order of `queries` and `outputs`, a file a task. Distances are those of `vectors`, the queries'
    embeddings, to the passages', of which `embeddings` are the shards' lists.

    A task's candidates are in memory as ids, 8 bytes each; some queries' with their vectors.

    Raises `ValueError` if a table is of other queries. Where a document can have no candidates, for
    it is the only one of its task, stderr says so, and its table is empty.
    """
    targets = Targets(vectors, read_query_ids(queries))
    store, memory = VectorStore.of(embeddings), room(memory_mb)
    pooled = load(POOLS, spec.pool.kind).pooled
    progress = tqdm(total=len(targets), unit=" queries", mininterval=5, delay=5)
    for task, (rows, output) in enumerate(zip(targets.tasks, outputs, strict=True)):
        members = targets.ids[rows]
        found = [_ids(path, members, memory // 2) for path in sources[task :: len(queries)]]
        ids = pooled(spec.pool, members, found)
        if len(members) and not ids.shape[1]:
            print(
                f"{output}: no other document of its task lends document {members[0]} candidates: "
                "leave the task out (`tasks` of the method), or select more",
                file=sys.stderr,
            )
        with writing(output) as writer:
            each = GROUP_BYTES * ids.shape[1] + 8 * targets.dimension
            for group in groups(len(members) if ids.size else 0, each, memory // 2):
                some = slice(rows.start + group.start, rows.start + group.stop)
                distances = exact_distances(store, targets[some], ids[group], memory // 2)
                writer.write(members[group], distances, ids[group])
                progress.update(group.stop - group.start)
    progress.close()
