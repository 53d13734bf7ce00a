"""Texts of neighbours: one pass for all tasks and sets beside a pass for each of them.

OMP_NUM_THREADS=1 python benchmarks/gather.py FOLDER [--depth 50] [--queries 10]

FOLDER has a corpus: `train/00.jsonl.zst` and on, `test.jsonl.zst`. Its passages are made, a
document each, and candidates drawn for documents of every task, of other documents of the same
subset or of any. Then the neighbours are gathered as the workflow does it (`want_texts`,
`collect_texts`, `gather_neighbors`), and as it would be done without copies: row groups of the
passages for each task and set, and each pair measured alone. Tables must be equal. Printed are
rows decompressed for each one needed, and processor time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from overlap import plain

from tttnn.corpus.chunk import chunk_shard
from tttnn.corpus.documents import read_documents
from tttnn.corpus.passages import PassageStore, list_passages, listed
from tttnn.digests import write_record
from tttnn.files import sha256
from tttnn.pile import TASK_OF_SUBSET
from tttnn.retrieval.candidates import CANDIDATES
from tttnn.retrieval.gather import NEIGHBORS, gather_neighbors
from tttnn.retrieval.texts import collect_texts, want_texts
from tttnn.sections.chunk import Chunk
from tttnn.sections.gather import Gather
from tttnn.tables import OPTIONS, read_table, write_table


class Reads:
    """What pyarrow decompresses: texts, and row groups of passages, by file and group."""

    def __init__(self) -> None:
        self.rows = 0
        self.groups: Counter[tuple[bytes, int]] = Counter()

    @contextmanager
    def counted(self) -> Iterator[Reads]:
        read = pq.ParquetFile.read_row_group

        def counting(file: pq.ParquetFile, group: int, columns: Any = None) -> pa.Table:
            table = read(file, group, columns=columns)
            if "text" in table.column_names:
                self.rows += len(table)
                if "task" not in table.column_names:
                    self.groups[table["sha256"][0].as_py(), group] += 1
            return table

        pq.ParquetFile.read_row_group = counting
        try:
            yield self
        finally:
            pq.ParquetFile.read_row_group = read


def passages_of(folder: Path, work: Path, chunks: int) -> list[Path]:
    """Make the corpus's passages: a file for each shard and chunk."""
    files = []
    for number, path in enumerate(sorted((folder / "train").glob("*.jsonl.zst"))):
        shard = path.name.split(".")[0]
        documents = sum(1 for _ in read_documents(path, needs_subset=False))
        manifest = work / f"corpus/{shard}.json"
        write_record(manifest, {"documents": documents, "sha256": sha256(path)})
        mine = [work / f"passages/{shard}/{chunk}.parquet" for chunk in range(chunks)]
        chunk_shard(Chunk(chunks_per_shard=chunks), number, path, manifest, mine, [])
        files += mine
    return files


def draw(
    folder: Path, passages: list[Path], work: Path, queries: int, depth: int, seed: int
) -> list[Path]:
    """Write queries and two sets of candidates for each task; the candidates' files."""
    generator = np.random.default_rng(seed)
    tables = [pq.read_table(path, columns=["passage_id", "pile_set_name"]) for path in passages]
    table = pa.concat_tables(tables)
    ids = table["passage_id"].to_numpy()
    tasks = np.array([TASK_OF_SUBSET[name] for name in table["pile_set_name"].to_pylist()])
    texts: dict[str, list[str]] = {}
    for document in read_documents(folder / "test.jsonl.zst", needs_subset=True):
        texts.setdefault(TASK_OF_SUBSET[document.pile_set_name], []).append(document.text)
    files = []
    for task, mine in sorted(texts.items()):
        mine = mine[:queries]
        rows = {"query_id": pa.array(range(len(mine)), pa.int64()), "text": mine}
        write_table(work / f"queries/{task}.parquet", pa.table(rows))
        for name, pool in (("like", ids[tasks == task]), ("random", ids)):
            count = min(depth, len(pool))
            drawn = [generator.choice(pool, count, replace=False) for _ in mine]
            columns = [
                np.repeat(np.arange(len(mine)), count),
                np.tile(np.arange(count, dtype=np.int32), len(mine)),
                np.concatenate(drawn),
                np.zeros(len(mine) * count),
            ]
            files.append(work / f"candidates/{name}/{task}.parquet")
            write_table(files[-1], pa.table(columns, schema=CANDIDATES))
    return files


def alone(spec: Gather, candidates: Path, queries: Path, passages: Path) -> pa.Table:
    """A task's neighbours: its passages from the corpus, its pairs one by one."""
    table = read_table(candidates)
    texts = dict(
        zip(*(read_table(queries)[n].to_pylist() for n in ("query_id", "text")), strict=True)
    )
    ids = table["passage_id"].to_pylist()
    found = PassageStore(listed(passages)).fetch(ids)
    measured: list[tuple[bool, float, float]] = []
    for query, members in groupby(
        zip(table["query_id"].to_pylist(), ids, strict=True), itemgetter(0)
    ):
        measured += plain(texts[query], [found[passage][0] for _, passage in members])
    columns = [
        *table.columns,
        pa.array([found[passage][1] for passage in ids], pa.string()),
        *(pa.array([row[place] for row in measured]) for place in range(3)),
        pa.array([found[passage][0] for passage in ids], pa.string()),
    ]
    return pa.table(columns, schema=NEIGHBORS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunks", type=int, default=1)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--queries", type=int, default=10, help="of each task")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    spec = Gather(depth=options.depth)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        passages = passages_of(options.folder, work, options.chunks)
        manifest = work / "passages/manifest.json"
        list_passages(passages, manifest)
        candidates = draw(
            options.folder, passages, work, options.queries, options.depth, options.seed
        )
        shards = sorted({path.parent.name for path in passages})
        wanted = [work / f"texts/wanted/{shard}.parquet" for shard in shards]
        copies = [work / f"texts/{shard}.parquet" for shard in shards]
        clock = [time.process_time()]
        with Reads().counted() as collecting:
            want_texts(spec, candidates, wanted)
            for listing, copy in zip(wanted, copies, strict=True):
                mine = [path for path in passages if path.parent.name == copy.stem]
                collect_texts(listing, mine, copy)
            list_passages(copies, work / "texts/manifest.json")
        clock.append(time.process_time())
        spent, needed = [0.0, 0.0], 0
        joining, plainly = Reads(), Reads()
        for path in candidates:  # in turns, so that a busy moment meets both
            queries = work / f"queries/{path.name}"
            out = work / f"neighbors/{path.parent.name}/{path.name}"
            started = time.process_time()
            with joining.counted():
                gather_neighbors(spec, path, queries, manifest, work / "texts/manifest.json", out)
            between = time.process_time()
            with plainly.counted():
                expected = alone(spec, path, queries, manifest)
                pq.write_table(expected, work / "plain.parquet", **OPTIONS)
            ended = time.process_time()
            spent[0] += between - started
            spent[1] += ended - between
            found = pq.ParquetFile(out).read()
            if not found.equals(expected):
                raise SystemExit(f"{out} is not as it is alone")
            needed += len(set(found["passage_id"].to_pylist()))
        once = clock[1] - clock[0]
        most = max(collecting.groups.values())
        print(
            f"{len(candidates)} files of candidates, {needed} texts needed (once a file); a row "
            f"group of passages is read {most} time{'s' * (most > 1)} at most, "
            f"{max(plainly.groups.values())} without copies\n\n"
            "| | rows decompressed, by those needed | processor seconds |\n|---|---|---|\n"
            f"| without copies | {plainly.rows / needed:.1f} | {spent[1]:.1f} |\n"
            f"| copies | {collecting.rows / needed:.2f} | {once:.1f} |\n"
            f"| from copies | {joining.rows / needed:.2f} | {spent[0]:.1f} |\n\n"
            f"ratio {spent[1] / (once + spent[0]):.2f}"
        )


if __name__ == "__main__":
    main()
