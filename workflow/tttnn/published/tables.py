"""From the published numbers to tables as `tttnn.scores.score` writes them, and to Table 1."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from tttnn.files import replacing
from tttnn.pile import ALL, TASKS
from tttnn.published import load
from tttnn.scores.estimates import METRICS, pile_weights
from tttnn.scores.latex import SPECIAL
from tttnn.scores.rows import SCORE_COLUMNS
from tttnn.scores.score import QUANTILES

RUN = "published"
HEADS = dict(
    zip(load.COLUMNS, ("In-Context", "Interpolate", "Dyn. Eval.", "TTT-NN", "Base"), strict=True)
)


def _scores(curves: pd.DataFrame) -> pd.DataFrame:
    rows = curves.melt([*load.KEYS, "documents"], list(METRICS), "metric").dropna(subset="value")
    return rows.assign(run=RUN, low=math.nan, high=math.nan)[SCORE_COLUMNS]


def _differences(curves: pd.DataFrame) -> pd.DataFrame:
    before = curves.groupby(load.KEYS[:3], sort=False)["bits_per_byte"].transform("first")
    after = curves["bits_per_byte"]
    return pd.DataFrame(
        {
            "run": RUN,
            **curves[["model", "method"]],
            "candidates": "flat",
            **curves[["task", "num_neighbors"]],
            "documents_kind": "raw",
            "before": before,
            "after": after,
            "difference": after - before,
            "low": math.nan,
            "high": math.nan,
            "ratio": after / before,
            "ratio_low": math.nan,
            "ratio_high": math.nan,
            "confidence": math.nan,
            "documents": curves["documents"],
            "tasks": np.where(curves["task"] == ALL, len(TASKS), 1),
        }
    )[curves["num_neighbors"] > 0]


def _costs(curves: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (model, method, task), cell in curves.groupby(load.KEYS[:3], sort=False):
        seconds = cell["seconds"].dropna()
        rows.append(
            {
                "run": RUN,
                "model": model,
                "method": method,
                "task": task,
                "num_neighbors": len(seconds),
                "documents": cell["documents"].iloc[0],
                "seconds_mean": seconds.mean(),
                **{f"seconds_p{q * 100:02.0f}": seconds.quantile(q) for q in QUANTILES},
                "evaluate_seconds": math.nan,
                "tokens_per_second": math.nan,
                "train_seconds_total": seconds.sum() * cell["documents"].iloc[0],
                "evaluate_seconds_total": math.nan,
            }
        )
    return pd.DataFrame(rows)


def _tasks(documents: pd.DataFrame) -> pd.DataFrame:
    weights = pile_weights(TASKS)
    return pd.DataFrame(
        {
            "run": RUN,
            "task": list(TASKS),
            "pile_set_name": [subset.pile_set_name for subset in TASKS.values()],
            "weight": [subset.weight for subset in TASKS.values()],
            "weight_renormalised": [100 * weights[task] for task in TASKS],
            "train_documents": math.nan,
            "test_documents": documents["test_documents"].reindex(list(TASKS)).to_numpy(),
            "selected": documents["documents"].reindex(list(TASKS)).to_numpy(),
            "without_halves": math.nan,
            "status": "evaluated",
        }
    )


def _table1(data: Path) -> pd.DataFrame:
    printed, released = load.table1(data), load.table1_released(data)
    weights = pd.Series(pile_weights(TASKS))
    means = released.loc[list(TASKS)].mul(weights, axis=0).sum(skipna=False)
    released.loc[ALL] = released.loc[ALL].fillna(means)
    table = pd.concat({"printed": printed, "released": released}, axis=1)
    table = table.stack(future_stack=True).rename_axis(["task", "column"]).reset_index()
    # half a unit of the last digit, and what a decimal fraction loses in binary
    differs = (table["printed"] - table["released"]).abs() > 0.005 + 1e-9
    return table.assign(differs=differs)


def _latex(table: pd.DataFrame) -> str:
    cells = table.set_index(["task", "column"])
    lines = [
        "% Needs \\usepackage{booktabs}. Hardt & Sun (arXiv 2305.18466), Table 1: GPT-2-Large,",
        "% bits per byte as printed. Dagger: the released file gives another number when rounded.",
        r"\begin{tabular}{l" + "r" * len(HEADS) + "}",
        r"\toprule",
        rf"Task & {' & '.join(HEADS.values())} \\",
        r"\midrule",
    ]
    for task in [ALL, *TASKS]:
        rows = [cells.loc[(task, column)] for column in HEADS]
        values = [f"{row.printed:.2f}" + (r"$^\dagger$" if row.differs else "") for row in rows]
        name = "All (weighted)" if task == ALL else TASKS[task].pile_set_name.translate(SPECIAL)
        lines.append(rf"{name} & {' & '.join(values)} \\")
    lines.insert(-len(TASKS), r"\midrule")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def published_tables(
    data: Path,
    scores: Path,
    differences: Path,
    costs: Path,
    tasks: Path,
    table1: Path,
    latex: Path,
) -> None:
    """Write the published numbers as `tttnn.scores.score` writes a run's, to be drawn likewise.

    `data` is the folder of this package. `scores`, `differences`, `costs` and `tasks` have a run's
    columns; what was not published is empty, such as intervals, documents to train on or without
    halves, seconds of evaluation and tokens a second. `documents` is how many were drawn; those
    whose retrieval failed were left out, and are not counted anywhere. The numbers of `costs`
    differ from a run's: all seconds, the total too, include an evaluation for each neighbour, and
    quantiles are over the 50 neighbours, of the mean over documents. `table1` has a row a number,
    as printed and from the released files, `latex` is Table 1.
    """
    drawn = load.documents(data)
    counts = drawn["documents"].to_dict() | {ALL: int(drawn["documents"].sum())}
    curves = load.curves(data)
    curves["documents"] = curves["task"].map(counts)
    numbers = _table1(data)
    for path, table in (
        (scores, _scores(curves)),
        (differences, _differences(curves)),
        (costs, _costs(curves[curves["task"] != ALL])),
        (tasks, _tasks(drawn)),
        (table1, numbers),
    ):
        with replacing(path) as beside:
            table.to_csv(beside, index=False, lineterminator="\n")
    with replacing(latex) as beside:
        beside.write_text(_latex(numbers), encoding="utf-8")
