"""Evaluate one model window by window on a part of a task's documents, and survive being killed.

As `tttnn.methods.evaluate`, with a journal of finished documents; a document that is half done when
its job ends is done again.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import torch

from tttnn.digests import check_model
from tttnn.environment import environment, with_environments
from tttnn.journal import Journal
from tttnn.methods.deal import deal
from tttnn.methods.evaluate import OVERLAPS, ROWS
from tttnn.methods.kept import AUTO, digest, find, keep
from tttnn.methods.likelihood import size
from tttnn.methods.measure import Query
from tttnn.methods.progress import Progress, warn_of_long
from tttnn.methods.windows.engine import Document, Measured, adapt
from tttnn.methods.windows.settings import WindowRecipe
from tttnn.models.folder import choose_window, load_causal
from tttnn.resume import Stop, identity, journal
from tttnn.sections.base import Section
from tttnn.spans import speller
from tttnn.tables import read_table, write_table

NAMES = [("model", pa.string()), ("method", pa.string()), ("task", pa.string())]
WINDOWS = pa.schema(
    [
        *NAMES,
        # the recipe's, so that no table of windows is without them
        ("query", pa.string()),
        ("carry", pa.bool_()),
        ("chunk_tokens", pa.int32()),  # null where scored windows are not trained on
        ("document_id", pa.int64()),
        ("window", pa.int32()),  # from 0
        ("windows", pa.int32()),  # of the document, evaluated or not
        ("num_neighbors", pa.int32()),
        ("loglikelihood", pa.float64()),
        ("bytes", pa.int64()),
        ("words", pa.int64()),
        ("tokens", pa.int64()),
        # since the window before was measured, so that their sums are the document's
        ("train_loss", pa.float64()),
        ("train_tokens", pa.int64()),
        ("steps", pa.int32()),
        ("train_seconds", pa.float64()),
        ("evaluate_seconds", pa.float64()),
        # of the neighbours found for this window, or for the document: see `evaluate.ROWS`
        ("exact", pa.bool_()),
        ("overlap", pa.float64()),
        ("jaccard", pa.float64()),
        ("used_neighbors", pa.int32()),
    ]
)
"""A row per document, window and number of neighbours."""

SUMMED = ("loglikelihood", "train_tokens", "steps", "train_seconds", "evaluate_seconds")


class WindowsSpec(Section):
    """The method's recipe, and into how many parts a task's documents are dealt."""

    recipe: WindowRecipe
    parts: int
    max_overlap: float | None = None  # neighbours that overlap this much are passed over
    stops: bool = False  # whether a selection may have ended a query's neighbours early


class Search(NamedTuple):
    """A query with the neighbours that are used, and their overlaps in the order of `OVERLAPS`."""

    query: Query
    overlaps: list[tuple[float, ...]]


class Case(NamedTuple):
    """A document, its searches, and how many windows and bytes it has."""

    document: Document
    searches: list[Search]  # one for each window, one for all, or none
    windows: int
    bytes: int

    @property
    def digest(self) -> str:
        """Of all that the document's rows depend on, but for the model and the method."""
        overlaps = [search.overlaps for search in self.searches]
        return digest(asdict(self.document), overlaps, self.windows)

    def cost(self, recipe: WindowRecipe) -> int:
        """What it is expected to cost, in bytes that the model reads forward."""
        training = recipe.training()
        read = [
            training.work(0, 0, [len(text.encode()) for text in search.query.neighbors]).read
            for search in self.searches
        ]
        return max(1, len(recipe.evaluate_at) * self.bytes + sum(read))

    def overlaps(self, window: int) -> list[tuple[float, ...]]:
        """Of the neighbours that a window is evaluated after."""
        own = self.searches[window:] if len(self.searches) > 1 else self.searches
        return own[0].overlaps if own else []


def _neighbors(paths: list[Path], ids: list[int]) -> dict[int, list[dict[str, Any]]]:
    """Rows of these queries' neighbours, by query, in order of rank."""
    by_query: dict[int, list[dict[str, Any]]] = {}
    for path in paths:
        columns = ["query_id", "rank", *OVERLAPS, "text"]
        rows = read_table(path, columns=columns, filters=pc.field("query_id").isin(ids))
        for row in rows.sort_by([("query_id", "ascending"), ("rank", "ascending")]).to_pylist():
            by_query.setdefault(row["query_id"], []).append(row)
    return by_query


def _search(spec: WindowsSpec, name: int, found: list[dict[str, Any]], has_none: bool) -> Search:
    """What is used of what was found; `has_none` of a first window, which has no past to search."""
    wanted, below = spec.recipe.num_neighbors, spec.max_overlap
    used = [row for row in found if below is None or row["overlap"] < below][:wanted]
    passed_over = len(used) < wanted <= len(found)
    texts = [row["text"] for row in used]
    query = Query(name, "", texts, stopped=has_none or spec.stops or passed_over)
    return Search(query, [tuple(float(row[each]) for each in OVERLAPS) for row in used])


def _lengths(windows: Path) -> dict[int, int]:
    """Bytes of each document, in the order of the file."""
    table = read_table(windows, columns=["document_id", "text"])
    table = table.set_column(1, "bytes", pc.binary_length(table["text"]))
    sums = table.group_by("document_id", use_threads=False).aggregate([("bytes", "sum")])
    columns = (sums[name].to_pylist() for name in ("document_id", "bytes_sum"))
    return dict(zip(*columns, strict=True))


def _cases(spec: WindowsSpec, windows: Path, neighbors: list[Path], part: int) -> list[Case]:
    """The part's documents, in the order of `windows`, with the neighbours to be used.

    They are dealt by bytes: that many windows they have, with as many neighbours each.
    """
    lengths = _lengths(windows)
    names = [*lengths]
    mine = [names[place] for place in deal([*lengths.values()], spec.parts)[part]]
    kept = read_table(windows, filters=pc.field("document_id").isin(mine))
    documents: dict[int, list[dict[str, Any]]] = {name: [] for name in mine}
    for row in kept.to_pylist():
        documents[row["document_id"]].append(row)
    asked = spec.recipe.query
    found = _neighbors(neighbors, mine if asked == "document" else kept["query_id"].to_pylist())
    cases = []
    for name, rows in documents.items():
        searched = {"document": [name], "none": []}.get(asked, [row["query_id"] for row in rows])
        searches = [
            _search(spec, query, found.get(query, []), asked == "past" and place == 0)
            for place, query in enumerate(searched)
        ]
        texts = [row["text"] for row in rows]
        document = Document(name, texts, [search.query for search in searches])
        cases.append(Case(document, searches, rows[0]["windows"], lengths[name]))
    return cases


def _largest(overlaps: list[tuple[float, ...]]) -> dict[str, Any]:
    """By name, the largest of some neighbours' overlaps."""
    exact, overlap, jaccard = map(max, zip((0.0, 0.0, 0.0), *overlaps, strict=True))
    return {"exact": bool(exact), "overlap": overlap, "jaccard": jaccard}


def _rows(measured: Measured, case: Case, recipe: WindowRecipe) -> list[dict[str, Any]]:
    """A row for each window and number of neighbours, as in `WINDOWS`, without its names."""
    chunk = recipe.score_first.chunk_tokens if recipe.score_first else None
    shared = {"query": recipe.query, "carry": recipe.carry, "chunk_tokens": chunk}
    shared |= {"document_id": case.document.id, "windows": case.windows}
    rows = []
    for place, (one, own) in enumerate(zip(measured.sizes, measured.measurements, strict=True)):
        overlaps = case.overlaps(place)
        for measurement in own:
            if not math.isfinite(measurement.loglikelihood):
                raise ValueError(
                    f"document {case.document.id}, window {place}, has log-likelihood "
                    f"{measurement.loglikelihood} at {measurement.num_neighbors} neighbours: "
                    "training diverged; lower the method's learning_rate"
                )
            values = asdict(measurement)
            del values["alpha"]  # nothing is mixed
            used = min(measurement.num_neighbors, len(overlaps))
            row = shared | {"window": place} | one._asdict() | values
            row |= _largest(overlaps[:used]) | {"used_neighbors": used}
            if math.isnan(row["train_loss"]):
                row["train_loss"] = None
            rows.append(row)
    return rows


def _document_rows(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each number of neighbours, as in `evaluate.ROWS`: the document's windows summed."""
    windows = entry["windows"]
    for count in dict.fromkeys(row["num_neighbors"] for row in windows):
        rows = [row for row in windows if row["num_neighbors"] == count]
        yield {
            "document_id": entry["document"],
            "num_neighbors": count,
            "alpha": None,
            **{name: sum(row[name] for row in rows) for name in SUMMED},
            **entry["size"],
            "lost_characters": entry["lost"],
            "train_loss": rows[-1]["train_loss"],
            **_largest([tuple(row[name] for name in OVERLAPS) for row in rows]),
            "used_neighbors": max(row["used_neighbors"] for row in rows),
            "over_budget": None,
        }


def evaluate_windows(
    spec: WindowsSpec,
    model: Path,
    windows: Path,
    neighbors: list[Path],
    method: str,
    task: str,
    part: int,
    output: Path,
    scored: Path,
) -> None:
    """Evaluate the part's share of the documents whose windows are in `windows`.

    `windows` is the task's file of `tttnn.methods.cut_windows`, `neighbors` that of the neighbours
    of the recipe's queries, or empty where these are `none`. `scored` is parquet, `WINDOWS`;
    `output` has the documents' sums, in the form that all methods have (`evaluate.ROWS`), where
    bytes and words are those of the windows evaluated.

    A row depends on the document, the method, the model and the seed alone, so the number of parts
    changes nothing. The longest document is evaluated first.

    Raises `ValueError` for a query with too few neighbours, and a likelihood that is not finite.
    """
    settings = (spec.model_dump_json(), str(part))
    inputs = (model / "manifest.json", windows, *neighbors)
    finished = Journal(journal(output), identity([__name__], settings, inputs))
    done = {entry["document"]: entry for entry in finished.entries}
    cases = _cases(spec, windows, neighbors, part)
    if done:
        print(f"going on after {len(done)} of {len(cases)} documents", file=sys.stderr)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    alike = identity([__name__], [spec.model_dump_json(exclude={"parts"})], inputs[:1])
    names = {case.digest: case.document.id for case in cases if case.document.id not in done}
    here = environment(device, spec.recipe.computes_in)
    for entry, *_ in find(output, alike, names, here, AUTO).values():
        finished.append(entry)
        done[entry["document"]] = entry
    todo = sorted(
        (case for case in cases if case.document.id not in done), key=lambda case: -case.bytes
    )
    costs = {case.document.id: case.cost(spec.recipe) for case in cases}
    first = [(one.query, costs[case.document.id]) for case in todo for one in case.searches[:1]]
    warn_of_long(spec.recipe, first)
    progress = Progress(costs, done)
    with finished, progress, Stop() as stop:
        if todo:
            check_model(model)
            network, tokenizer = load_causal(model, device=device)
            window = choose_window(network, spec.recipe.window, "the method's window")
            spelt = speller(tokenizer)
            made_with = environment(device, spec.recipe.computes_in) | {"engine": "windows"}
            read = adapt(network, tokenizer, (case.document for case in todo), spec.recipe, window)
            for measured, case in zip(read, todo, strict=True):
                text = "".join(case.document.windows)
                count = sum(one.tokens for one in measured.sizes)
                entry = {
                    "document": case.document.id,
                    "windows": _rows(measured, case, spec.recipe),
                    "size": size(text, range(count))._asdict(),
                    "lost": spelt.lost(text) if spelt else None,
                    "environment": made_with,
                }
                finished.append(entry)
                done[case.document.id] = entry
                progress.finish(case.document.id)
                if stop and len(done) < len(cases):
                    stop.leave(f"{len(done)} of {len(cases)} documents")
    of = {"model": model.name, "method": method, "task": task}
    entries = [done[case.document.id] for case in cases]
    environments = [entry["environment"] for entry in entries]
    for path, schema, rows in (
        (scored, WINDOWS, (row for entry in entries for row in entry["windows"])),
        (output, ROWS, (row for entry in entries for row in _document_rows(entry))),
    ):
        table = pa.Table.from_pylist(
            [of | row for row in rows], schema=with_environments(schema, environments)
        )
        write_table(path, table)
    if cases:
        keep(output, alike, {case.digest: [done[case.document.id]] for case in cases})
    finished.remove()
