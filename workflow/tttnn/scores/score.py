"""From evaluation rows to tables: bits per byte with paired bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tttnn.files import replacing
from tttnn.reading import read_csv
from tttnn.scores.budgets import BUDGET_COLUMNS, budget_rows
from tttnn.scores.cells import Cell, Name, read_cells, read_left_out
from tttnn.scores.duplicates import document_table, share_rows
from tttnn.scores.environments import (
    ENVIRONMENT_COLUMNS,
    environment_rows,
    of_evaluations,
    of_indexes,
    of_queries,
)
from tttnn.scores.estimates import METRICS, Scores, estimate_all
from tttnn.scores.indexes import index_table
from tttnn.scores.inventory import corpus_rows, read_selection, task_rows
from tttnn.scores.latex import summary_tabulars
from tttnn.scores.mixtures import alpha_rows, choose_alphas
from tttnn.scores.near_copies import clean_documents, unchanged_documents
from tttnn.scores.quality_time import QUALITY_COLUMNS, quality_rows, read_selection_seconds
from tttnn.scores.rows import (
    COMPARISON_COLUMNS,
    SCORE_COLUMNS,
    ScoreSpec,
    comparison_rows,
    difference_rows,
    score_rows,
)

ALPHA_COLUMNS = [
    "run",
    "model",
    "method",
    "documents_kind",
    "task",
    "num_neighbors",
    "alpha",
    "bits_per_byte",
    "chosen",
]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def _efficiency_rows(cells: list[Cell], scores: Scores, run: str) -> Iterator[dict[str, Any]]:
    """Bits per byte beside the means of what it took, for each task and number of neighbours."""
    for cell in cells:
        model, method, task = cell.name
        part = scores[model, method][task][METRICS[0]]
        for k, point in enumerate(cell.points):
            yield {
                "run": run,
                "model": model,
                "method": method,
                "task": task,
                "num_neighbors": point,
                "bits_per_byte": part.value[k],
                "seconds": (cell.train_seconds + cell.evaluate_seconds)[:, k].mean(),
                "train_tokens": cell.train_tokens[:, k].mean(),
                "documents": len(cell.documents),
            }


def _cost_rows(cells: list[Cell], spec: ScoreSpec) -> Iterator[dict[str, Any]]:
    for cell in cells:
        neighbors = cell.points[-1]
        if neighbors == 0:
            continue
        seconds = cell.train_seconds[:, -1] / neighbors
        trained = cell.train_seconds[:, -1].sum()
        quantiles = np.quantile(seconds, QUANTILES)
        yield {
            "run": spec.run,
            **cell.name._asdict(),
            "num_neighbors": neighbors,
            "documents": len(cell.documents),
            "seconds_mean": seconds.mean(),
            **{f"seconds_p{q * 100:02.0f}": s for q, s in zip(QUANTILES, quantiles, strict=True)},
            "evaluate_seconds": np.median(cell.evaluate_seconds.mean(axis=1)),
            "tokens_per_second": cell.train_tokens[:, -1].sum() / trained if trained else math.nan,
            "train_seconds_total": trained,
            "evaluate_seconds_total": cell.evaluate_seconds.sum(),
        }


def _write(path: Path, table: pd.DataFrame) -> None:
    with replacing(path) as beside:
        table.to_csv(beside, index=False, lineterminator="\n")


def _files(folder: Path, cells: Iterable[tuple[str, str, str, int]]) -> list[Path]:
    return [
        folder / model / method / task / f"{part}.parquet"
        for model, method, task, parts in cells
        for part in range(parts)
    ]


def _read(
    folder: Path, spec: ScoreSpec, selection: dict[str, dict[str, int]]
) -> tuple[list[Cell], dict[str, set[int]]]:
    """The cells, and each task's documents without halves, which methods on halves leave out."""
    halved = _files(folder, (cell for cell in spec.cells if cell[1] in spec.halves))
    whole = _files(folder, (cell for cell in spec.cells if cell[1] not in spec.halves))
    omitted = read_left_out(halved)
    selected = {task: count["selected"] for task, count in selection.items()}
    with_halves = {task: n - len(omitted.get(task, ())) for task, n in selected.items()}
    cells = {
        cell.name: cell for cell in (*read_cells(whole, selected), *read_cells(halved, with_halves))
    }
    order = (Name(*cell[:3]) for cell in spec.cells)
    return [cells[name] for name in order if name in cells], omitted


def _recall(path: Path) -> pd.DataFrame:
    # whole numbers, where there are any
    return read_csv(path, ["recall"], dtype={"empty_lists": "Int64"})


def score(
    spec: ScoreSpec,
    results: Path,
    selections: list[Path],
    manifests: list[Path],
    recalls: list[Path],
    vectors: list[Path],
    tables: Path,
) -> None:
    """Tables of all cells, in the order of `spec.cells`: the first method there is the main one.

    `results` is the folder of `evaluation/{model}/{method}/{task}/{part}.parquet` and, for methods
    in `spec.mixtures`, of `validation/...`. (A run may have more of these files than fit into a
    command line.) `selections` are `queries/test/selection.json` and, with mixtures, that of `val`;
    `recalls` stand beside what the indexes were made with; `vectors` are the queries' embeddings.

    bits per byte is minus the sum of log-likelihoods by the sum of UTF-8 bytes over a task's
    documents, by ln 2; byte and word perplexity are exp of minus the sum by that of bytes or words.
    `pile_all` weights the tasks as the Pile does (paper section 5), renormalised over the tasks
    that a model and method were evaluated on. Bounds are a bootstrap's percentiles, and empty for
    a single document. Clean documents are those that no neighbour nearly copies.

    - `scores.csv`, `clean.csv`: a row a number; of all documents, and of the clean ones. A task
      without any has no row.
    - `differences.csv`: bits per byte after against before, with the interval of the paired
      difference and ratio, and over how many tasks a `pile_all` is.
    - `comparisons.csv`: each method against the main one at equal numbers of neighbours, paired,
      and how many documents it left exactly as they were.
    - `efficiency.csv`: bits per byte beside seconds, of adaptation and one evaluation, and tokens
      trained on; means over documents.
    - `quality_time.csv`: bits per byte beside seconds of selection, training and evaluation, both
      with intervals, over the tasks of all methods; which points nothing as cheap is as good as.
    - `costs.csv`: seconds of training per neighbour, without the evaluations; quantiles over
      documents.
    - `documents.parquet`: a row a document of every cell: before, after, seconds of training per
      neighbour, overlaps, and how many of its characters the model's tokenizer has no token for.
    - `duplicates.csv`: how many documents have near-copies, and their share of the gain.
    - `alphas.csv`: for methods that mix, the grid of shares, and which was chosen.
    - `budget.csv`: for methods whose documents have seconds, how many neighbours were used and how
      many left out. Without such a method it has no rows.
    - `tasks.csv`, `corpus.csv`: what was there, was rejected, was evaluated, and could not be
      split.
    - `recall.csv`: every index's, from `recalls`.
    - `indexes.csv`: a row an index, recall beside what it costs and what training on its neighbours
      brings.
    - `environment.csv`: with which versions, devices and precisions it was all made.
    - `summary.tex`: before, after and ratio at the largest number of neighbours, raw and clean.

    Raises `ValueError` as `read_cells` does, and where nothing was evaluated at all.
    """
    selected = {path.parent.name: read_selection(path) for path in selections}
    cells, omitted = _read(results / "evaluation", spec, selected["test"])
    if not cells:
        raise ValueError(
            f"{results}/queries/test/selection.json: no document of any evaluated task was selected"
        )
    mixed = [(*cell[:3], 1) for cell in spec.cells if cell[1] in spec.mixtures]
    evaluations = _files(results / "evaluation", spec.cells)
    validations = _files(results / "validation", mixed)
    held = {task: count["selected"] for task, count in selected.get("val", {}).items()}
    validation = read_cells(validations, held) if spec.mixtures else []
    chosen = choose_alphas(cells, validation, spec.mixtures)

    clean = clean_documents(chosen, spec)
    differences: list[dict[str, Any]] = []
    comparisons: list[dict[str, Any]] = []
    for kind, name, keep in (("raw", "scores", None), ("clean", "clean", clean)):
        estimates = estimate_all(chosen, spec, keep)
        table = pd.DataFrame(score_rows(estimates, spec), columns=SCORE_COLUMNS)
        _write(tables / f"{name}.csv", table)
        differences.extend(difference_rows(estimates, kind, spec))
        unchanged = unchanged_documents(chosen, keep)
        comparisons.extend(comparison_rows(estimates, kind, spec, unchanged))
        if kind == "raw":
            efficiency = pd.DataFrame(_efficiency_rows(chosen, estimates, spec.run))
            _write(tables / "efficiency.csv", efficiency)
            took = read_selection_seconds(
                [path.parent / "rates.csv" for path in recalls],
                results / "benchmarks",
                sum(count["selected"] for count in selected["test"].values()),
                spec,
            )
            quality = quality_rows(chosen, estimates, took, spec)
            _write(tables / "quality_time.csv", pd.DataFrame(quality, columns=QUALITY_COLUMNS))
    if not differences:
        raise ValueError("every method was evaluated at 0 neighbours only: extend an evaluate_at")
    difference_table = pd.DataFrame(differences)
    _write(tables / "differences.csv", difference_table)
    _write(tables / "comparisons.csv", pd.DataFrame(comparisons, columns=COMPARISON_COLUMNS))
    _write(tables / "costs.csv", pd.DataFrame(_cost_rows(chosen, spec)))
    _write(
        tables / "alphas.csv",
        pd.DataFrame(alpha_rows(cells, validation, chosen, spec.run), columns=ALPHA_COLUMNS),
    )
    _write(
        tables / "budget.csv",
        pd.DataFrame(budget_rows(evaluations, spec.budgets, spec.run), columns=BUDGET_COLUMNS),
    )
    with replacing(tables / "documents.parquet") as beside:
        document_table(chosen, spec, spec.run).to_parquet(beside, index=False)
    _write(tables / "duplicates.csv", pd.DataFrame(share_rows(chosen, spec, spec.run)))

    corpus = pd.DataFrame(corpus_rows(manifests, spec.run))
    tasks = pd.DataFrame(task_rows(selected["test"], omitted, corpus, chosen, spec.run))
    _write(tables / "corpus.csv", corpus.drop(columns="subsets"))
    _write(tables / "tasks.csv", tasks)
    recall = pd.concat([_recall(path) for path in recalls])
    _write(tables / "recall.csv", recall)
    rates = [path.parent / "rates.csv" for path in recalls]
    _write(tables / "indexes.csv", index_table(recall, rates, difference_table))
    made = [
        *of_evaluations("evaluate_part", evaluations),
        *of_evaluations("validate_part", validations),
        *of_indexes(path.parent / "made.json" for path in recalls),
        *of_queries(vectors),
    ]
    environments = pd.DataFrame(environment_rows(made, spec.run), columns=ENVIRONMENT_COLUMNS)
    _write(tables / "environment.csv", environments)
    with replacing(tables / "summary.tex") as beside:
        beside.write_text(summary_tabulars(difference_table, tasks), encoding="utf-8")
