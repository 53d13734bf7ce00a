"""Evaluate a method with the settings that were chosen on validation documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tttnn.digests import read_record
from tttnn.methods.evaluate import EvaluateSpec, evaluate_part
from tttnn.pile import ALL
from tttnn.sections.base import Section
from tttnn.sections.tune import Chosen
from tttnn.tables import read_table, write_table


class TunedSpec(Section):
    """What is evaluated, as far as it was not to be chosen; whose neighbours it may be given."""

    evaluation: EvaluateSpec
    candidates: list[str]  # in the order of the files of neighbours
    stops: list[str]  # of these, those that may end a document's neighbours early


def _chosen(path: Path, task: str) -> Chosen:
    """What was chosen for a task, or else for all; raises `ValueError` where nothing was."""
    choices = read_record(path)["chosen"]
    if task not in choices and ALL not in choices:
        raise ValueError(f"{path} has no choice for {task}, nor for all tasks: remove it")
    return Chosen.model_validate(choices.get(task, choices.get(ALL)))


def settled(spec: TunedSpec, chosen: Chosen) -> EvaluateSpec:
    """The evaluation with what was chosen in its place.

    With fewer neighbours than the method's, it is measured at no more of them.
    """
    settings: dict[str, Any] = {}
    recipe = spec.evaluation.recipe
    if chosen.learning_rate is not None:
        settings["learning_rate"] = chosen.learning_rate
    if chosen.num_neighbors is not None:
        most = chosen.num_neighbors
        points = [point for point in recipe.evaluate_at if point <= most]
        settings |= {"num_neighbors": most, "evaluate_at": points}
    values = spec.evaluation.model_dump(mode="json")
    values["recipe"] |= settings
    values["stops"] = chosen.candidates in spec.stops
    return EvaluateSpec.model_validate(values)


def continued(rows: pa.Table, points: list[int]) -> pa.Table:
    """The rows with those at more neighbours than were used: they are as at the most that were.

    So it is with documents of which a selection ends the neighbours. Rows stay in the order of
    documents, and these at the numbers `points`.
    """
    counts = rows["num_neighbors"]
    most = pc.max(counts).as_py()
    if most is None:  # no documents
        return rows
    last = rows.filter(pc.equal(counts, most))
    place = rows.column_names.index("num_neighbors")
    more = [
        last.set_column(place, rows.schema.field(place), pa.array([point] * len(last), pa.int32()))
        for point in points
        if point > most
    ]
    ids = rows["document_id"].unique().to_pylist()
    whole = pa.concat_tables([rows, *more])
    order = pc.index_in(whole["document_id"], pa.array(ids))
    # stable: rows of a document at one number of neighbours stay as they are
    keys = whole.append_column("order", order).append_column("row", pa.array(range(len(whole))))
    by = [("order", "ascending"), ("num_neighbors", "ascending"), ("row", "ascending")]
    return whole.take(pc.sort_indices(keys, sort_keys=by)).replace_schema_metadata(
        rows.schema.metadata
    )


def evaluate_tuned(
    spec: TunedSpec,
    model: Path,
    queries: Path,
    neighbors: list[Path],
    tuned: Path,
    method: str,
    task: str,
    part: int,
    output: Path,
    engine: str = "auto",
) -> None:
    """Evaluate a part as `evaluate_part` does, with the settings that were chosen.

    `tuned` is the record of `tttnn.scores.tuning.choose_settings`; `neighbors` are a file for each
    of `spec.candidates`, of which the chosen one's is read. Where fewer neighbours were chosen than
    the method is measured at, nothing changes after the last that is used, and `used_neighbors`
    says how many those were.

    Raises `ValueError` as `evaluate_part` does, and where nothing was chosen for the task.
    """
    chosen = _chosen(tuned, task)
    known = dict(zip(spec.candidates, neighbors, strict=True))
    if chosen.candidates is not None and chosen.candidates not in known:
        raise ValueError(f"{tuned} has chosen {chosen.candidates}, which is not given: remove it")
    used = [known[chosen.candidates]] if chosen.candidates is not None else []
    evaluation = settled(spec, chosen)
    evaluate_part(evaluation, model, queries, used, method, task, part, output, engine)
    points = spec.evaluation.recipe.evaluate_at
    if points[-1] > evaluation.recipe.num_neighbors:
        write_table(output, continued(read_table(output), points))
