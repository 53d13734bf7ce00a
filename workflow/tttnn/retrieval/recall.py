"""How much of what exact search finds an index finds, and what that costs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tttnn.digests import write_record
from tttnn.files import replacing
from tttnn.retrieval.candidates import GROUP_BYTES, QueryTable, groups, read_query_ids
from tttnn.retrieval.exact import nearest
from tttnn.retrieval.faiss_files import guards
from tttnn.retrieval.merged import MergedIndex, read_manifest
from tttnn.retrieval.rates import TOGETHER, measure_rates
from tttnn.retrieval.targets import Targets
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.base import Section
from tttnn.sections.memory import room


class RecallSpec(Section):
    """How many queries are checked, at which k, the index, and what it was asked with."""

    queries: int
    at: list[int]
    kind: str
    factory: str
    share: float
    asked: dict[str, Any]


def _balance(sizes: np.ndarray | None) -> dict[str, float | int | None]:
    """The imbalance factor of lists of these sizes, as faiss has it, and how many are empty."""
    if sizes is None:
        return {"imbalance": None, "empty_lists": None}
    squares = float((sizes.astype(np.float64) ** 2).sum())
    return {
        "imbalance": len(sizes) * squares / float(sizes.sum()) ** 2,
        "empty_lists": int((sizes == 0).sum()),
    }


def _made_with(store: VectorStore, index: list[Path]) -> dict[str, Any]:
    """With what a merged index was made, if there is one, and how many chunks were embedded."""
    chunks = Counter(json.dumps(one, sort_keys=True) for one in store.environments)
    return {
        "environments": read_manifest(index[0])["environments"] if index else [],
        "embeddings": [
            {"environment": json.loads(one), "chunks": count} for one, count in chunks.items()
        ],
    }


def _distances(paths: list[Path], query_ids: list[np.ndarray], places: np.ndarray) -> np.ndarray:
    """Distances of the candidates of the queries at `places`, of all tasks', (places, K)."""
    found, start = [], 0
    for path, members in zip(paths, query_ids, strict=True):
        table = QueryTable(path, members)
        wanted = places[(places >= start) & (places < start + len(members))] - start
        found += [table.read(slice(int(row), int(row) + 1))["distance"] for row in wanted]
        start += len(members)
    return np.concatenate(found)


def measure_recall(
    spec: RecallSpec,
    index: list[Path],
    name: str,
    candidates: list[Path],
    queries: list[Path],
    vectors: Path,
    embeddings: list[Path],
    output: Path,
    made: Path,
    rates: Path,
    memory_mb: int,
) -> None:
    """Compare an index's candidates with exact search of what it indexes, on a sample of queries.

    `index` is the merged index, and empty for an exact one; `embeddings` are the shards' lists.
    `output` is CSV: `index,factory,k,recall,queries,ntotal,imbalance,empty_lists`, recall being the
    mean share of the k nearest passages that are among the first k candidates. A candidate exactly
    as far as the k-th nearest counts as found, because equal texts are interchangeable. A k of
    `spec.at` above the number of candidates counts as that number. `imbalance` is by how much more
    vectors a search reads than if all lists were of one size, when lists are asked for as often as
    they are long; it and `empty_lists` are empty for an index without lists. `made`, JSON, says
    with what the index and the embeddings were made. `rates`, CSV, has a row: bytes on the disk,
    and seconds of this machine (see `tttnn.retrieval.rates`).

    In memory are the sample's vectors and candidates, and blocks of vectors.
    """
    query_ids = read_query_ids(queries)
    targets = Targets(vectors, query_ids)
    store = VectorStore.of(embeddings)
    generator = np.random.default_rng(0)
    size = min(spec.queries, len(targets))
    sample = np.sort(generator.choice(len(targets), size, replace=False))
    found = _distances(candidates, query_ids, sample)
    points = sorted({min(k, found.shape[1]) for k in spec.at})
    sizes = None
    if index:
        expected = guards(spec.kind, spec.factory, store.dimension, store.embedder)
        sizes = MergedIndex(index[0], expected | {"share": spec.share}).list_sizes()
    memory = room(memory_mb)
    exact = np.empty((size, points[-1]))
    each = 2 * 4 * store.dimension + GROUP_BYTES * points[-1]
    for group in groups(size, each, memory // 2):
        some = np.concatenate([targets[slice(int(r), int(r) + 1)] for r in sample[group]])
        exact[group], _ = nearest(store, some, points[-1], share=spec.share, memory=memory // 2)
    with_ = "".join(f", {name} {value}" for name, value in spec.asked.items() if name != "kind")
    rows = [
        {
            "index": name,
            "factory": spec.factory + with_,
            "k": at,
            "recall": float((found[:, :at] <= exact[:, at - 1 : at]).mean()),
            "queries": size,
            "ntotal": store.held(spec.share),
            **_balance(sizes),
        }
        for at in points
    ]
    write_record(made, _made_with(store, index))
    asked_for = np.concatenate([targets[slice(int(r), int(r) + 1)] for r in sample[:TOGETHER]])
    costs = measure_rates(
        index,
        embeddings,
        store,
        asked_for,
        points[-1],
        kind=spec.kind,
        share=spec.share,
        asked=spec.asked,
        memory=memory // 2,
    )
    with replacing(rates) as beside:
        pd.DataFrame([{"index": name, **costs}]).to_csv(beside, index=False)
    with replacing(output) as beside:
        pd.DataFrame(rows).to_csv(beside, index=False)
