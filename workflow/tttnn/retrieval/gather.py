"""Fetch the texts of the nearest candidates, and say how alike each one and its query are."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from tttnn.corpus.passages import PassageStore, listed
from tttnn.retrieval.overlap import overlaps
from tttnn.sections.gather import Gather
from tttnn.tables import OPTIONS, read_table, sealing

NEIGHBORS = pa.schema(
    [
        ("query_id", pa.int64()),
        ("rank", pa.int32()),
        ("passage_id", pa.int64()),
        ("distance", pa.float64()),
        ("pile_set_name", pa.string()),
        ("exact", pa.bool_()),
        ("overlap", pa.float64()),
        ("jaccard", pa.float64()),
        ("text", pa.string()),
    ]
)
QUERIES_AT_ONCE = 512  # whose neighbours' texts are in memory together


def gather_neighbors(
    spec: Gather, candidates: Path, queries: Path, passages: Path, output: Path
) -> None:
    """Write a task's neighbours: its first `spec.depth` candidates a query, with their texts.

    `passages` is the list of `tttnn.corpus.passages.list_passages`. Three columns say how alike a
    neighbour and the text that will be evaluated are, of a split document its `continuation`:

    - `exact`: they are equal but for case and white space;
    - `overlap`: the share of the text's word n-grams (`spec.ngram`, 13 as in Brown et al. 2020,
      appendix C) that the neighbour contains: 1 for a copy, also within a longer text;
    - `jaccard`: similarity of the sets of word n-grams (`spec.shingle`; the resemblance of Broder
      1997): it still sees a copy whose edits leave no 13 words in a row.
    """
    store = PassageStore(listed(passages))
    table = read_table(candidates)
    table = table.filter(pc.less(table["rank"], spec.depth))
    rows = read_table(queries).to_pylist()
    texts = {row["query_id"]: row.get("continuation", row["text"]) for row in rows}
    per_query = len(table) // max(1, len(texts))
    step = QUERIES_AT_ONCE * max(1, per_query)
    with (
        sealing(output) as beside,
        pq.ParquetWriter(beside, NEIGHBORS, **OPTIONS) as writer,
    ):
        for start in tqdm(range(0, len(table), step), desc=output.stem, mininterval=5):
            rows = table.slice(start, step)
            ids = rows["passage_id"].to_pylist()
            found = store.fetch(ids)
            measured: list[tuple[bool, float, float]] = []
            pairs = zip(rows["query_id"].to_pylist(), ids, strict=True)
            for query, group in groupby(pairs, key=itemgetter(0)):
                measured += overlaps(
                    spec, texts[query], (found[passage][0] for _, passage in group)
                )
            columns = [
                *rows.columns,
                pa.array([found[passage][1] for passage in ids], pa.string()),
                *(pa.array([row[place] for row in measured]) for place in range(3)),
                pa.array([found[passage][0] for passage in ids], pa.string()),
            ]
            writer.write_table(pa.table(columns, schema=NEIGHBORS))
