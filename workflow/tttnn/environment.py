"""With what a result was made: what the code fingerprint does not cover.

Another version of a library reruns nothing, and may change the last digits of a number; so each
evaluation, embedding and index says what it was made with, and `tables/environment.csv` lists it.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pyarrow as pa

DISTRIBUTIONS = {
    "torch": ("torch",),
    "transformers": ("transformers",),
    "tokenizers": ("tokenizers",),
    "peft": ("peft",),
    "faiss": ("faiss-cpu", "faiss-gpu-cu12", "faiss-gpu-cu11", "faiss-gpu", "faiss"),
    "numpy": ("numpy",),
    "pyarrow": ("pyarrow",),
}
FIELDS = ("python", *DISTRIBUTIONS, "device", "precision")
"""What an environment has, all of them strings; a library that is not installed is an empty one."""

KEY = b"tttnn.environments"

Environment = dict[str, str]


@cache
def _version(library: str) -> str:
    for name in DISTRIBUTIONS[library]:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _device(kind: str) -> str:
    """`cpu` or `cuda` and, after a colon, the name of the processor or of the GPU."""
    if kind == "cpu":
        return f"cpu: {_processor()}"
    import torch  # whoever computes there has loaded it

    return f"{kind}: {torch.cuda.get_device_name()}"


def environment(device: str = "cpu", precision: str = "float32") -> Environment:
    """With what this process works, by `FIELDS`.

    `device` is torch's name of where it computes, `precision` that of the computation. Versions are
    those of the installed packages; nothing is imported to find them.
    """
    versions = {library: _version(library) for library in DISTRIBUTIONS}
    told = {"python": platform.python_version(), **versions}
    return told | {"device": _device(device), "precision": precision}


def distinct(environments: Iterable[Environment]) -> list[Environment]:
    """Each environment once, in the order in which they come."""
    return list({json.dumps(one, sort_keys=True): one for one in environments}.values())


def with_environments(schema: pa.Schema, environments: Iterable[Environment]) -> pa.Schema:
    """A table's schema that says which environments its rows were made in."""
    told = json.dumps(distinct(environments))
    return schema.with_metadata({**(schema.metadata or {}), KEY: told})


def environments_of(schema: pa.Schema) -> list[Environment]:
    """The environments that a table's schema tells; none if it tells none."""
    return json.loads((schema.metadata or {}).get(KEY, b"[]"))
