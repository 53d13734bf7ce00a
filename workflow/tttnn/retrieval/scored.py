"""What a shard has for queries by a score, the higher the better: kept, and written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tttnn.tables import OPTIONS, sealing

FOUND = [
    ("query_id", pa.int64()),
    ("passage_id", pa.int64()),
    ("score", pa.float64()),
]
DECIMALS = 9  # of a score, so that blocks do not decide between equal ones
QUERIES_TOGETHER = 256  # in a row group


class Best:
    """Each query's k passages with the highest score, of equal ones those with the lowest id."""

    def __init__(self, query_ids: np.ndarray, k: int) -> None:
        self._query_ids, self._k, self._seen = query_ids, k, 0
        self._kept = [(np.empty(0), np.empty(0, np.int64)) for _ in query_ids]

    def add(self, ids: np.ndarray, scores: Iterable[np.ndarray]) -> None:
        """More passages, and their scores: one array a query, which are taken one by one."""
        self._seen += len(ids)
        for place, more in enumerate(scores):
            held, before = self._kept[place]
            score = np.append(held, np.round(more, DECIMALS))
            passages = np.append(before, ids)
            if len(score) > self._k:
                some = score >= np.partition(score, -self._k)[-self._k]
                score, passages = score[some], passages[some]
            order = np.lexsort((passages, -score))[: self._k]
            self._kept[place] = score[order], passages[order]

    def write(self, output: Path, said: dict[str, Any]) -> None:
        """The table `FOUND`, as many rows for each query; `said` is how they were scored."""
        schema = pa.schema(FOUND, metadata={"said": json.dumps(said, sort_keys=True)})
        k = min(self._k, self._seen)
        scores = np.concatenate([np.empty(0), *(score for score, _ in self._kept)])
        ids = np.concatenate([np.empty(0, np.int64), *(ids for _, ids in self._kept)])
        table = pa.table([np.repeat(self._query_ids, k), ids, scores], schema=schema)
        with sealing(output) as beside, pq.ParquetWriter(beside, schema, **OPTIONS) as writer:
            writer.write_table(table, row_group_size=QUERIES_TOGETHER * max(1, k))
