"""What the workflow's own search finds in a run made by `live_run`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from live_run import LiveRun
from shards import Shards, build_index, index_spec
from tttnn.retrieval.search import SearchSpec, search_index


def searched(live: LiveRun, queries: Path, vectors: Path, k: int, folder: Path) -> pd.DataFrame:
    """The table of candidates of an exact index."""
    files = [live.run.files(shard) for shard in live.run.config.shards]
    shards = Shards([p for p, _ in files], [e for _, e in files], live.ids, live.vectors)
    index = build_index(folder / "index", index_spec(), shards)
    output = folder / "candidates" / queries.name
    spec = SearchSpec(candidates=k, asked={"kind": "flat"})
    search_index(spec, index, [queries], vectors, **live.files, outputs=[output])
    return pd.read_parquet(output)
