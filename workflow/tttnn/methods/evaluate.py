"""Evaluate one model with one method on a part of a task's documents, and survive being killed.

Each finished document is a line in a journal beside the output. A job that is started again reads
the journal and goes on with the next document; a journal of other inputs, settings or code is
thrown away. A document that takes long is saved itself at numbers of neighbours where it is
measured (`tttnn.methods.snapshot`), if the kind of method has a state that can be kept. A job that
is told to end does so at the next of these, or when its document is finished.
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
from transformers import PreTrainedTokenizerBase

from tttnn.corpus.omissions import left_out, with_left_out
from tttnn.digests import check_model
from tttnn.environment import environment, with_environments
from tttnn.journal import Journal
from tttnn.methods.deal import deal, read_lengths
from tttnn.methods.flop import of_folder
from tttnn.methods.kept import digest, find, keep
from tttnn.methods.measure import Adapted, Query
from tttnn.methods.progress import Progress, warn_of_long
from tttnn.methods.snapshot import Snapshot, forget, taken_by
from tttnn.models.folder import choose_window, load_causal
from tttnn.models.tokens import tokens
from tttnn.resume import Stop, identity, journal, snapshot
from tttnn.sections.base import Section
from tttnn.sections.fitting import fitted
from tttnn.sections.kinds import METHODS, checked
from tttnn.sections.kinds import engine as engine_of
from tttnn.sections.lengths import Lengths
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
        # fewer than num_neighbors where a selection stopped, copies or the budget left some out
        ("used_neighbors", pa.int32()),
        ("over_budget", pa.int32()),  # left out by the budget; null for a method without one
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
    """A query, the overlaps of its neighbours, what it costs and what it does without.

    Overlaps are in the order of `OVERLAPS`, for each neighbour. `over_budget` counts those that the
    method would use if they fitted into its budget, None for a method without one.
    """

    query: Query
    overlaps: list[tuple[float, ...]]
    cost: int
    over_budget: int | None

    def digest(self, recipe: Method) -> str:
        """Of all that the document's rows depend on with this recipe, but for it and the model."""
        told = asdict(self.query)
        if not recipe.uses_distances:  # which other queries beside it may change in the last digit
            del told["distances"]
        return digest(told, self.overlaps, self.over_budget)


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


def _dealt(
    spec: EvaluateSpec, model: Path, queries: Path, neighbors: list[Path], part: int
) -> Iterator[tuple[int, Lengths]]:
    """The places of the part's documents in `queries`, with the lengths of what is to be used."""
    recipe = spec.recipe
    lengths = read_lengths(queries, neighbors, recipe.num_neighbors, spec.max_overlap)
    if recipe.time_budget is not None:
        flop, window = of_folder(model, recipe.window)
        exact = recipe.model_copy(update={"window": window})
        lengths = fitted(exact, recipe.time_budget, lengths, flop)
    costs = [one.cost(recipe) for one in lengths]
    return ((place, lengths[place]) for place in deal(costs, spec.parts)[part])


def _cases(
    spec: EvaluateSpec, model: Path, queries: Path, neighbors: list[Path], part: int
) -> list[Case]:
    """The part's documents, in the order of `queries`, with the neighbours to be used."""
    recipe, wanted = spec.recipe, spec.recipe.num_neighbors
    table = read_table(queries)
    dealt = dict(_dealt(spec, model, queries, neighbors, part))
    rows = table.take(pa.array(dealt, pa.int64())).to_pylist()
    by_query = _neighbors(neighbors[0], [row["query_id"] for row in rows]) if neighbors else {}
    cases = []
    for row, lengths in zip(rows, dealt.values(), strict=True):
        found = by_query.get(row["query_id"], [])
        fit = [neighbor for neighbor in found if not _is_copy(spec, neighbor)][:wanted]
        used = fit[: len(lengths.neighbors)]
        # enough were found, but too many of them are copies: the neighbours end early on purpose
        passed_over = len(fit) < wanted <= len(found)
        over_budget = len(fit) - len(used)
        is_split = "continuation" in row
        query = Query(
            id=row["query_id"],
            text=row["continuation"] if is_split else row["text"],
            neighbors=[neighbor["text"] for neighbor in used],
            distances=[neighbor["distance"] for neighbor in used],
            context=row["text"] if is_split else None,
            stopped=spec.stops or passed_over or over_budget > 0,
        )
        overlaps = [tuple(float(neighbor[name]) for name in OVERLAPS) for neighbor in used]
        limited = None if recipe.time_budget is None else over_budget
        cases.append(Case(query, overlaps, lengths.cost(recipe), limited))
    return cases


def _checked(todo: list[Case], tokenizer: PreTrainedTokenizerBase, model: Path) -> Iterator[Query]:
    """The queries; raises `ValueError` for one of which the tokenizer makes no token at all."""
    for query in (case.query for case in todo):
        if not tokens(tokenizer, query.text):
            raise ValueError(
                f"document {query.id}: the tokenizer of {model} has no token for any of its "
                f"{len(query.text)} characters, so there is nothing to evaluate: leave its task "
                "out, or take a model whose tokenizer falls back to bytes"
            )
        yield query


def _rows(adapted: Adapted, case: Case, lost: int | None) -> list[dict[str, Any]]:
    overlaps = case.overlaps
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
        row |= {"used_neighbors": used, "over_budget": case.over_budget}
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
    """Evaluate the part's share of the documents in `queries`, dealt so that parts cost the same.

    `neighbors` is the task's file of them, or empty for a method that uses none. `output` is
    parquet, `ROWS`. A row depends on the document, the method, the model and the seed alone, so the
    number of parts changes nothing. Rows are in the order of `queries`; the costliest document is
    evaluated first, so that one that is too long for the memory fails at once, and documents of
    like length follow one another. (Recipes that carry something from document to document do
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
    made_from = identity([__name__, module], settings, inputs)
    finished = Journal(beside, made_from)
    done = {rows[0]["document_id"]: rows for rows in finished.entries}
    documents = _cases(spec, model, queries, neighbors, part)
    if done:
        print(f"going on after {len(done)} of {len(documents)} documents", file=sys.stderr)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    alike = identity([__name__, module], [spec.model_dump_json(exclude={"parts"})], inputs[:1])
    if not spec.recipe.depends_on_order:
        missing = [case for case in documents if case.query.id not in done]
        names = {case.digest(spec.recipe): case.query.id for case in missing}
        here = environment(device, spec.recipe.computes_in)
        known = find(output, alike, names, here, engine)
        finished.append(*known.values())
        done |= {names[name]: rows for name, rows in known.items()}
    waiting = [(case.query, case.cost) for case in documents if case.query.id not in done]
    warn_of_long(spec.recipe, waiting)
    # of text to read, so that the time that is left is told by more than a count
    progress = Progress({case.query.id: case.cost for case in documents}, done)
    with finished, progress, Stop() as stop:
        todo = [case for case in documents if case.query.id not in done]
        if not spec.recipe.depends_on_order:
            todo.sort(key=lambda case: -case.cost)
        if todo:
            check_model(model)
            network, tokenizer = load_causal(model, device=device)
            window = choose_window(network, spec.recipe.window, "the method's window")
            spelt = speller(tokenizer)
            texts = _checked(todo, tokenizer, model)
            # by name, so that another engine is no other code
            choice = importlib.import_module("tttnn.methods.engines")
            chosen, adapt = choice.choose(engine, network, spec.recipe, device)
            made_with = environment(device, spec.recipe.computes_in) | {"engine": chosen}
            resume = Snapshot(
                snapshot(output),
                made_from,
                made_with,
                stop,
                lambda more: stop.leave(f"{len(done)} of {len(documents)} documents{more}"),
            )
            adapted = adapt(
                network,
                tokenizer,
                texts,
                spec.recipe,
                window,
                **taken_by(adapt, spec.recipe, resume),
            )
            for result, case in zip(adapted, todo, strict=True):
                lost = spelt.lost(case.query.text) if spelt else None
                rows = _rows(result, case, lost)
                for row, where in zip(rows, [made_with, *resume.environments], strict=False):
                    row["environment"] = where
                finished.append(rows)
                resume.remove()
                done[case.query.id] = rows
                progress.finish(case.query.id)
                if stop and len(done) < len(documents):
                    stop.leave(f"{len(done)} of {len(documents)} documents")
    names = {"model": model.name, "method": method, "task": task}
    rows = [names | row for case in documents for row in done[case.query.id]]
    _warn([rows[0]["lost_characters"] or 0 for rows in done.values()], model, output)
    # a document that could not be split is nobody's; each part lists its share of them
    schema = with_left_out(ROWS, left_out(open_table(queries).schema_arrow)[part :: spec.parts])
    environments = [row["environment"] for row in rows if "environment" in row]
    schema = with_environments(schema, environments)
    write_table(output, pa.Table.from_pylist(rows, schema=schema))
    forget(snapshot(output))
    if documents and not spec.recipe.depends_on_order:
        rows_of = {case.digest(spec.recipe): done[case.query.id] for case in documents}
        keep(output, alike, rows_of)
    finished.remove()
