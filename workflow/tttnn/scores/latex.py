"""The main numbers as LaTeX, to be `\\input` in a paper."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tttnn.pile import ALL, TASKS

SPECIAL = str.maketrans({c: rf"\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}"})


def _group(row: Any, kept: Any) -> str:
    if row is None:
        return "-- & -- & -- & --"
    ratio = f"{100 * row.ratio:.1f}"
    if pd.notna(row.ratio_low):
        ratio += f" [{100 * row.ratio_low:.1f}, {100 * row.ratio_high:.1f}]"
    clean = "--" if kept is None else f"{100 * kept.ratio:.1f}"
    return f"{row.before:.4f} & {row.after:.4f} & {ratio} & {clean}"


def _tabular(method: str, table: pd.DataFrame) -> str:
    models = list(table["model"].unique())
    raw, clean = (
        {(row.model, row.task): row for row in table[table["documents_kind"] == kind].itertuples()}
        for kind in ("raw", "clean")
    )
    last = 3
    heads, rules = [], []
    for model in models:
        heads.append(rf"\multicolumn{{4}}{{c}}{{{model.translate(SPECIAL)}}}")
        rules.append(rf"\cmidrule(lr){{{last + 1}-{last + 4}}}")
        last += 4
    neighbors = table["num_neighbors"].max()
    lines = [
        f"% method {method}, {neighbors} neighbours",
        rf"\begin{{tabular}}{{lrr{'rrlr' * len(models)}}}",
        r"\toprule",
        rf" & & & {' & '.join(heads)} \\",
        " ".join(rules),
        "Task & $n$ & clean" + r" & before & after & \% of before & clean" * len(models) + r" \\",
        r"\midrule",
    ]
    for task in [*TASKS, ALL]:
        found = [raw.get((model, task)) for model in models]
        kept = [clean.get((model, task)) for model in models]
        documents, clean_documents = (
            max((row.documents for row in rows if row is not None), default=0)
            for rows in (found, kept)
        )
        if task == ALL:
            lines.append(r"\midrule")
            label = "All (weighted)"
            tasks = min(row.tasks for row in found if row is not None)
            if tasks < len(TASKS):
                label += rf"$^\dagger$, {tasks} of {len(TASKS)} tasks"
        else:
            label = TASKS[task].pile_set_name.translate(SPECIAL)
        groups = " & ".join(_group(*rows) for rows in zip(found, kept, strict=True))
        counts = f"{documents} & {clean_documents}" if documents else "-- & --"
        lines.append(rf"{label} & {counts} & {groups} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def summary_tabulars(differences: pd.DataFrame, tasks: pd.DataFrame) -> str:
    """A tabular for each method: bits per byte before and after, at its most neighbours.

    `differences` and `tasks` are the tables of `tttnn.scores.score`. A task that was not evaluated
    has dashes, as has one without clean documents in their columns: how many there are, and their
    ratio. Where `pile_all` is over fewer tasks than the Pile's, it has a dagger.
    """
    absent = tasks.loc[tasks["status"] != "evaluated", ["pile_set_name", "status"]]
    confidence = differences["confidence"].iloc[0]
    notes = [
        "% Needs \\usepackage{booktabs}. Bits per byte; the ratio after/before is in per cent,",
        f"% with its {100 * confidence:g} % interval from a paired bootstrap over n documents.",
        "% Clean: so many have no near-copy among their neighbours, and their ratio; where a task",
        "% has none, the clean weighted mean is over the other tasks.",
    ]
    if len(absent):
        names = (f"{row.pile_set_name} ({row.status})" for row in absent.itertuples())
        notes += [
            "% Dagger: weights renormalised over the tasks that were evaluated.",
            f"% Not evaluated: {'; '.join(names)}.",
        ]
    tabulars = [
        _tabular(method, table[table["num_neighbors"] == table["num_neighbors"].max()])
        for method, table in differences.groupby("method", sort=False)
    ]
    return "\n".join(notes) + "\n\n" + "\n".join(tabulars)
