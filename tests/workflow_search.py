"""What the workflow's own search finds in a run made by `live_run`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from live_run import LiveRun
from shards import index_spec, search
from tttnn.retrieval.vectors import list_embeddings


def searched(live: LiveRun, queries: Path, vectors: Path, k: int, folder: Path) -> pd.DataFrame:
    """The table of candidates of an exact index: a job for each shard, and their merging."""
    lists = []
    for shard in live.run.config.shards:
        embeddings = live.run.folder / "embeddings" / live.run.settings.embedder
        lists.append(embeddings / f"{shard}.json")
        list_embeddings(*live.run.files(shard), lists[-1])
    output = folder / "candidates" / queries.name
    search(folder / "found", index_spec(), lists, [queries], vectors, [output], k=k)
    return pd.read_parquet(output)
