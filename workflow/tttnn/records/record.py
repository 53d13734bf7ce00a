"""The command that records a run: its tables, and a manifest of what they were made of and with."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import tttnn
from tttnn.environment import environment
from tttnn.files import replacing, sha256
from tttnn.places import run_or_record
from tttnn.records.manifest import (
    EVALUATIONS,
    FORMAT,
    PATH,
    SELECTED,
    Documents,
    Machine,
    Manifest,
    Package,
    Table,
    is_record,
    without_paths,
    write_manifest,
)
from tttnn.records.runs import Record, Results, evaluations
from tttnn.repository import commit
from tttnn.wording import counted

OPTIONS = {"compression": "zstd", "compression_level": 19}
"""How a record's tables are written: small, for they are kept for years."""


def _tables(run: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every table of the run; then what is known of each document, and which these are."""
    files = sorted((run.folder / "tables").glob("*"))
    for name in dict.fromkeys(f.stem for f in files if f.suffix in (".csv", ".parquet")):
        yield name, run.table(name)
    if not run.cells:
        raise ValueError(
            f"{run.folder}/evaluation has no rows of the cells in its tables: evaluate again, for "
            "a record has what is known of each document"
        )
    yield EVALUATIONS, evaluations(run.cells)
    yield SELECTED, run.selected


def _check_text(name: str, frame: pd.DataFrame, folder: Path) -> None:
    """Raises `ValueError` for a table with a path of this machine in it."""
    for column in frame.select_dtypes(include=["object", "string"]):
        for value in frame[column].dropna().unique():
            if isinstance(value, str) and (match := PATH.search(value)) and len(match[0]) > 2:
                raise ValueError(
                    f"{folder}/tables/{name}, column {column}: {match[0]!r} is a path of this "
                    "machine, which a record does not publish: take it out of the table, or name "
                    "what it names otherwise in the configuration"
                )


def _write(folder: Path, name: str, frame: pd.DataFrame) -> Table:
    path = folder / f"{name}.parquet"
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, path, **OPTIONS)
    return Table(sha256=sha256(path), rows=len(frame), columns=list(map(str, frame.columns)))


def documents_digest(digests: pd.Series) -> str:
    """Of the SHA-256 of some documents, whatever their order: of these, sorted, a line each."""
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(digests)).encode()).hexdigest()


def _gpus() -> list[str]:
    """What the driver calls this machine's GPUs; torch would take seconds to load."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    words = [tool, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else []


def _machine() -> Machine:
    processor = environment()["device"].removeprefix("cpu: ") or platform.machine()
    return Machine(processor=processor, cores=os.cpu_count() or 1, gpus=_gpus())


def _evaluated(folder: Path) -> str | None:
    """The date of the newest evaluation."""
    times = [path.stat().st_mtime for path in (folder / "evaluation").glob("*/*/*/*.parquet")]
    return datetime.fromtimestamp(max(times), UTC).date().isoformat() if times else None


def record(
    run: Path,
    folder: Path,
    /,
    name: str | None = None,
    licence: str | None = None,
    author: str | None = None,
    contact: str | None = None,
    note: str | None = None,
) -> None:
    """Write a run's tables and a manifest to a folder that others can redraw and compare.

    RUN        the run: its name in this folder, or the path of its results/NAME
    FOLDER     the record's, which is not there yet or is a record
    --name     the record's; without: the run's
    --licence  under which others may use the record, such as CC-BY-4.0
    --author   whose run it is
    --contact  where questions go
    --note     what else is to be known

    The tables are those of the run, in parquet, with two more:
    each cell's log-likelihood of each document at each number of neighbours (`evaluations`), and
    the digests of the documents' texts (`selected`). The manifest says of what they were made
    (digests of corpus, documents and models, the whole configuration) and with what (versions,
    devices, this machine). There is no text in it, and no path: of paths in the configuration the
    last name is kept.

    Raises `ValueError` where a part of the run is missing, where its tables and evaluations
    disagree, or where a table has a path in it.
    """
    run = run_or_record(run)
    results = Results(run)
    if folder.exists() and not is_record(folder) and any(folder.glob("*")):
        raise ValueError(f"{folder} is there and is no record: name a folder that is not there yet")
    with replacing(folder, directory=True) as beside:
        tables = {}
        for table, frame in _tables(results):
            _check_text(table, frame, run)
            tables[table] = _write(beside, table, frame)
        documents = results.selected.groupby("task", sort=False)["sha256"]
        manifest = Manifest(
            format=FORMAT,
            name=name or results.name,
            recorded=datetime.now(UTC).date().isoformat(),
            evaluated=_evaluated(run),
            licence=licence,
            author=author,
            contact=contact,
            note=note,
            package=Package(version=tttnn.__version__, commit=commit()),
            made_with=results.made_with,
            machine=_machine(),
            config=json.loads(json.dumps(without_paths(results.config), allow_nan=False)),
            corpus=results.corpus,
            documents={
                task: Documents(count=len(digests), sha256=documents_digest(digests))
                for task, digests in documents
            },
            models=results.models,
            tables=tables,
        )
        write_manifest(beside, manifest)
    whole = Record(folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(
        f"{folder}: {whole.name}, {counted(len(tables), 'table')} of "
        f"{counted(len(whole.selected), 'document')}, "
        f"{size / 1e6:.2f} MB"
    )
