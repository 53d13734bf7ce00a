"""What experts cost, which are trained once, against training for each document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tttnn.digests import check_model, read_record
from tttnn.files import replacing
from tttnn.reading import read_csv
from tttnn.scores.estimates import pile_weights
from tttnn.sections.base import Section

COLUMNS = [
    "run",
    "model",
    "method",
    "experts",
    "clusters",
    "num_neighbors",
    "counts",
    "tasks",
    "documents",
    "cluster_seconds",
    "train_seconds",
    "before",
    "bits_per_byte",
    "seconds",
    "against",
    "against_neighbors",
    "against_bits_per_byte",
    "against_seconds",
    "break_even_documents",
]


class WeighSpec(Section):
    """The run's name, the experts of each method, and the methods that each is held against."""

    run: str
    experts: dict[str, str]
    counts: dict[str, str]  # what the method's numbers count: experts, or neighbours
    against: dict[str, list[str]]


class _Paid(NamedTuple):
    """Seconds that are paid once, and for how many experts."""

    clusters: int
    cluster_seconds: float
    train_seconds: float

    @property
    def all(self) -> float:
        return self.cluster_seconds + self.train_seconds


def _paid(folder: Path, model: str) -> _Paid:
    """For a model's experts, by what their stages wrote down."""
    record = read_record(folder / "clusters.json")
    trained = 0.0
    for cluster in range(len(record["sizes"])):
        expert = folder / model / str(cluster)
        check_model(expert, ["training.json"])
        trained += json.loads((expert / "training.json").read_bytes())["seconds"]
    return _Paid(len(record["sizes"]), record["seconds"], trained)


def _means(table: pd.DataFrame, tasks: list[str]) -> pd.DataFrame:
    """By number of neighbours: bits per byte by the Pile's weights, seconds a document."""
    table = table[table["task"].isin(tasks)]
    weights = table["task"].map(pile_weights(tasks))
    documents = table["documents"] / table.groupby("num_neighbors")["documents"].transform("sum")
    weighted = pd.DataFrame(
        {
            "num_neighbors": table["num_neighbors"],
            "bits_per_byte": weights * table["bits_per_byte"],
            "seconds": documents * table["seconds"],
        }
    )
    return weighted.groupby("num_neighbors").sum()


def break_even(paid: float, seconds: float, against: float) -> float:
    """Documents after which what was paid once has been saved; NaN where nothing is saved."""
    return paid / (against - seconds) if against > seconds else float("nan")


def _rows(spec: WeighSpec, results: Path, efficiency: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for (model, method), own in efficiency.groupby(["model", "method"], sort=False):
        for against in spec.against.get(method, []):
            is_other = efficiency["method"] == against
            other = efficiency[is_other & (efficiency["model"] == model)]
            tasks = [task for task in own["task"].unique() if task in set(other["task"])]
            if not tasks:
                continue
            paid = _paid(results / "experts" / spec.experts[method], model)
            mine, theirs = _means(own, tasks), _means(other, tasks)
            shared = own[own["task"].isin(tasks)].groupby("task")["documents"].first()
            for point, row in mine.iloc[1:].iterrows():
                for neighbors, held in theirs.iloc[1:].iterrows():
                    saved = break_even(paid.all, row["seconds"], held["seconds"])
                    yield {
                        "run": spec.run,
                        "model": model,
                        "method": method,
                        "experts": spec.experts[method],
                        "clusters": paid.clusters,
                        "num_neighbors": point,
                        "counts": spec.counts[method],
                        "tasks": len(tasks),
                        "documents": shared.sum(),
                        "cluster_seconds": paid.cluster_seconds,
                        "train_seconds": paid.train_seconds,
                        "before": mine.loc[0, "bits_per_byte"],
                        "bits_per_byte": row["bits_per_byte"],
                        "seconds": row["seconds"],
                        "against": against,
                        "against_neighbors": neighbors,
                        "against_bits_per_byte": held["bits_per_byte"],
                        "against_seconds": held["seconds"],
                        "break_even_documents": saved,
                    }


def weigh_experts(spec: WeighSpec, results: Path, table: Path) -> None:
    """Write what experts cost beside test-time training, and after how many documents they pay.

    `results` is the run's folder. A row for each number of experts (of neighbours, where the merge
    is trained on) and each number of neighbours of a method that it is held against, on the tasks
    of both: bits per byte by the Pile's weights, and mean seconds a document, of adaptation and one
    evaluation. `cluster_seconds` and `train_seconds` are paid once, on the machines that the
    experts were trained on; `break_even_documents` is empty where a document saves nothing.
    """
    efficiency = read_csv(
        results / "tables" / "efficiency.csv", ["run"], "make the run's tables again (rule score)"
    )
    rows = pd.DataFrame(_rows(spec, results, efficiency), columns=COLUMNS)
    with replacing(table) as beside:
        rows.to_csv(beside, index=False, lineterminator="\n")
