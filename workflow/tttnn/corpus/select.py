"""Choose the test documents of every task."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from tttnn.corpus.documents import Document, read_documents
from tttnn.corpus.layout import check_shard
from tttnn.digests import write_record
from tttnn.pile import TASK_OF_SUBSET, TASKS
from tttnn.sections.select import Select
from tttnn.tables import write_table

QUERIES = pa.schema([("query_id", pa.int64()), ("text", pa.string())])


def select(documents: list[Document], spec: Select) -> list[Document]:
    """Draw a task's documents: shuffled by Python's generator, then the first ones.

    With seed 1216 and fraction 0.2 this is the draw of the paper's code: the first int(0.2 n).
    """
    drawn = list(documents)
    random.Random(spec.seed).shuffle(drawn)
    count = int(spec.fraction * len(drawn)) if spec.fraction is not None else spec.count
    return drawn[:count]


def select_documents(
    spec: Select, documents: Path, manifest: Path, queries: list[Path], selection: Path
) -> None:
    """Write each of the 22 tasks' chosen documents, a parquet file a task (`query_id`, `text`).

    `queries` are in the order of `tttnn.pile.TASKS`; a query's id is its record number in the test
    shard. All tasks are written whichever are evaluated, so that choosing tasks moves nothing; a
    subset without documents gives an empty file. `selection` is JSON: documents in the test shard
    and chosen, by task.

    `manifest` is the shard's, for its digest.

    Raises `CorpusError` for a faulty record, and `ValueError` if `documents` is damaged, or if no
    document at all is chosen.
    """
    check_shard(documents, manifest)
    by_task: dict[str, list[Document]] = {task: [] for task in TASKS}
    read = read_documents(documents, needs_subset=True)
    for document in tqdm(read, unit=" documents", mininterval=5, delay=5):
        assert document.pile_set_name is not None  # it was asked for
        by_task[TASK_OF_SUBSET[document.pile_set_name]].append(document)
    counts = {}
    for path, (task, members) in zip(queries, by_task.items(), strict=True):
        chosen = select(members, spec)
        columns = [[d.line for d in chosen], [d.text for d in chosen]]
        write_table(path, pa.table(columns, schema=QUERIES))
        counts[task] = {"test_documents": len(members), "selected": len(chosen)}
    if not any(count["selected"] for count in counts.values()):
        raise ValueError(
            f"{documents} has {sum(map(len, by_task.values()))} documents, and select.fraction "
            f"{spec.fraction} chooses none of any task: raise it, or give select.count"
        )
    write_record(selection, {"tasks": counts})
