"""The closing summary: one screen, aligned, nothing left out."""

import pandas as pd
import pytest

from synthetic_run import make_run
from tttnn.pile import ALL, TASKS
from tttnn.scores.summary import WIDTH, summary

PRESENT = {task: 3 for task in TASKS if task not in ("pile_books3", "pile_enron")}


@pytest.fixture
def tables(tmp_path):
    return make_run(
        tmp_path, PRESENT | {"pile_ubuntu-irc": 1}, models=("small", "large"), resamples=50
    )


def test_a_line_for_each_task_of_each_model(tables, tmp_path, capsys):
    summary(tables, tmp_path / "report.html")
    lines = capsys.readouterr().out.splitlines()
    differences = pd.read_csv(tables / "differences.csv").query(
        "method == 'nearest' and documents_kind == 'raw' and num_neighbors == 50"
    )
    documents = pd.read_parquet(tables / "documents.parquet").query("method == 'nearest'")
    own = documents.assign(change=documents["after"] - documents["before"])
    own = own.groupby(["model", "task"])["change"].agg(["min", "max"])
    blocks = [lines.index("small"), lines.index("large"), len(lines)]
    for model, start, end in zip(("small", "large"), blocks, blocks[1:], strict=False):
        rows = differences[differences["model"] == model].set_index("task")
        printed = {line.split()[0]: line for line in lines[start:end] if line.startswith("pile_")}
        assert {*PRESENT, ALL} <= set(printed)
        for task, row in rows.iterrows():
            words = printed[task].replace("(20 of 22)", "").split()
            assert words[1:4] == [str(row.documents), f"{row.before:.4f}", f"{row.after:.4f}"]
            assert f"{100 * row.ratio:.1f} %" in printed[task]
            assert f"{row.difference:+.4f}" in printed[task]
            if row.documents == 3:  # the documents themselves, for an interval would be theirs
                least, greatest = own.loc[(model, task)]
                assert printed[task].endswith(f"   {least:+.4f} to {greatest:+.4f}")
        assert printed["pile_ubuntu-irc"].split()[-1] == "-"  # one document, no interval
        assert f"[{rows.loc[ALL].low:+.4f}, {rows.loc[ALL].high:+.4f}]" in printed[ALL]


def test_columns_stand_below_their_heads(tables, capsys):
    summary(tables)
    lines = capsys.readouterr().out.splitlines()
    head = next(line for line in lines if line.startswith("task "))
    row = next(line for line in lines if line.startswith("pile_arxiv "))
    assert max(map(len, lines)) <= WIDTH
    for name in ("documents", "before", "after", "ratio", "difference"):
        end = head.index(name) + len(name)
        assert row[end - 1] != " " and row[end] == " "


def test_absent_tasks_and_places_are_named(tables, tmp_path, capsys):
    report = tmp_path / "report.html"
    report.touch()
    summary(tables, report)
    out = capsys.readouterr().out
    assert "No documents: pile_books3, pile_enron\n" in out
    assert "renormalised over the 20 tasks evaluated" in out
    assert "Fewer than 10 documents have no interval, but their own differences" in out
    assert f"Tables   {tables}\n" in out
    assert "Figures  figures/made-up\n" in out
    assert out.endswith(f"Report   {report}\n")


def test_a_report_that_is_not_there_is_not_told_as_if_it_were(tables, tmp_path, capsys):
    summary(tables, tmp_path / "report.html")
    assert capsys.readouterr().out.endswith("report.html (not written yet)\n")


def test_a_complete_run_has_no_note(tmp_path, capsys):
    summary(make_run(tmp_path, dict.fromkeys(TASKS, 10), models=("small",), resamples=20))
    out = capsys.readouterr().out
    assert "Fewer than" not in out and out.count("[") == len(TASKS) + 1
    assert "renormalised" not in out and "pile_all (22 of 22)" in out
