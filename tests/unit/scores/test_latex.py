"""The LaTeX summary: all documents and clean ones, counted and compared."""

import pandas as pd

from tttnn.pile import ALL, TASKS
from tttnn.scores.latex import summary_tabulars

ROW = {
    "model": "small_1",
    "method": "ttt",
    "num_neighbors": 20,
    "before": 2.0,
    "confidence": 0.9,
    "tasks": 1,
}


def row(task, kind, ratio, documents, interval=None, **more):
    low, high = interval or (float("nan"), float("nan"))
    found = {"task": task, "documents_kind": kind, "ratio": ratio, "documents": documents}
    return ROW | found | {"after": 2 * ratio, "ratio_low": low, "ratio_high": high} | more


def cells(text, label):
    (line,) = [line for line in text.splitlines() if line.startswith(label)]
    return [cell.strip() for cell in line.removesuffix(r"\\").split("&")]


def test_raw_and_clean_numbers_stand_side_by_side():
    rows = [
        row("pile_arxiv", "raw", 0.9, 8, (0.85, 0.95)),
        row("pile_arxiv", "raw", 0.99, 8, num_neighbors=5),
        row("pile_github", "raw", 0.5, 4),
        row(ALL, "raw", 0.75, 12, (0.7, 0.8), tasks=2),
        row("pile_arxiv", "clean", 0.925, 6),
        row(ALL, "clean", 0.925, 6),
        row("pile_github", "raw", 0.25, 4, model="large"),
        row(ALL, "raw", 0.25, 4, model="large"),
    ]
    status = ["evaluated" if t in ("pile_arxiv", "pile_github") else "no documents" for t in TASKS]
    names = [subset.pile_set_name for subset in TASKS.values()]
    tasks = pd.DataFrame({"pile_set_name": names, "status": status})
    text = summary_tabulars(pd.DataFrame(rows), tasks)
    absent = ["--"] * 4
    arxiv = ["2.0000", "1.8000", "90.0 [85.0, 95.0]", "92.5"]
    assert cells(text, "ArXiv") == ["ArXiv", "8", "6", *arxiv, *absent]
    github = ["2.0000", "1.0000", "50.0", "--", "2.0000", "0.5000", "25.0", "--"]
    assert cells(text, "Github") == ["Github", "4", "0", *github]
    assert cells(text, "FreeLaw") == ["FreeLaw", "--", "--", *absent, *absent]
    mean = cells(text, "All")
    assert mean[0] == r"All (weighted)$^\dagger$, 1 of 22 tasks"
    assert mean[1:3] == ["12", "6"] and mean[5:7] == ["75.0 [70.0, 80.0]", "92.5"]
    assert r"\multicolumn{4}{c}{small\_1}" in text
    head = next(line for line in text.splitlines() if line.startswith("Task"))
    assert head.count("&") == len(mean) - 1
    assert r"\cmidrule(lr){4-7} \cmidrule(lr){8-11}" in text
    assert r"\begin{tabular}{lrrrrlrrrlr}" in text
