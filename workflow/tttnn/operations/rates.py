"""What a job's cost is reckoned with: rates, each with where it is from."""

from __future__ import annotations

import csv
from functools import cache
from typing import NamedTuple

from tttnn.operations.sizes import PUBLISHED, Shape

MB = 1e6
PYTHON = 130 * MB  # resident: numpy, pyarrow, faiss
TORCH = 480 * MB  # resident: torch and transformers as well
ENCODED = 56  # a byte of text in tokenizers' hands, cut off or not: measured, 4,096 texts at once

# Seconds and FLOP/s on one core, from the benchmark files of the demo (docs/performance.md).
START, START_TORCH = 0.5, 4.0
CPU = {"forward": 50e9, "train": 35e9}
STEP_SECONDS = 0.01  # of a training step of a small model, whatever its size
TEXT_BYTES = 50e6  # of text a second: decompress, parse, check or cut, compress
# 40 % of an A100's 312 TFLOP/s in bfloat16 (its data sheet): arithmetic, not measured
GPU = {"forward": 125e12, "train": 125e12}
GPU_STEP_SECONDS = 0.05
DISK = 200e6  # bytes a second from a shared file system: assumed
DISTANCES = 20e9  # multiply-adds a second and core in faiss's exact search: assumed

HEADROOM = 1.5  # a rule asks for so much more memory than is expected,
SLURM_MB = 400  # and for Snakemake's own processes inside a job,
PATIENCE = 3.0  # and for so much more time
LEAST_MB, LEAST_MINUTES = 1000, 30


class Estimate(NamedTuple):
    """Of one job: bytes of memory, seconds, bytes of output; how the seconds were found.

    `device` is the memory that a GPU needs, if the job runs on one.
    """

    memory: float
    seconds: float
    disk: float
    source: str
    device: float = 0.0


def activations(size: Shape, tokens: float, training: bool) -> float:
    """Bytes of float32 activations of so many tokens at once, attention not materialised.

    Of training, what the backward pass needs of each layer, 16 numbers for each of its widths
    (Korthikanti et al. 2022, arXiv 2205.05198, section 4.1: 34 bytes with 2 a number, of which 2
    are masks), and the logits with their gradient; else a few layers' worth.
    """
    if training:
        return 4 * tokens * (16 * size.layers * size.width + 3 * size.vocabulary)
    return 4 * tokens * 8 * size.width


@cache
def published_seconds() -> dict[tuple[str, str], float]:
    """By model and task: seconds of training a neighbour on an A100, as published."""
    with (PUBLISHED / "seconds.csv").open(encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return {(r["model"], r["task"]): float(r["seconds_per_neighbor"]) for r in rows}
