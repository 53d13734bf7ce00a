"""How far neighbours are: by rank and size of the index, nearest ones, and random pairs.

What the paper's figures 3 and 4 show of its index, here of the test queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field
from tqdm import tqdm

from tttnn.files import replacing
from tttnn.sections.base import Section, nearest
from tttnn.sections.memory import room
from tttnn.sections.search import RANDOM
from tttnn.tables import check_table

COLUMNS = ["query_id", "rank", "distance"]
PAIRS_SCHEMA = pa.schema(
    [
        ("candidates", pa.string()),
        ("task", pa.string()),
        ("query_id", pa.int64()),
        ("rank", pa.int32()),  # from 1
        ("distance", pa.float64()),
    ]
)
ROWS_AT_ONCE = 65536
COPIES = 3  # of distances, as numpy finds quantiles
PAIRS = 10_000
"""Random pairs that are kept at least, where so many were drawn: as many as the paper shows."""


class Searched(Section):
    """What an index holds: a share of the passages, as its embedder sees them."""

    share: float = Field(gt=0, le=1)
    embedder: str


class DistancesSpec(Section):
    """The indexes, by their names."""

    indexes: dict[str, Searched]


def _batches(path: Path) -> Iterator[dict[str, np.ndarray]]:
    """The columns, some rows at a time; raises `ValueError` for a distance that is none."""
    check_table(path)
    file = pq.ParquetFile(path)
    missing = [column for column in COLUMNS if column not in file.schema_arrow.names]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}: remove it and search again")
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=COLUMNS):
        rows = {name: batch[name].to_numpy() for name in COLUMNS}
        wrong = np.flatnonzero(~(rows["distance"] >= 0) | np.isinf(rows["distance"]))
        if len(wrong):
            raise ValueError(
                f"{path}: query {rows['query_id'][wrong[0]]} is at squared distance "
                f"{rows['distance'][wrong[0]]} from its candidate: embed and search again"
            )
        yield rows


class _Candidates:
    """An index's candidates: of which queries, in order of task and query id, and how many each."""

    def __init__(self, name: str, files: list[Path]) -> None:
        self._files = sorted(files, key=lambda path: path.stem)
        self.query_ids: list[np.ndarray] = []
        rows, self.k = 0, 0
        for path in self._files:
            ids: list[np.ndarray] = [np.empty(0, np.int64)]
            for batch in _batches(path):
                rows += len(batch["rank"])
                self.k = max(self.k, int(batch["rank"].max(initial=-1)) + 1)
                ids.append(batch["query_id"][batch["rank"] == 0])
            self.query_ids.append(np.concatenate(ids))
        self.count = sum(map(len, self.query_ids))
        self._fault = ValueError(
            f"{files[0].parent}: queries of {name} have different numbers of candidates, or one of "
            "a rank twice: remove the folder and search again"
        )
        if rows != self.count * self.k:
            raise self._fault

    def grid(self, first: int, last: int) -> np.ndarray:
        """Euclidean distances (ranks, queries), of the ranks from `first` to before `last`."""
        grid = np.empty((last - first, self.count))
        start = 0
        for path, ids in zip(self._files, self.query_ids, strict=True):
            places = start + np.argsort(np.argsort(ids, kind="stable"))
            row = 0
            for batch in _batches(path):
                query, rank = np.divmod(np.arange(row, row + len(batch["rank"])), self.k)
                if (batch["rank"] != rank).any() or (batch["query_id"] != ids[query]).any():
                    raise self._fault
                mine = (rank >= first) & (rank < last)
                grid[rank[mine] - first, places[query[mine]]] = batch["distance"][mine] ** 0.5
                row += len(rank)
            start += len(ids)
        return grid

    def pairs(self, name: str, ranks: int) -> Iterator[pa.Table]:
        """Rows of each task's queries and their first `ranks` candidates."""
        grid = self.grid(0, min(ranks, self.k))
        start = 0
        for path, ids in zip(self._files, self.query_ids, strict=True):
            own = grid[:, start : start + len(ids)].T
            start += len(ids)
            columns = [
                pa.array([name] * own.size, pa.string()),
                pa.array([path.stem] * own.size, pa.string()),
                np.repeat(np.sort(ids), own.shape[1]),
                np.tile(np.arange(1, own.shape[1] + 1, dtype=np.int32), len(ids)),
                own.ravel(),
            ]
            yield pa.table(columns, schema=PAIRS_SCHEMA)


def _rank_rows(name: str, index: Searched, found: _Candidates, memory: int) -> pd.DataFrame:
    """A row for each rank; a rank's distances are in memory with those of some others."""
    ranks = max(1, int(memory // (COPIES * 8 * found.count)))
    rows = []
    for first in range(0, found.k, ranks):
        grid = found.grid(first, min(found.k, first + ranks))
        for rank, distances in enumerate(grid, first + 1):
            low, median, high = np.quantile(distances, [0.05, 0.5, 0.95])
            rows.append(
                {
                    "candidates": name,
                    "share": index.share,
                    "embedder": index.embedder,
                    "rank": rank,
                    "mean": distances.mean(),
                    "std": distances.std(),
                    "p05": low,
                    "p50": median,
                    "p95": high,
                    "queries": found.count,
                }
            )
    return pd.DataFrame(rows)


def measure_distances(
    spec: DistancesSpec, candidates: list[Path], distances: Path, pairs: Path, memory_mb: int
) -> None:
    """Describe the distances of candidates, `candidates/{queries}/{name}/{task}.parquet`.

    Names come in the order of their first file. Distances of both tables are Euclidean; those of
    the files are squared.

    - `distances`, CSV: `candidates, share, embedder, rank, mean, std, p05, p50, p95, queries`, a
      row for each index and rank from 1; the standard deviation is that of the queries themselves.
    - `pairs`, parquet: `candidates, task, query_id, rank, distance`: each query's nearest passage
      in every index; and its first random ones, as many as make 10,000 pairs, at least one.

    In memory are the queries' ids, and all queries' distances at as many ranks as there is room.

    Raises `ValueError` for a broken file, a distance that is none, ranks that are not complete, a
    name that the spec does not know, and where there is no index or no query at all.
    """
    files: dict[str, list[Path]] = {}
    for path in candidates:
        files.setdefault(path.parent.name, []).append(path)
    by_rank: list[pd.DataFrame] = []
    with replacing(pairs) as beside:
        with pq.ParquetWriter(beside, PAIRS_SCHEMA) as writer:
            for name, paths in tqdm(files.items(), desc="distances", mininterval=5):
                if name != RANDOM and name not in spec.indexes:
                    raise ValueError(
                        f"{paths[0]}: candidates {name!r} are of no index."
                        f"{nearest(name, spec.indexes)}"
                    )
                found = _Candidates(name, paths)
                if not found.count:
                    raise ValueError(f"{paths[0].parent} holds no query: select documents first")
                if name != RANDOM:
                    index = spec.indexes[name]
                    by_rank.append(_rank_rows(name, index, found, room(memory_mb)))
                ranks = -(-PAIRS // found.count) if name == RANDOM else 1
                for table in found.pairs(name, ranks):
                    writer.write_table(table)
        if not by_rank:
            raise ValueError("there are no candidates of an index: give their files")
        with replacing(distances) as rows_beside:
            pd.concat(by_rank).to_csv(rows_beside, index=False, lineterminator="\n")
