"""What all shards have for queries by a score, merged into the table of candidates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tttnn.digests import DamagedError
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
from tttnn.sections.memory import room


class MergeScoredSpec(Section):
    """K."""

    candidates: int


def _check_found(found: list[Path], tables: list[QueryTable]) -> None:
    """Raise `DamagedError` where shards were scored otherwise, as by another corpus's counts."""
    said = [json.loads(table.said["said"]) for table in tables]
    for path, each in zip(found, said, strict=True):
        for name, value in said[0].items():
            if each.get(name) != value:
                raise DamagedError(
                    f"{path} was scored with {name} {each.get(name)}, {found[0]} with {value}: "
                    "remove both and run again"
                )


def merge_scored(
    spec: MergeScoredSpec,
    found: list[Path],
    queries: list[Path],
    vectors: Path,
    embeddings: list[Path],
    outputs: list[Path],
    memory_mb: int,
) -> None:
    """Write each task's candidates: the K passages with the highest score, highest first.

    `found` are what `search_words` or `search_windows` wrote of each shard. Equal scores are in
    order of passage id. A candidate's distance is, as every candidate's, that of `vectors`, the
    queries' embeddings, to the passages' (`embeddings` are the shards' lists): what a method that
    reads distances wants to know. It does not ascend with the rank.

    In memory are the queries' ids, and some queries' candidates with their vectors.

    Raises `ValueError` if a table is of other queries, and `DamagedError`.
    """
    targets = Targets(vectors, read_query_ids(queries))
    store, memory = VectorStore.of(embeddings), room(memory_mb)
    tables = [QueryTable(path, targets.ids) for path in found]
    _check_found(found, tables)
    held = sum(table.k for table in tables)
    progress = tqdm(total=len(targets), unit=" queries", mininterval=5, delay=5)
    for rows, output in zip(targets.tasks, outputs, strict=True):
        with writing(output) as writer:
            each = GROUP_BYTES * held + 8 * targets.dimension
            for group in groups(rows.stop - rows.start, each, memory // 2):
                some = slice(rows.start + group.start, rows.start + group.stop)
                columns = [table.read(some) for table in tables]
                scores = np.concatenate([each["score"] for each in columns], axis=1)
                ids = np.concatenate([each["passage_id"] for each in columns], axis=1)
                order = np.lexsort((ids, -scores), axis=1)[:, : spec.candidates]
                ids = np.take_along_axis(ids, order, 1)
                distances = exact_distances(store, targets[some], ids, memory // 2)
                writer.write(targets.ids[some], distances, ids)
                progress.update(group.stop - group.start)
    progress.close()
