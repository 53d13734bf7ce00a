"""Evaluate a model with its experts: as with any method, and with what there is to merge."""

from __future__ import annotations

from pathlib import Path

from tttnn.digests import DamagedError, check_model
from tttnn.files import sha256
from tttnn.methods.evaluate import EvaluateSpec, evaluate_part
from tttnn.methods.experts.engine import Equipped
from tttnn.methods.ttt.settings import Recipe
from tttnn.reading import read_json


class ExpertsSpec(EvaluateSpec):
    """As of every method, and the recipe of the one that `then` names."""

    trained_by: Recipe | None = None


def _check_trained_on(adapters: list[Path], model: Path) -> None:
    expected = sha256(model / "manifest.json")
    for folder in adapters:
        remedy = f"remove {folder} and run again"
        found = read_json(folder / "manifest.json", remedy).get("model")
        if found != expected:
            check_model(model)  # if it is the model that was damaged, no expert is to be removed
            raise DamagedError(
                f"{folder} is the expert of a model whose manifest has SHA-256 {found}, that of "
                f"{model} has {expected}: {remedy}"
            )


def evaluate_experts(
    spec: ExpertsSpec,
    model: Path,
    queries: Path,
    neighbors: list[Path],
    clusters: Path,
    adapters: list[Path],
    vectors: Path,
    method: str,
    task: str,
    part: int,
    output: Path,
) -> None:
    """Evaluate the part's share of the documents in `queries` with experts of the model merged.

    As `tttnn.methods.evaluate.evaluate_part`, which it calls; what its rows are of is in
    `tttnn.methods.experts.engine.adapt`. `adapters` are the experts' folders in the order of the
    clusters, `vectors` the embeddings of all tasks' queries.

    Raises `ValueError` as these two do, and `DamagedError` for an expert of another model.
    """
    _check_trained_on(adapters, model)
    recipe = Equipped(
        **spec.recipe.model_dump(),
        clusters_at=str(clusters),
        adapters_at=[str(folder) for folder in adapters],
        vectors_at=str(vectors),
        digests=[
            sha256(path)
            for path in (clusters, vectors, *(folder / "manifest.json" for folder in adapters))
        ],
        trained_by=spec.trained_by,
    )
    equipped = EvaluateSpec(
        recipe=recipe, parts=spec.parts, max_overlap=spec.max_overlap, stops=spec.stops
    )
    evaluate_part(equipped, model, queries, neighbors, method, task, part, output)
