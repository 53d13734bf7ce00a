"""A run's whole folder, made up: tables and evaluations, and what a record says of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthetic_run import row, run_score, write_manifest, write_rows
from tttnn.digests import write_record
from tttnn.tables import write_table

SCORE = {"resamples": 100, "seed": 7, "confidence": 0.9}

Curve = dict[int, list[float]]
"""Number of neighbours -> bits per byte of each document, in the order of the texts."""


def write_run(
    folder: Path,
    texts: dict[str, list[str]],
    curves: dict[tuple[str, str, str], Curve],
    ids: dict[str, list[int]] | None = None,
    *,
    lost: int = 0,
    config: dict[str, Any] | None = None,
    corpus: str = "of the corpus",
    **spec: Any,
) -> Path:
    """Write a run whose documents are these texts, with these numbers; its folder.

    A document has as many bytes as its text, less `lost` for methods in `spec["halves"]`.
    """
    halves = spec.get("halves", [])
    numbers = ids or {task: list(range(len(some))) for task, some in texts.items()}
    files = []
    for (model, method, task), curve in curves.items():
        sizes = [len(text.encode()) - lost * (method in halves) for text in texts[task]]
        rows = [
            row(
                number,
                point,
                model=model,
                method=method,
                task=task,
                bytes=size,
                loglikelihood=-bits * size * math.log(2),
            )
            for point, all_bits in curve.items()
            for number, size, bits in zip(numbers[task], sizes, all_bits, strict=True)
        ]
        files.append(write_rows(folder / f"evaluation/{model}/{method}/{task}/0.parquet", rows))
    methods = dict.fromkeys(method for _, method, _ in curves)
    run_score(
        folder,
        files,
        {task: len(some) for task, some in texts.items()},
        **{"candidates": dict.fromkeys(methods, "flat"), "halves": []} | spec,
        **SCORE,
    )
    for task, some in texts.items():
        path = folder / f"queries/test/{task}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(path, pa.table({"query_id": pa.array(numbers[task], pa.int64()), "text": some}))
    write_manifest(folder / "corpus/00.json", {"ArXiv": 70}, {})
    told = {"documents": 70, "rejected": {}, "subsets": {"ArXiv": 70}, "sha256": corpus}
    write_record(folder / "corpus/00.json", told)
    models = dict.fromkeys(model for model, _, _ in curves)
    for model in models:
        manifest = folder / f"models/{model}/manifest.json"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        files_of = {"model.safetensors": f"digest of {model}"}
        manifest.write_text(json.dumps({"kind": "train", "parameters": 7, "files": files_of}))
    values = {
        "run": spec.get("run", "made-up"),
        "score": SCORE,
        "methods": {name: {"kind": "ttt", "window": 512} for name in methods},
        "models": {
            model: {
                **{"kind": "train", "steps": 5, "subsets": None, "exclude": []},
                "architecture": {"model_type": "gpt2"},
            }
            for model in models
        },
    }
    (folder / "config.json").write_text(json.dumps(values | (config or {})))
    return folder
