"""Evaluate one model with one method on a part of a task's documents, and survive being killed.

Each finished document is a line in a journal beside the output. A job that is started again reads
the journal and goes on with the next document; a journal of other inputs, settings or code is
thrown away. A job that is told to end finishes the document it is at, if it is given the time.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from tttnn.adapt import Adapted, Query, adapt
from tttnn.config.base import Section
from tttnn.config.methods import Recipe
from tttnn.files import replacing
from tttnn.models import context_length, load_causal
from tttnn.resume import Stop, identity

ROWS = pa.schema(
    [
        ("model", pa.string()),
        ("method", pa.string()),
        ("task", pa.string()),
        ("document_id", pa.int64()),
        ("num_neighbors", pa.int32()),
        ("loglikelihood", pa.float64()),  # natural log, summed over the document
        ("bytes", pa.int64()),
        ("words", pa.int64()),
        ("tokens", pa.int64()),
        ("train_loss", pa.float64()),  # mean over the latest neighbour's windows; null before
        ("train_tokens", pa.int64()),
        ("steps", pa.int32()),
        ("train_seconds", pa.float64()),
        ("evaluate_seconds", pa.float64()),
        ("overlap", pa.float64()),  # largest among the neighbours trained on so far
    ]
)
"""A row per document and number of neighbours; see `tttnn.adapt.Measurement`."""


class EvaluateSpec(Section):
    """The method's recipe, and into how many parts a task's documents are dealt."""

    recipe: Recipe
    parts: int


def _documents(
    spec: EvaluateSpec, queries: Path, neighbors: Path, part: int
) -> Iterator[tuple[Query, list[float]]]:
    """The part's documents with their neighbours, and each neighbour's overlap."""
    table = pq.read_table(queries)
    rows = zip(*(table[name].to_pylist() for name in ("query_id", "text")), strict=True)
    mine = [row for position, row in enumerate(rows) if position % spec.parts == part]
    found = pq.read_table(
        neighbors,
        columns=["query_id", "rank", "overlap", "text"],
        filters=(pc.field("rank") < spec.recipe.num_neighbors)
        & pc.field("query_id").isin([query_id for query_id, _ in mine]),
    ).sort_by([("query_id", "ascending"), ("rank", "ascending")])
    by_query: dict[int, list[tuple[str, float]]] = {}
    columns = (found[name].to_pylist() for name in ("query_id", "text", "overlap"))
    for query_id, text, overlap in zip(*columns, strict=True):
        by_query.setdefault(query_id, []).append((text, overlap))
    for query_id, text in mine:
        pairs = by_query.get(query_id, [])
        yield Query(query_id, text, [text for text, _ in pairs]), [overlap for _, overlap in pairs]


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


def _rows(adapted: Adapted, overlaps: list[float]) -> list[dict[str, Any]]:
    largest = [0.0, *accumulate(overlaps, max)]
    rows = []
    for measurement in adapted.measurements:
        if not math.isfinite(measurement.loglikelihood):
            raise ValueError(
                f"document {adapted.query.id} has log-likelihood {measurement.loglikelihood} after "
                f"{measurement.num_neighbors} neighbours: the model diverged; lower the method's "
                "learning_rate, or check the model"
            )
        row = {"document_id": adapted.query.id} | adapted.size._asdict() | asdict(measurement)
        row["overlap"] = largest[measurement.num_neighbors]
        if math.isnan(row["train_loss"]):
            row["train_loss"] = None
        rows.append(row)
    return rows


def evaluate_part(
    spec: EvaluateSpec,
    model: Path,
    queries: Path,
    neighbors: Path,
    method: str,
    task: str,
    part: int,
    output: Path,
) -> None:
    """Evaluate the documents whose place in `queries` is `part` modulo `spec.parts`.

    `output` is parquet, `ROWS`. A row depends on the document, the method, the model and the seed
    alone, so the number of parts changes nothing. (As-released runs carry the optimiser's state
    from document to document: they do depend on it, and a killed one starts again.)

    Raises `ValueError` for a document with too few neighbours or a likelihood that is not finite.
    """
    journal = output.with_name(f".{output.stem}.journal")
    if spec.recipe.as_released:
        journal.unlink(missing_ok=True)
    settings = (spec.model_dump_json(), str(part))
    inputs = (model / "manifest.json", queries, neighbors)
    done, file = _open_journal(journal, identity(__name__, settings, inputs))
    documents = list(_documents(spec, queries, neighbors, part))
    if done:
        print(f"going on after {len(done)} of {len(documents)} documents", file=sys.stderr)
    progress = tqdm(total=len(documents), initial=len(done), unit="doc", mininterval=5)
    with file, progress, Stop() as stop:
        todo = [pair for pair in documents if pair[0].id not in done]
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
            adapted = adapt(network, tokenizer, (query for query, _ in todo), spec.recipe, window)
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
    journal.unlink()
