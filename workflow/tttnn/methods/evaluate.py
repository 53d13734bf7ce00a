"""Evaluate one model with one method on a part of a task's documents, and survive being killed.

Each finished document is a line in a journal beside the output. A job that is started again reads
the journal and goes on with the next document; a journal of other inputs, settings or code is
thrown away. A job that is told to end finishes the document it is at, if it is given the time.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from dataclasses import asdict
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from pydantic import BeforeValidator, SerializeAsAny
from tqdm import tqdm

from tttnn.files import replacing
from tttnn.methods.measure import Adapted, Query
from tttnn.models.folder import context_length, load_causal
from tttnn.resume import Stop, identity, journal
from tttnn.sections.base import Section
from tttnn.sections.kinds import METHODS, checked, engine
from tttnn.sections.method import Method

ROWS = pa.schema(
    [
        ("model", pa.string()),
        ("method", pa.string()),
        ("task", pa.string()),
        ("document_id", pa.int64()),
        ("num_neighbors", pa.int32()),
        ("alpha", pa.float64()),  # the neighbours' share in a mixture; null where nothing is mixed
        ("loglikelihood", pa.float64()),  # natural log, summed over the document
        ("bytes", pa.int64()),
        ("words", pa.int64()),
        ("tokens", pa.int64()),
        ("train_loss", pa.float64()),  # mean over the latest neighbour's windows; null before
        ("train_tokens", pa.int64()),
        ("steps", pa.int32()),
        ("train_seconds", pa.float64()),
        ("evaluate_seconds", pa.float64()),
        # the largest among the neighbours used so far; see `tttnn.retrieval.overlap`
        ("exact", pa.bool_()),
        ("overlap", pa.float64()),
        ("jaccard", pa.float64()),
    ]
)
"""A row per document, number of neighbours and alpha; see `tttnn.methods.measure.Measurement`."""

OVERLAPS = ("exact", "overlap", "jaccard")


class EvaluateSpec(Section):
    """The method's recipe, and into how many parts a task's documents are dealt."""

    # checked by its own class, so that the fingerprint covers this kind of method and no other
    recipe: SerializeAsAny[Annotated[Method, BeforeValidator(partial(checked, METHODS))]]
    parts: int
    max_overlap: float | None = None  # neighbours that overlap this much are passed over
    stops: bool = False  # whether a selection may have ended a document's neighbours early


class Case(NamedTuple):
    """A query, and the overlaps of its neighbours: for each, in the order of `OVERLAPS`."""

    query: Query
    overlaps: list[tuple[float, float, float]]


def _neighbors(path: Path, mine: list[int]) -> dict[int, list[dict[str, Any]]]:
    """Rows of these queries' neighbours, by query, in order of rank."""
    found = pq.read_table(
        path,
        columns=["query_id", "rank", "distance", *OVERLAPS, "text"],
        filters=pc.field("query_id").isin(mine),
    )
    by_query: dict[int, list[dict[str, Any]]] = {}
    for row in found.sort_by([("query_id", "ascending"), ("rank", "ascending")]).to_pylist():
        by_query.setdefault(row["query_id"], []).append(row)
    return by_query


def _is_copy(spec: EvaluateSpec, neighbor: dict[str, Any]) -> bool:
    return spec.max_overlap is not None and neighbor["overlap"] >= spec.max_overlap


def _cases(spec: EvaluateSpec, queries: Path, neighbors: list[Path], part: int) -> list[Case]:
    """The part's documents with the neighbours that are to be used."""
    wanted = spec.recipe.num_neighbors
    rows = [
        row
        for position, row in enumerate(pq.read_table(queries).to_pylist())
        if position % spec.parts == part
    ]
    mine = [row["query_id"] for row in rows]
    by_query = _neighbors(neighbors[0], mine) if neighbors else {}
    cases = []
    for row in rows:
        found = by_query.get(row["query_id"], [])
        used = [neighbor for neighbor in found if not _is_copy(spec, neighbor)][:wanted]
        is_split = "continuation" in row
        query = Query(
            id=row["query_id"],
            text=row["continuation"] if is_split else row["text"],
            neighbors=[neighbor["text"] for neighbor in used],
            distances=[neighbor["distance"] for neighbor in used],
            context=row["text"] if is_split else None,
            # not retrieval's fault: most of what it found are copies of the document
            stopped=spec.stops or len(used) < wanted <= len(found),
        )
        overlaps = [tuple(float(neighbor[name]) for name in OVERLAPS) for neighbor in used]
        cases.append(Case(query, overlaps))
    return cases


def _open_journal(path: Path, made_from: str) -> tuple[dict[int, list[dict[str, Any]]], TextIO]:
    """The documents that a journal of this identity holds, and the journal, open for more."""
    done: dict[int, list[dict[str, Any]]] = {}
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    if lines and lines[0] == f"{made_from}\n".encode():
        whole = [line for line in lines if line.endswith(b"\n")]  # the last may be torn
        for line in whole[1:]:
            rows = json.loads(line)
            done[rows[0]["document_id"]] = rows
        size = sum(map(len, whole))
    else:
        size = 0
    file = path.open("r+" if path.is_file() else "w", encoding="utf-8")
    file.truncate(size)
    file.seek(size)
    if size == 0:
        file.write(f"{made_from}\n")
        file.flush()
    return done, file


def _rows(adapted: Adapted, overlaps: list[tuple[float, float, float]]) -> list[dict[str, Any]]:
    none = (0.0, 0.0, 0.0)
    largest = [none, *accumulate(overlaps, lambda a, b: tuple(map(max, a, b)))]
    rows = []
    for measurement in adapted.measurements:
        if not math.isfinite(measurement.loglikelihood):
            raise ValueError(
                f"document {adapted.query.id} has log-likelihood {measurement.loglikelihood} after "
                f"{measurement.num_neighbors} neighbours: "
                + (
                    "training diverged; lower the method's learning_rate"
                    if measurement.steps
                    else "check the model, which predicts that without any training"
                )
            )
        row = {"document_id": adapted.query.id} | adapted.size._asdict() | asdict(measurement)
        used = min(measurement.num_neighbors, len(overlaps))
        row |= dict(zip(OVERLAPS, largest[used], strict=True))
        row["exact"] = bool(row["exact"])
        if math.isnan(row["train_loss"]):
            row["train_loss"] = None
        rows.append(row)
    return rows


def evaluate_part(
    spec: EvaluateSpec,
    model: Path,
    queries: Path,
    neighbors: list[Path],
    method: str,
    task: str,
    part: int,
    output: Path,
) -> None:
    """Evaluate the documents whose place in `queries` is `part` modulo `spec.parts`.

    `neighbors` is the task's file of them, or empty for a method that uses none. `output` is
    parquet, `ROWS`. A row depends on the document, the method, the model and the seed alone, so the
    number of parts changes nothing. (Recipes that carry something from document to document do
    depend on it, and a killed one starts again.)

    Raises `ValueError` for a document with too few neighbours or a likelihood that is not finite.
    """
    kept = journal(output)
    if spec.recipe.depends_on_order:
        kept.unlink(missing_ok=True)
    settings = (spec.model_dump_json(), str(part))
    inputs = (model / "manifest.json", queries, *neighbors)
    module = engine(METHODS, spec.recipe.kind)
    done, file = _open_journal(kept, identity([__name__, module], settings, inputs))
    documents = _cases(spec, queries, neighbors, part)
    if done:
        print(f"going on after {len(done)} of {len(documents)} documents", file=sys.stderr)
    progress = tqdm(total=len(documents), initial=len(done), unit="doc", mininterval=5)
    with file, progress, Stop() as stop:
        todo = [case for case in documents if case.query.id not in done]
        if todo:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            network, tokenizer = load_causal(model, device=device)
            longest = context_length(network)
            window = spec.recipe.window or longest
            if window > longest:
                raise ValueError(
                    f"the method's window is {window} tokens, but {model} has positions for "
                    f"{longest}: lower it, or set it to null"
                )
            texts = (case.query for case in todo)
            adapt = importlib.import_module(module).adapt
            adapted = adapt(network, tokenizer, texts, spec.recipe, window)
            for result, (query, overlaps) in zip(adapted, todo, strict=True):
                rows = _rows(result, overlaps)
                file.write(json.dumps(rows) + "\n")
                file.flush()
                os.fsync(file.fileno())
                done[query.id] = rows
                progress.update()
                if stop and len(done) < len(documents):
                    stop.leave(f"{len(done)} of {len(documents)} documents")
    names = {"model": model.name, "method": method, "task": task}
    rows = [names | row for query, _ in documents for row in done[query.id]]
    with replacing(output) as beside:
        pq.write_table(pa.Table.from_pylist(rows, schema=ROWS), beside, compression="zstd")
    kept.unlink()
