"""Rates and sizes that formulas share, each with where it is from."""

from __future__ import annotations

from typing import NamedTuple

MB = 1e6
FLOAT = 4  # bytes
PYTHON = 130 * MB  # resident: numpy, pyarrow, faiss
PANDAS = 60 * MB  # more, where it is imported as well
TORCH = 480 * MB  # resident: torch and transformers as well

# Seconds and bytes a second on one core, from the benchmark files of the demo (docs/performance.md)
START, START_TORCH = 0.5, 4.0
TEXT_BYTES = 50e6  # of text: decompress, parse, check or cut, compress
TOKENISED = 2e6  # of text: cut into tokens

DISK = 200e6  # bytes a second from a shared file system: assumed
CHOOSING = 0.003  # seconds a query: docs/performance.md, SIFT and HullFT
DISTANCES = 20e9  # multiply-adds a second and core in faiss's exact search: assumed
HUB_BYTES = 50e6  # bytes a second from a model hub: assumed
SHRUNK = 2.5  # text by its bytes in a parquet file, zstd: assumed
PARQUET = 10  # numbers by their bytes in a table, zstd: assumed

TOKEN_BYTES = 4.0  # text of a token, with a vocabulary of 50,000
WINDOW = 1024  # tokens of a model's window where a method gives none: GPT-2's


class Rates(NamedTuple):
    """How fast models run: FLOP a second; seconds of a training step, however small the model."""

    forward: float
    train: float
    step: float
    source: str


CPU = Rates(50e9, 35e9, 0.01, "the demo's benchmarks")
GPU = Rates(125e12, 125e12, 0.05, "40 % of an A100's peak")
"""312 TFLOP/s in bfloat16 (its data sheet): arithmetic, not measured."""
