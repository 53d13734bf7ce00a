"""The main numbers as LaTeX, to be `\\input` in a paper."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tttnn.pile import ALL, TASKS

SPECIAL = str.maketrans({c: rf"\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}"})


def _group(row: Any) -> str:
    if row is None:
        return "-- & -- & --"
    ratio = f"{100 * row.ratio:.1f}"
    if pd.notna(row.ratio_low):
        ratio += f" [{100 * row.ratio_low:.1f}, {100 * row.ratio_high:.1f}]"
    return f"{row.before:.4f} & {row.after:.4f} & {ratio}"


def _tabular(method: str, table: pd.DataFrame) -> str:
    models = list(table["model"].unique())
    rows = {(row.model, row.task): row for row in table.itertuples()}
    last = 2
    heads, rules = [], []
    for model in models:
        heads.append(rf"\multicolumn{{3}}{{c}}{{{model.translate(SPECIAL)}}}")
        rules.append(rf"\cmidrule(lr){{{last + 1}-{last + 3}}}")
        last += 3
    neighbors = table["num_neighbors"].max()
    lines = [
        f"% method {method}, {neighbors} neighbors",
        rf"\begin{{tabular}}{{lr{'rrl' * len(models)}}}",
        r"\toprule",
        rf" & & {' & '.join(heads)} \\",
        " ".join(rules),
        "Task & $n$" + r" & before & after & \% of before" * len(models) + r" \\",
        r"\midrule",
    ]
    for task in [*TASKS, ALL]:
        found = [rows.get((model, task)) for model in models]
        documents = max((row.documents for row in found if row is not None), default=0)
        if task == ALL:
            lines.append(r"\midrule")
            label = "All (weighted)"
            tasks = min(row.tasks for row in found if row is not None)
            if tasks < len(TASKS):
                label += rf"$^\dagger$, {tasks} of {len(TASKS)} tasks"
        else:
            label = TASKS[task].pile_set_name.translate(SPECIAL)
        groups = " & ".join(_group(row) for row in found)
        lines.append(rf"{label} & {documents or '--'} & {groups} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def summary_tabulars(differences: pd.DataFrame, tasks: pd.DataFrame) -> str:
    """A tabular for each method: bits per byte before and after, at its most neighbors.

    `differences` and `tasks` are the tables of `tttnn.score.score`. A task that was not evaluated
    has dashes; where `pile_all` is over fewer tasks than the Pile's, it has a dagger.
    """
    raw = differences[differences["documents_kind"] == "raw"]
    absent = tasks.loc[tasks["status"] != "evaluated", ["pile_set_name", "status"]]
    confidence = differences["confidence"].iloc[0]
    notes = [
        "% Needs \\usepackage{booktabs}. Bits per byte; the ratio after/before is in per cent,",
        f"% with its {100 * confidence:g} % interval from a paired bootstrap over n documents.",
    ]
    if len(absent):
        names = (f"{row.pile_set_name} ({row.status})" for row in absent.itertuples())
        notes += [
            "% Dagger: weights renormalised over the tasks that were evaluated.",
            f"% Not evaluated: {'; '.join(names)}.",
        ]
    tabulars = [
        _tabular(method, table[table["num_neighbors"] == table["num_neighbors"].max()])
        for method, table in raw.groupby("method", sort=False)
    ]
    return "\n".join(notes) + "\n\n" + "\n".join(tabulars)
