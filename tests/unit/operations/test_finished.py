"""The line at the end of a run."""

from __future__ import annotations

import pytest

from tttnn.files import write_json
from tttnn.operations.finished import duration, finished
from tttnn.operations.jobs import Job

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
JOB = {"wildcards": {}, "outputs": [], "temporary": [], "log": None, "needed": False}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")],
)
def test_durations_are_as_one_says_them(seconds, text):
    assert duration(seconds) == text


def test_it_says_what_was_made_where_and_what_it_cost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("results/mine/tables/a.csv", "results/mine/tables/b.csv", "figures/mine/c.svg"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    jobs = []
    for name, cpu in (("score", 30), ("draw", 45.5)):
        file = f"{name}.tsv"
        (tmp_path / file).write_text(f"{HEADER}99\t0\t1\t1\t1\t1\t0\t0\t0\t{cpu}\n")
        jobs.append(Job(rule=name, benchmark=file, **JOB)._asdict())
    jobs.append(Job(rule="never_run", benchmark="absent.tsv", **JOB)._asdict())
    write_json(tmp_path / "results/mine/jobs.json", jobs)
    (tmp_path / "results/mine/report.html").touch()
    assert finished("mine", 62) == (
        "run mine: 2 tables in results/mine/tables, 1 figure in figures/mine; 1 min 2 s this "
        "time, 1 min 16 s of a processor for the last runs of its 2 jobs; the report: "
        "results/mine/report.html"
    )


def test_a_part_of_a_run_has_its_folder_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/mine").mkdir(parents=True)
    write_json(tmp_path / "results/mine/jobs.json", [])
    said = finished("mine", 1)
    assert said.startswith("run mine: results in results/mine; 1 s this time")
    assert "the report" not in said
