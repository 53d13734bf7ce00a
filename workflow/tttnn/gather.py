"""Fetch the texts of the nearest candidates, and say how much of the query each one repeats."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from tttnn.config.index import Gather
from tttnn.files import replacing
from tttnn.passages import PassageStore

NEIGHBORS = pa.schema(
    [
        ("query_id", pa.int64()),
        ("rank", pa.int32()),
        ("passage_id", pa.int64()),
        ("distance", pa.float64()),
        ("pile_set_name", pa.string()),
        ("overlap", pa.float64()),
        ("text", pa.string()),
    ]
)
QUERIES_AT_ONCE = 512  # whose neighbours' texts are in memory together
WORD = re.compile(r"\w+")


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    """The word n-grams of a text, lower-cased; of a text shorter than n words, all its words."""
    words = WORD.findall(text.lower())
    if not words:
        return set()
    n = min(n, len(words))
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def containment(query: set[tuple[str, ...]], text: str) -> float:
    """The share of a query's n-grams that `text` contains; 0 for a query without words."""
    if not query:
        return 0.0
    n = len(next(iter(query)))
    return len(query & ngrams(text, n)) / len(query)


def gather_neighbors(
    spec: Gather, candidates: Path, queries: Path, passages: list[Path], output: Path
) -> None:
    """Write a task's neighbours: its first `spec.depth` candidates a query, with their texts.

    `overlap` is the share of the query's word n-grams (`spec.ngram`, 13 as in the literature on
    contamination) that the neighbour contains: 1 for a copy, near 0 for another text.
    """
    store = PassageStore(passages)
    table = pq.read_table(candidates)
    table = table.filter(pc.less(table["rank"], spec.depth))
    texts = pq.read_table(queries)
    grams = {
        query_id: ngrams(text, spec.ngram)
        for query_id, text in zip(*(c.to_pylist() for c in texts.columns), strict=True)
    }
    per_query = len(table) // max(1, len(texts))
    step = QUERIES_AT_ONCE * max(1, per_query)
    with (
        replacing(output) as beside,
        pq.ParquetWriter(beside, NEIGHBORS, compression="zstd") as writer,
    ):
        for start in tqdm(range(0, len(table), step), desc=output.stem, mininterval=5):
            rows = table.slice(start, step)
            ids = rows["passage_id"].to_pylist()
            found = store.fetch(ids)
            overlaps = [
                containment(grams[query], found[passage][0])
                for query, passage in zip(rows["query_id"].to_pylist(), ids, strict=True)
            ]
            columns = [
                *rows.columns,
                pa.array([found[passage][1] for passage in ids], pa.string()),
                pa.array(overlaps, pa.float64()),
                pa.array([found[passage][0] for passage in ids], pa.string()),
            ]
            writer.write_table(pa.table(columns, schema=NEIGHBORS))
