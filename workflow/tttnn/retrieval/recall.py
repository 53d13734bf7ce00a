"""How much of what exact search finds an index finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
from tqdm import tqdm

from tttnn.files import replacing
from tttnn.retrieval.candidates import load_vectors, rank_exactly, read_query_ids
from tttnn.retrieval.index import MergedIndex
from tttnn.retrieval.vectors import VectorStore
from tttnn.sections.base import Section
from tttnn.tables import read_table

SPARE = 32  # found beyond k in float32, to be ranked in float64


class RecallSpec(Section):
    """How many queries are checked, at which k, and what the index was asked with."""

    queries: int
    at: list[int]
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


def measure_recall(
    spec: RecallSpec,
    index: Path,
    name: str,
    candidates: list[Path],
    queries: list[Path],
    vectors: Path,
    passages: list[Path],
    embeddings: list[Path],
    output: Path,
) -> None:
    """Compare an index's candidates with exact search of what it indexes, on a sample of queries.

    `output` is CSV: `index,factory,k,recall,queries,ntotal,imbalance,empty_lists`, recall being the
    mean share of the k nearest passages that are among the first k candidates. A candidate exactly
    as far as the k-th nearest counts as found, because equal texts are interchangeable. A k of
    `spec.at` above the number of candidates counts as that number. `imbalance` is by how much more
    vectors a search reads than if all lists were of one size, when lists are asked for as often as
    they are long; it and `empty_lists` are empty for an index without lists.
    """
    query_ids = read_query_ids(queries)
    targets = load_vectors(vectors, query_ids)
    store = VectorStore(passages, embeddings)
    table = np.concatenate([read_table(path)["distance"].to_numpy() for path in candidates])
    found = table.reshape(len(targets), -1)
    generator = np.random.default_rng(0)
    size = min(spec.queries, len(targets))
    sample = np.sort(generator.choice(len(targets), size, replace=False))
    points = sorted({min(k, found.shape[1]) for k in spec.at})
    opened = MergedIndex(index)
    wanted = min(points[-1] + SPARE, opened.ntotal)
    heap = faiss.ResultHeap(size, wanted)
    for ids, block in tqdm(store.blocks(share=opened.share), desc="exact search", mininterval=5):
        distances, places = faiss.knn(targets[sample], block, min(wanted, len(block)))
        heap.add_result(distances, ids[places])
    heap.finalize()
    exact, _ = rank_exactly(store, targets[sample], heap.I, points[-1])
    with_ = "".join(f", {name} {value}" for name, value in spec.asked.items() if name != "kind")
    rows = [
        {
            "index": name,
            "factory": opened.factory + with_,
            "k": at,
            "recall": float((found[sample, :at] <= exact[:, at - 1 : at]).mean()),
            "queries": size,
            "ntotal": opened.ntotal,
            **_balance(opened.list_sizes()),
        }
        for at in points
    ]
    with replacing(output) as beside:
        pd.DataFrame(rows).to_csv(beside, index=False)
