"""With what a run was made: a row for each stage, result and environment, and what is mixed.

The code fingerprint does not cover libraries and machines (see `tttnn.environment`): results of two
versions can stand in one table. That is allowed, and said.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from tttnn.digests import read_record
from tttnn.environment import FIELDS, Environment, environments_of
from tttnn.retrieval.tensors import load_tensors

ENVIRONMENT_COLUMNS = ["run", "stage", "name", *FIELDS, "files", "mixed"]
"""Of `environment.csv`."""

TOGETHER = {
    "evaluate_part": "evaluations",
    "validate_part": "evaluations",
    "embed_chunk": "embeddings",
    "embed_queries": "embeddings",
    "merge_index": "indexes",
}
"""What a stage makes; results of one sort are compared with one another."""


class Made(NamedTuple):
    """A file of a stage, by the name of what it is a part of, and one environment of it."""

    stage: str
    name: str
    environment: Environment
    files: int = 1


def of_evaluations(stage: str, files: Iterable[Path]) -> Iterator[Made]:
    """Of `…/{model}/{method}/{task}/{part}.parquet`; a file without documents has none."""
    for path in files:
        for one in environments_of(pq.read_schema(path)):
            yield Made(stage, "/".join(path.parts[-4:-2]), one)


def of_indexes(files: Iterable[Path]) -> Iterator[Made]:
    """Of the indexes' `…/{index}/made.json`: of theirs, and of the embeddings they were made of.

    An exact index is its embeddings, and has nothing of its own.
    """
    for path in files:
        made, name = read_record(path), path.parent.name
        for one in made["environments"]:
            yield Made("merge_index", name, one)
        for entry in made["embeddings"]:
            yield Made("embed_chunk", name, entry["environment"], entry["chunks"])


def of_queries(files: Iterable[Path]) -> Iterator[Made]:
    """Of the queries' embeddings, `…/{queries}/embeddings/{embedder}.safetensors`."""
    for path in files:
        for one in load_tensors(path)[1]["environments"]:
            yield Made("embed_queries", f"{path.parts[-3]}/{path.stem}", one)


def _compared(environment: Environment, field: str) -> str:
    """A field's value as it is compared: clusters have many processors that compute alike."""
    value = environment[field]
    return "cpu" if field == "device" and value.startswith("cpu") else value


def _mixed(made: list[Made]) -> dict[str, dict[str, Counter[str]]]:
    """For each sort of results, the fields of more than one value, and files by value."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for stage, _, environment, files in made:
        fields = counts.setdefault(TOGETHER[stage], {field: Counter() for field in FIELDS})
        for field, values in fields.items():
            values[_compared(environment, field)] += files
    return {
        sort: {field: values for field, values in fields.items() if len(values) > 1}
        for sort, fields in counts.items()
    }


def environment_rows(made: Iterable[Made], run: str) -> Iterator[dict[str, Any]]:
    """A row for each stage, name and environment; `mixed` names the fields that differ.

    That is within the stage's sort of results, evaluations, embeddings or indexes. What is mixed
    is a warning on stderr.
    """
    all_made = list(made)
    mixed = _mixed(all_made)
    for sort, fields in mixed.items():
        for field, values in fields.items():
            listing = ", ".join(f"{value or 'none'} ({n} files)" for value, n in values.items())
            print(
                f"warning: {sort} of this run were made with more than one {field}: {listing}; "
                "see tables/environment.csv",
                file=sys.stderr,
            )
    files: Counter[tuple[str, ...]] = Counter()
    for stage, name, environment, count in all_made:
        files[stage, name, *(environment[field] for field in FIELDS)] += count
    for (stage, name, *environment_values), count in files.items():
        yield {
            "run": run,
            "stage": stage,
            "name": name,
            **dict(zip(FIELDS, environment_values, strict=True)),
            "files": count,
            "mixed": " ".join(mixed[TOGETHER[stage]]),
        }
