"""Evaluate one model with one method on a part of a task's documents, and survive being killed.

Each finished document is a line in a journal beside the output. A job that is started again reads
the journal and goes on with the next document; a journal of other inputs, settings or code is
thrown away. A job that is told to end finishes the document it is at, if it is given the time.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import BeforeValidator, SerializeAsAny
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from tttnn.corpus.omissions import left_out, with_left_out
from tttnn.digests import check_model
from tttnn.environment import environment, with_environments
from tttnn.journal import Journal
from tttnn.methods.measure import Adapted, Query
from tttnn.models.folder import choose_window, load_causal
from tttnn.models.tokens import tokens
from tttnn.resume import Stop, identity, journal
from tttnn.sections.base import Section
from tttnn.sections.kinds import METHODS, checked
from tttnn.sections.kinds import engine as engine_of
from tttnn.sections.method import Method
from tttnn.spans import speller
from tttnn.tables import open_table, read_table, write_table

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
        # that no token stands for, see `tttnn.spans`; null for a tokenizer without offsets
        ("lost_characters", pa.int64()),
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
    overlaps: list[tuple[float, ...]]


def _neighbors(path: Path, ids: list[int]) -> dict[int, list[dict[str, Any]]]:
    """Rows of these queries' neighbours, by query, in order of rank."""
    found = read_table(
        path,
        columns=["query_id", "rank", "distance", *OVERLAPS, "text"],
        filters=pc.field("query_id").isin(ids),
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
        for position, row in enumerate(read_table(queries).to_pylist())
        if position % spec.parts == part
    ]
    ids = [row["query_id"] for row in rows]
    by_query = _neighbors(neighbors[0], ids) if neighbors else {}
    cases = []
    for row in rows:
        found = by_query.get(row["query_id"], [])
        used = [neighbor for neighbor in found if not _is_copy(spec, neighbor)][:wanted]
        # enough were found, but too many of them are copies: the neighbours end early on purpose
        passed_over = len(used) < wanted <= len(found)
        is_split = "continuation" in row
        query = Query(
            id=row["query_id"],
            text=row["continuation"] if is_split else row["text"],
            neighbors=[neighbor["text"] for neighbor in used],
            distances=[neighbor["distance"] for neighbor in used],
            context=row["text"] if is_split else None,
            stopped=spec.stops or passed_over,
        )
        overlaps = [tuple(float(neighbor[name]) for name in OVERLAPS) for neighbor in used]
        cases.append(Case(query, overlaps))
    return cases


def _checked(todo: list[Case], tokenizer: PreTrainedTokenizerBase, model: Path) -> Iterator[Query]:
    """The queries; raises `ValueError` for one of which the tokenizer makes no token at all."""
    for query, _ in todo:
        if not tokens(tokenizer, query.text):
            raise ValueError(
                f"document {query.id}: the tokenizer of {model} has no token for any of its "
                f"{len(query.text)} characters, so there is nothing to evaluate: leave its task "
                "out, or take a model whose tokenizer falls back to bytes"
            )
        yield query


def _rows(
    adapted: Adapted, overlaps: list[tuple[float, ...]], lost: int | None
) -> list[dict[str, Any]]:
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
        row["lost_characters"] = lost
        row["exact"] = bool(row["exact"])
        if math.isnan(row["train_loss"]):
            row["train_loss"] = None
        rows.append(row)
    return rows


def _warn(lost: list[int], model: Path, output: Path) -> None:
    """Say how many characters of the documents the model cannot have seen, if there are any."""
    if count := sum(lost):
        print(
            f"warning: {output}: the tokenizer of {model} has no token for {count} characters in "
            f"{len(lost) - lost.count(0)} of {len(lost)} documents; their bytes are counted as if "
            "they had been predicted (column lost_characters)",
            file=sys.stderr,
        )


def evaluate_part(
    spec: EvaluateSpec,
    model: Path,
    queries: Path,
    neighbors: list[Path],
    method: str,
    task: str,
    part: int,
    output: Path,
    engine: str = "auto",
) -> None:
    """Evaluate the documents whose place in `queries` is `part` modulo `spec.parts`.

    `neighbors` is the task's file of them, or empty for a method that uses none. `output` is
    parquet, `ROWS`. A row depends on the document, the method, the model and the seed alone, so the
    number of parts changes nothing. (Recipes that carry something from document to document do
    depend on it, and a killed one starts again.) The file's metadata say what it was made with
    (`tttnn.environment`), and by which engine of the method's kind (`tttnn.methods.engines`):
    `engine` names one, which changes no result beyond rounding.

    Where the tokenizer has no token for some of a document's characters, the others are evaluated,
    all bytes are counted, and a warning and the column `lost_characters` say so. Documents that are
    left out of `queries` (see `tttnn.corpus.omissions`) are left out of the output too.

    Raises `ValueError` for a document with too few neighbours, without any token, or with a
    likelihood that is not finite.
    """
    beside = journal(output)
    if spec.recipe.depends_on_order:
        beside.unlink(missing_ok=True)
    settings = (spec.model_dump_json(), str(part))
    inputs = (model / "manifest.json", queries, *neighbors)
    module = engine_of(METHODS, spec.recipe.kind)
    finished = Journal(beside, identity([__name__, module], settings, inputs))
    done = {rows[0]["document_id"]: rows for rows in finished.entries}
    documents = _cases(spec, queries, neighbors, part)
    if done:
        print(f"going on after {len(done)} of {len(documents)} documents", file=sys.stderr)
    progress = tqdm(total=len(documents), initial=len(done), unit="doc", mininterval=5)
    with finished, progress, Stop() as stop:
        todo = [case for case in documents if case.query.id not in done]
        if todo:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            check_model(model)
            network, tokenizer = load_causal(model, device=device)
            window = choose_window(network, spec.recipe.window, "the method's window")
            spelt = speller(tokenizer)
            texts = _checked(todo, tokenizer, model)
            # by name, so that another engine is no other code
            choice = importlib.import_module("tttnn.methods.engines")
            chosen, adapt = choice.choose(engine, network, spec.recipe, device)
            made_with = environment(device, spec.recipe.computes_in) | {"engine": chosen}
            adapted = adapt(network, tokenizer, texts, spec.recipe, window)
            for result, (query, overlaps) in zip(adapted, todo, strict=True):
                rows = _rows(result, overlaps, spelt.lost(query.text) if spelt else None)
                rows[0]["environment"] = made_with
                finished.append(rows)
                done[query.id] = rows
                progress.update()
                if stop and len(done) < len(documents):
                    stop.leave(f"{len(done)} of {len(documents)} documents")
    names = {"model": model.name, "method": method, "task": task}
    rows = [names | row for query, _ in documents for row in done[query.id]]
    _warn([rows[0]["lost_characters"] or 0 for rows in done.values()], model, output)
    # a document that could not be split is nobody's; each part lists its share of them
    schema = with_left_out(ROWS, left_out(open_table(queries).schema_arrow)[part :: spec.parts])
    environments = [row["environment"] for row in rows if "environment" in row]
    schema = with_environments(schema, environments)
    write_table(output, pa.Table.from_pylist(rows, schema=schema))
    finished.remove()
