"""Choose and order training texts among each query's candidates.

The table it writes has the form of the candidates, so that whatever reads neighbours of an index
reads chosen ones: rank is the order of training, and a passage may occur more than once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from tttnn.config.selections import Selection
from tttnn.files import replacing
from tttnn.search import CANDIDATES, load_vectors, read_query_ids
from tttnn.selection import hull, kept, posterior_variance, sift
from tttnn.vectors import VectorStore

QUERIES_AT_ONCE = 64  # whose candidates' vectors are in memory together
CENTER_OF = 4096  # passages, at most, whose mean is the center


def _read_candidates(path: Path, members: np.ndarray, picks: int) -> dict[str, np.ndarray]:
    """Columns of a task's candidates, (queries, K) each, in order of passage id."""
    table = pq.read_table(path, columns=CANDIDATES.names)
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
    spec: Selection, ranks: np.ndarray, candidates: np.ndarray | None, query: np.ndarray
) -> np.ndarray:
    """Places, among one query's candidates, of those to train on, in that order."""
    match spec.kind:
        case "nearest":
            chosen = np.argsort(ranks)[: spec.picks]
        case "farthest":
            chosen = np.argsort(ranks)[: spec.picks][::-1]
        case "sift":
            chosen = sift(candidates, query, spec.picks, spec.noise, spec.replacement)
        case "hull":
            chosen = hull(candidates, query, spec.picks, spec.iterations)
    if spec.stop is None:
        return chosen
    variance = posterior_variance(candidates[chosen], query, spec.noise)
    return chosen[kept(variance, spec.stop, spec.stop_form)]


def _choose_all(
    spec: Selection,
    store: VectorStore,
    center: np.ndarray | float,
    query_ids: np.ndarray,
    queries: np.ndarray,
    ids: np.ndarray,
    ranks: np.ndarray,
    name: str,
) -> list[np.ndarray]:
    """`_choose` for each query of a task; `center` is taken off every vector."""
    if spec.kind in ("nearest", "farthest") and spec.stop is None:  # vectors would change nothing
        return [_choose(spec, row, None, query) for row, query in zip(ranks, queries, strict=True)]
    chosen = []
    for start in tqdm(range(0, len(ids), QUERIES_AT_ONCE), desc=name, mininterval=5):
        group = slice(start, start + QUERIES_AT_ONCE)
        targets = _unit(queries[group] - center, query_ids[group], "query")
        candidates = _unit(store.fetch(ids[group]) - center, ids[group], "passage")
        rows = zip(ranks[group], candidates, targets, strict=True)
        chosen += [_choose(spec, *row) for row in rows]
    return chosen


def choose_neighbors(
    spec: Selection,
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
    `search.CANDIDATES`: `rank` counts from 0, `distance` is the candidates' own, of vectors as they
    were embedded. A query has `spec.picks` rows, or with `spec.stop` fewer, but at least one.

    Raises `ValueError` if a query has fewer candidates than picks, if a table is of other queries,
    or if a vector that decides is zero.
    """
    query_ids = read_query_ids(queries)
    found_by = load_vectors(vectors, query_ids).astype(np.float64)
    by_task = np.split(found_by, np.cumsum([len(ids) for ids in query_ids])[:-1])
    store = VectorStore(passages, embeddings)
    center: np.ndarray | float = 0.0
    if spec.center:
        drawn = store.sample(CENTER_OF, np.random.default_rng(0))  # the same for every selection
        center = drawn.mean(axis=0, dtype=np.float64)
    for path, members, targets, output in zip(candidates, query_ids, by_task, outputs, strict=True):
        found = _read_candidates(path, members, spec.picks)
        ids, ranks = found["passage_id"], found["rank"]
        chosen = _choose_all(spec, store, center, members, targets, ids, ranks, output.stem)
        rows = np.repeat(np.arange(len(chosen)), [len(places) for places in chosen])
        places = np.concatenate([np.empty(0, np.int64), *chosen])
        columns = [
            members[rows],
            np.concatenate([np.empty(0, np.int32), *(np.arange(len(p)) for p in chosen)]),
            ids[rows, places],
            found["distance"][rows, places],
        ]
        with replacing(output) as beside:
            pq.write_table(pa.table(columns, schema=CANDIDATES), beside, compression="zstd")
