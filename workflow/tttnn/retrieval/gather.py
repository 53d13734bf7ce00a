"""Fetch the texts of the nearest candidates, and say how alike each one and its query are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from tttnn.corpus.passages import ROW_GROUP, PassageStore, listed
from tttnn.digests import read_record
from tttnn.retrieval.overlap import overlaps
from tttnn.retrieval.texts import Text, TextStore
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
QUERIES_AT_ONCE = 512  # whose neighbours' texts are in memory together, if they are no more than
BYTES_AT_ONCE = 1 << 26  # of text


class _Texts:
    """Texts by id: from the copies, or else from the passages themselves."""

    def __init__(self, passages: Path, copies: list[Path], task: str) -> None:
        self._passages = PassageStore(listed(passages))
        self._copies = TextStore(
            copies, task, {entry["digest"] for entry in read_record(passages)["passages"]}
        )

    def sizes(self, ids: np.ndarray) -> np.ndarray:
        """Bytes of each text."""
        sizes = self._copies.sizes(ids)
        missing = np.unique(ids[sizes < 0])
        if len(missing):
            print(f"{len(missing)} texts are not among the copies", file=sys.stderr)
        for start in range(0, len(missing), ROW_GROUP):
            some = self._passages.fetch(missing[start : start + ROW_GROUP].tolist())
            for passage, (text, _) in some.items():
                sizes[ids == passage] = len(text.encode())
        return sizes

    def fetch(self, ids: np.ndarray) -> dict[int, Text]:
        found = self._copies.fetch(ids)
        missing = set(ids.tolist()) - found.keys()
        return found | self._passages.fetch(missing) if missing else found


def _copies(texts: Path) -> list[Path]:
    """The copies that are listed; none where they are not, or not any more."""
    if not texts.is_file():
        return []
    try:
        return listed(texts)
    except FileNotFoundError as error:
        print(f"{texts} lists copies that are not there ({error}): none is used", file=sys.stderr)
        return []


def _groups(sizes: np.ndarray, most: int) -> Iterator[slice]:
    """Rows that are in memory together: at most so many, and `BYTES_AT_ONCE`, but at least one.

    They are the same whatever memory there is, so that the files are, too.
    """
    start = 0
    while start < len(sizes):
        fits = np.searchsorted(np.cumsum(sizes[start : start + most]), BYTES_AT_ONCE, side="right")
        end = start + max(1, int(fits))
        yield slice(start, end)
        start = end


def gather_neighbors(
    spec: Gather,
    candidates: Path,
    queries: Path,
    passages: Path,
    texts: Path,
    output: Path,
) -> None:
    """Write a task's neighbours: its first `spec.depth` candidates a query, with their texts.

    `passages` is the list of `tttnn.corpus.passages.list_passages`, `texts` such a list of the
    copies of `tttnn.retrieval.texts.collect_texts`, if there is one; what they lack is read from
    the passages. Three columns say how alike a neighbour and the text that will be evaluated are,
    of a split document its `continuation`:

    - `exact`: they are equal but for case and white space;
    - `overlap`: the share of the text's word n-grams (`spec.ngram`, 13 as in Brown et al. 2020,
      appendix C) that the neighbour contains: 1 for a copy, also within a longer text;
    - `jaccard`: similarity of the sets of word n-grams (`spec.shingle`; the resemblance of Broder
      1997): it still sees a copy whose edits leave no 13 words in a row.
    """
    store = _Texts(passages, _copies(texts), candidates.stem)
    table = read_table(candidates)
    table = table.filter(pc.less(table["rank"], spec.depth))
    rows = read_table(queries).to_pylist()
    evaluated = {row["query_id"]: row.get("continuation", row["text"]) for row in rows}
    per_query = len(table) // max(1, len(evaluated))
    all_ids = table["passage_id"].to_numpy()
    with (
        sealing(output) as beside,
        pq.ParquetWriter(beside, NEIGHBORS, **OPTIONS) as writer,
    ):
        groups = _groups(store.sizes(all_ids), QUERIES_AT_ONCE * max(1, per_query))
        for group in tqdm(groups, desc=output.stem, mininterval=5):
            rows = table.slice(group.start, group.stop - group.start)
            ids = all_ids[group].tolist()
            found = store.fetch(all_ids[group])
            measured: list[tuple[bool, float, float]] = []
            pairs = zip(rows["query_id"].to_pylist(), ids, strict=True)
            for query, members in groupby(pairs, key=itemgetter(0)):
                measured += overlaps(
                    spec, evaluated[query], (found[passage][0] for _, passage in members)
                )
            columns = [
                *rows.columns,
                pa.array([found[passage][1] for passage in ids], pa.string()),
                *(pa.array([row[place] for row in measured]) for place in range(3)),
                pa.array([found[passage][0] for passage in ids], pa.string()),
            ]
            writer.write_table(pa.table(columns, schema=NEIGHBORS))
