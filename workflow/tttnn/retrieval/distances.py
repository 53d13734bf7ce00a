"""How far neighbours are: by rank and size of the index, nearest ones, and random pairs.

What the paper's figures 3 and 4 show of its index, here of the test queries.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from tttnn.files import replacing
from tttnn.sections.base import Section, nearest
from tttnn.sections.search import RANDOM
from tttnn.tables import read_table

COLUMNS = ["query_id", "rank", "distance"]
PAIRS = 10_000
"""Random pairs that are kept at least, where so many were drawn: as many as the paper shows."""


class Searched(Section):
    """What an index holds: a share of the passages, as its embedder sees them."""

    share: float = Field(gt=0, le=1)
    embedder: str


class DistancesSpec(Section):
    """The indexes, by their names."""

    indexes: dict[str, Searched]


def _read(path: Path) -> pd.DataFrame:
    table = read_table(path, COLUMNS)
    missing = [column for column in COLUMNS if column not in table.column_names]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}: remove it and search again")
    frame = table.to_pandas()
    wrong = frame[~(frame["distance"] >= 0) | np.isinf(frame["distance"])]
    if len(wrong):
        row = wrong.iloc[0]
        raise ValueError(
            f"{path}: query {row.query_id:.0f} is at squared distance {row.distance} from its "
            "candidate: embed and search again"
        )
    frame["distance"] **= 0.5
    return frame.assign(task=path.stem)


def _candidates(name: str, files: list[Path]) -> tuple[pd.DataFrame, np.ndarray]:
    """All rows, by query and rank; and their distances, [queries, K]."""
    frame = pd.concat([_read(path) for path in files], ignore_index=True)
    frame = frame.sort_values(["task", "query_id", "rank"], kind="stable", ignore_index=True)
    count = int(frame["rank"].max()) + 1 if len(frame) else 1
    if len(frame) % count or (frame["rank"] != np.arange(len(frame)) % count).any():
        raise ValueError(
            f"{files[0].parent}: queries of {name} have different numbers of candidates, or one of "
            "a rank twice: remove the folder and search again"
        )
    return frame, frame["distance"].to_numpy().reshape(-1, count)


def _rank_rows(name: str, index: Searched, distances: np.ndarray) -> pd.DataFrame:
    low, median, high = np.quantile(distances, [0.05, 0.5, 0.95], axis=0)
    return pd.DataFrame(
        {
            "candidates": name,
            "share": index.share,
            "embedder": index.embedder,
            "rank": np.arange(distances.shape[1]) + 1,
            "mean": distances.mean(axis=0),
            "std": distances.std(axis=0),
            "p05": low,
            "p50": median,
            "p95": high,
            "queries": len(distances),
        }
    )


def measure_distances(
    spec: DistancesSpec, candidates: list[Path], distances: Path, pairs: Path
) -> None:
    """Describe the distances of candidates, `candidates/{queries}/{name}/{task}.parquet`.

    Names come in the order of their first file. Distances of both tables are Euclidean; those of
    the files are squared.

    - `distances`, CSV: `candidates, share, embedder, rank, mean, std, p05, p50, p95, queries`, a
      row for each index and rank from 1; the standard deviation is that of the queries themselves.
    - `pairs`, parquet: `candidates, task, query_id, rank, distance`: each query's nearest passage
      in every index; and its first random ones, as many as make 10,000 pairs, at least one.

    Raises `ValueError` for a broken file, a distance that is none, ranks that are not complete, a
    name that the spec does not know, and where there is no index or no query at all.
    """
    files: dict[str, list[Path]] = {}
    for path in candidates:
        files.setdefault(path.parent.name, []).append(path)
    by_rank: list[pd.DataFrame] = []
    kept: list[pd.DataFrame] = []
    for name, paths in tqdm(files.items(), desc="distances", mininterval=5):
        if name != RANDOM and name not in spec.indexes:
            raise ValueError(
                f"{paths[0]}: candidates {name!r} are of no index.{nearest(name, spec.indexes)}"
            )
        frame, grid = _candidates(name, paths)
        if not len(grid):
            raise ValueError(f"{paths[0].parent} holds no query: select documents first")
        if name != RANDOM:
            by_rank.append(_rank_rows(name, spec.indexes[name], grid))
        ranks = -(-PAIRS // len(grid)) if name == RANDOM else 1
        kept.append(frame[frame["rank"] < ranks].assign(candidates=name))
    if not by_rank:
        raise ValueError("there are no candidates of an index: give their files")
    with replacing(distances) as beside:
        pd.concat(by_rank).to_csv(beside, index=False, lineterminator="\n")
    table = pd.concat(kept)[["candidates", "task", *COLUMNS]]
    with replacing(pairs) as beside:
        table.assign(rank=table["rank"] + 1).to_parquet(beside, index=False)
