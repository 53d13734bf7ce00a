"""A run's evaluation results, made up: many documents, every shape that real ones have."""

from __future__ import annotations

import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tttnn.digests import write_record
from tttnn.environment import FIELDS, with_environments
from tttnn.pile import TASKS
from tttnn.scores.rows import ScoreSpec
from tttnn.scores.score import score
from tttnn.tables import write_table

MADE_WITH = {field: f"a {field}" for field in FIELDS}
POINTS = [0, 1, 2, 5, 10, 20, 50]
HALVES = {"second_half": "flat", "dynamic": None}
ABLATIONS = {
    # share of the main method's gain, of its seconds, and of its tokens
    "sift": (1.1, 1.4, 0.9),
    "farthest": (0.7, 1.0, 1.0),
    "lora": (0.8, 0.6, 1.0),
    "batch": (0.9, 6.0, 20.0),
    "in_context": (0.1, 0.0, 1.0),
    "second_half": (0.8, 1.0, 1.0),
    "dynamic": (0.5, 1.0, 0.3),
}
CANDIDATES = {
    "nearest": "flat",
    "shuffled": "random",
    **dict.fromkeys(ABLATIONS, "flat"),
    **HALVES,
}
RECALL = {"flat": ("Flat", 1, 1, 1), "ivf": ('"IVF64,Flat, nprobe 16"', 0.91, 0.97, 0.985)}
RATES = "index,index_bytes,embedding_bytes,build_seconds,batched_per_second,single_per_second"
COST = {"flat": "0.0,516.0,0.0,900.0,25.5", "ivf": "532.5,516.0,61.5,21000.0,640.0"}

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "method", "task")),
        ("document_id", pa.int64()),
        ("num_neighbors", pa.int32()),
        ("alpha", pa.float64()),
        ("loglikelihood", pa.float64()),
        *((name, pa.int64()) for name in ("bytes", "words", "tokens", "lost_characters")),
        ("train_loss", pa.float64()),
        ("train_tokens", pa.int64()),
        ("steps", pa.int32()),
        *((name, pa.float64()) for name in ("train_seconds", "evaluate_seconds")),
        ("exact", pa.bool_()),
        *((name, pa.float64()) for name in ("overlap", "jaccard")),
        *((name, pa.int32()) for name in ("used_neighbors", "over_budget")),
    ]
)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write an evaluation file; no rows give a file with the schema alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = with_environments(SCHEMA, [MADE_WITH] if rows else [])
    write_table(path, pa.Table.from_pylist(rows, schema=schema))
    return path


def row(document: int, neighbors: int, **values: Any) -> dict[str, Any]:
    """One evaluation row; `values` replace what is not in question."""
    return {
        "model": "small",
        "method": "nearest",
        "task": "pile_arxiv",
        "document_id": document,
        "num_neighbors": neighbors,
        "alpha": None,
        "loglikelihood": -100.0,
        "bytes": 100,
        "words": 20,
        "tokens": 30,
        "lost_characters": 0,
        "train_loss": float("nan") if neighbors == 0 else 3.0,
        "train_tokens": 500 * neighbors,
        "steps": neighbors,
        "train_seconds": 0.5 * neighbors,
        "evaluate_seconds": 0.1,
        "exact": False,
        "overlap": 0.0,
        "jaccard": 0.0,
        "used_neighbors": neighbors,
        "over_budget": None,
    } | values


def write_selection(path: Path, selected: dict[str, int]) -> Path:
    """The selection; a task that `selected` does not name has no documents."""
    counts = {
        task: {"test_documents": 5 * selected.get(task, 0), "selected": selected.get(task, 0)}
        for task in TASKS
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, {"tasks": counts})
    return path


def write_manifest(path: Path, subsets: dict[str, int], rejected: dict[str, int]) -> Path:
    """What a shard of the corpus holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest = {"documents": sum(subsets.values()), "rejected": rejected, "subsets": subsets}
    write_record(path, manifest)
    return path


def write_recall(path: Path, index: str) -> Path:
    """What an index found."""
    path.parent.mkdir(parents=True, exist_ok=True)
    factory, *values = RECALL[index]
    lines = [
        f"{index},{factory},{k},{v},500,210000" for k, v in zip((1, 10, 100), values, strict=True)
    ]
    path.write_text("\n".join(["index,factory,k,recall,queries,ntotal", *lines, ""]))
    (path.parent / "rates.csv").write_text(f"{RATES}\n{index},{COST[index]}\n")
    made = path.parent / "made.json"
    embeddings = [{"environment": MADE_WITH, "chunks": 16}]
    write_record(made, {"environments": [MADE_WITH], "embeddings": embeddings})
    return path


def run_score(
    folder: Path,
    evaluations: list[Path],
    selected: dict[str, int],
    validation: dict[str, int] | None = None,
    **spec: Any,
) -> Path:
    """Run the stage on these files; the folder of its tables."""
    tables = folder / "tables"
    manifests = [
        write_manifest(folder / "corpus" / "00.json", {"ArXiv": 70, "Github": 30}, {}),
        write_manifest(folder / "corpus" / "01.json", {"ArXiv": 7}, {"empty text": 2}),
        write_manifest(folder / "corpus" / "test.json", {"ArXiv": 5}, {"no subset": 1}),
    ]
    cells = Counter(path.parts[-4:-1] for path in evaluations)
    score(
        spec=ScoreSpec(
            **{
                "run": "made-up",
                "candidates": CANDIDATES,
                "mixtures": {},
                "halves": list(HALVES),
                "searched": {index: [index] for index in RECALL},
                "selections": [],
                "budgets": {},
            }
            | spec,
            cells=[(*name, parts) for name, parts in cells.items()],
        ),
        results=evaluations[0].parents[4],
        selections=[
            write_selection(folder / f"queries/{split}/selection.json", counts)
            for split, counts in (("test", selected), ("val", validation or {}))
        ],
        manifests=manifests,
        recalls=[write_recall(folder / f"index/{index}/recall.csv", index) for index in RECALL],
        vectors=[],
        tables=tables,
    )
    return tables


def draw_task(model: str, method: str, task: str, documents: int) -> list[dict[str, Any]]:
    """Rows of one cell. Documents differ by far more than training changes them."""
    drawn = np.random.default_rng(zlib.crc32(task.encode()))
    level, gain, length = drawn.uniform(0.8, 2.0), drawn.beta(1.5, 4), drawn.uniform(6, 10)
    size = np.ceil(np.exp(drawn.normal(length, 0.8, documents))).astype(int) + 50
    bits = level * np.exp(drawn.normal(0, 0.15, documents))
    overlap = drawn.beta(0.5, 2, documents)
    scale = 1 if model == "small" else 0.85 if model == "medium" else 0.65
    gain_part, seconds_part, tokens_part = ABLATIONS.get(method, (1.0, 1.0, 1.0))
    if method == "shuffled":
        gain, overlap = -0.02, 0 * overlap
    if method in HALVES:
        bits = 1.1 * bits
    noise = np.random.default_rng(zlib.crc32(f"{model}/{method}/{task}".encode()))
    rows = []
    for document in range(documents):
        seconds = size[document] / 2e4 / scale**3 * np.exp(noise.normal(0, 0.3))
        own = gain_part * gain * scale * (0.5 + overlap[document]) + noise.normal(0, 0.01)
        copied = overlap[document] > 0.7
        for point in POINTS:
            trained = np.log1p(point) / np.log1p(POINTS[-1])
            rows.append(
                row(
                    1000 + document,
                    point,
                    model=model,
                    method=method,
                    task=task,
                    loglikelihood=-np.log(2)
                    * (size[document] * bits[document] * scale * (1 - own * trained)),
                    bytes=int(size[document]),
                    words=int(size[document]) // 6 + 1,
                    train_seconds=seconds_part * seconds * point,
                    train_tokens=int(tokens_part * size[document] * point / 4),
                    evaluate_seconds=size[document] / 1e5,
                    overlap=overlap[document] if point else 0.0,
                    exact=bool(copied and point and document % 2),
                )
            )
    return rows


def make_run(
    folder: Path,
    selected: dict[str, int],
    models: tuple[str, ...] = ("small", "medium", "large"),
    methods: tuple[str, ...] = ("nearest", "shuffled"),
    ablations: tuple[str, ...] = (),
    ablated: tuple[str, ...] = (),
    **spec: Any,
) -> Path:
    """A whole run over the selected tasks; the folder of its tables, recall among them.

    `ablations` are more methods, evaluated with the first model on the tasks `ablated`.
    """
    evaluations = [
        write_rows(
            folder / "evaluation" / model / method / task / "0.parquet",
            draw_task(model, method, task, selected.get(task, 0)),
        )
        for method in methods
        for model in models
        for task in TASKS
    ] + [
        write_rows(
            folder / "evaluation" / models[0] / method / task / "0.parquet",
            draw_task(models[0], method, task, selected.get(task, 0)),
        )
        for method in ablations
        for task in ablated
    ]
    return run_score(folder, evaluations, selected, **spec)
