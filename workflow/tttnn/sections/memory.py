"""The memory that a job of the stages from embeddings to neighbours may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

LEAST_MB = 1000

MemoryMb = Annotated[int, Field(ge=LEAST_MB)]
"""MB (1e6 bytes) of a job: its own processes, and Snakemake's inside a cluster's job."""

BASE = 600e6
"""Bytes that are not for data: Snakemake's process, the interpreter and its libraries."""
SLACK = 1.25  # what allocators keep and temporaries add


def room(memory_mb: int) -> int:
    """Bytes for a job's data, by what it may use in all.

    Stages make their blocks and groups by it, formulas say with it what a job needs at most
    (`tttnn.retrieval.needs`). It changes no result.
    """
    return max(1, int((memory_mb * 1e6 - BASE) / SLACK))
