"""Documents that were evaluated before, for a task whose documents are chosen anew.

When a task's documents change, as with a higher `select.count`, Snakemake removes its parts and
evaluates them again. Each part keeps the rows of its documents beside its output, compressed, by a
digest of all that they were made of, and takes from there, and from the parts beside it, those
that it would make again: of the same code, settings, model, document and neighbours, with the same
libraries and device. Whoever wants them anew removes the files.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tttnn.environment import Environment
from tttnn.journal import read_finished, write_finished

Rows = list[dict[str, Any]]

AUTO = "auto"  # whichever engine serves: none is asked for by name


def digest(*parts: Any) -> str:
    """Of what a document's rows are made of, the model and the method aside: JSON."""
    told = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(told.encode("ascii")).hexdigest()


def file_of(output: Path) -> Path:
    """Where a part keeps its documents' rows."""
    return output.with_name(f".{output.stem}.documents.gz")


def _is_from(rows: Rows, environment: Environment, engine: str) -> bool:
    """Whether all of the rows were made so."""
    for told in (dict(row["environment"]) for row in rows if "environment" in row):
        made_by = told.pop("engine", AUTO)
        if told != environment or engine not in (AUTO, made_by):
            return False
    return True


def find(
    output: Path,
    made_from: str,
    wanted: Collection[str],
    environment: Environment,
    engine: str,
) -> dict[str, Rows]:
    """Rows by digest, of those that are `wanted` and that a part in the folder of `output` kept.

    `made_from` is the identity of code, settings and model; the rows are of this `environment` and,
    unless it is `auto`, of this engine. How many there are is said on stderr.
    """
    known: dict[str, Rows] = {}
    for path in sorted(output.parent.glob(".*.documents.gz")):
        for name, rows in read_finished(path, made_from):
            if name in wanted and name not in known and _is_from(rows, environment, engine):
                known[name] = rows
    if known:
        print(
            f"{len(known)} of {len(wanted)} documents are as evaluated before: their rows are from "
            f"{file_of(output.with_stem('*'))} (remove these files to evaluate them anew)",
            file=sys.stderr,
        )
    return known


def keep(output: Path, made_from: str, finished: dict[str, Rows]) -> None:
    """Keep rows by digest, and those that the part kept before: they may be wanted again."""
    path = file_of(output)
    before = dict(read_finished(path, made_from)) if path.is_file() else {}
    write_finished(path, made_from, [*(before | finished).items()])
