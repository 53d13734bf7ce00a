"""What jobs spent, by Snakemake's benchmark files and the logs of those that a worker did."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from tttnn.worker import handed_over

GPU_RULES = {
    "embed_chunk",
    "embed_queries",
    "embed_windows",
    "search_shard",  # of an exact index
    "train_model",
    "train_embedder",
    "evaluate_part",
    "validate_part",
    "evaluate_tuned",
    "evaluate_windows",
    "train_expert",
    "evaluate_experts",
}
"""Rules whose jobs compute on a GPU, where `environment` is `gpu`."""


class Used(NamedTuple):
    """What a job used, by its benchmark file: bytes at most, seconds of a processor and a clock."""

    memory: float
    seconds: float
    wall: float


def of_job(benchmark: Path, log: Path | None) -> Used | None:
    """What a job used, by its benchmark file; None where there is none.

    Of one that was handed to the run's worker Snakemake saw only who waited for it; the end of its
    log says what it used.
    """
    if not benchmark.is_file():
        return None
    with benchmark.open(encoding="utf-8") as file:
        row = next(csv.DictReader(file, delimiter="\t"))
    memory, cpu = (0.0 if row[n] in ("NA", "-") else float(row[n]) for n in ("max_rss", "cpu_time"))
    spent = Used(memory * 2**20, cpu or float(row["s"]), float(row["s"]))
    handed = handed_over(log) if log else None
    return spent._replace(seconds=handed[0], memory=handed[1]) if handed else spent
