"""`snakemake --profile slurm` from a fresh checkout, an empty home and a bare shell."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pandas as pd
import yaml
from snakemake.cli import parse_args

from checkout import ROOT
from remote import DEMO, submitted

TIMED = ("costs.csv", "documents.parquet", "efficiency.csv", "indexes.csv", "quality_time.csv")
"""Tables that hold seconds."""

BY_SECONDS = ("front", "front_share")
"""Columns that follow from them."""


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_tables_equal_the_local_executor_s_byte_for_byte(runs):
    remote, local, _ = (run if isinstance(run, str) else run.folder for run in runs)
    tables = Path("results/slurm-demo/tables")
    assert files(remote / tables) == files(local / tables)
    for name in files(local / tables):
        if name in TIMED:
            continue
        assert (remote / tables / name).read_bytes() == (local / tables / name).read_bytes(), name
    for name in TIMED:
        read = pd.read_csv if name.endswith(".csv") else pd.read_parquet
        both = [read(folder / tables / name) for folder in (remote, local)]
        timed = [name for name in both[0] if "second" in name or name in BY_SECONDS]
        pd.testing.assert_frame_equal(*(table.drop(columns=timed) for table in both))


def test_every_figure_is_there(runs):
    remote, local, _ = runs
    figures = files(local.folder / "figures/slurm-demo")
    assert figures and files(remote.folder / "figures/slurm-demo") == figures


def test_only_what_needs_the_network_ran_on_the_login_node(runs):
    printed = runs[2]
    assert printed.count(": Fetch and check shard") == 4
    jobs = Counter(job.split("/")[0] for job in submitted(printed))
    assert not {"rule_download_shard", "rule_fetch_model"} & set(jobs)
    assert (jobs["rule_evaluate_part"], jobs["rule_validate_part"]) == (7, 1)


def test_one_more_task_submits_that_task_s_jobs_alone(copy):
    tasks = ["pile_github", "pile_arxiv", "pile_dm-mathematics", "pile_enron"]
    more = copy.configure("more", evaluate={"tasks": tasks})
    cells = [
        f"results/slurm-demo/evaluation/small/{method}/pile_enron/0.parquet"
        for method in ("ttt", "random")  # of `random` there is one task, but any can be asked for
    ]
    printed = copy.finish(copy.submit("--configfile", DEMO, str(more), "--", *cells))
    jobs = submitted(printed)
    assert sum("evaluate_part" in job for job in jobs) == 2
    assert sum("gather_neighbors" in job for job in jobs) == 2
    assert len(jobs) == 4 and all("pile_enron" in job for job in jobs), jobs


def test_the_overlay_for_sacct_lies_over_the_profile(monkeypatch):
    monkeypatch.chdir(ROOT)
    _, options = parse_args(["--profile", "slurm", "--profile", "slurm/sacct"])
    assert (options.executor, options.retries) == ("slurm", 2)
    assert options.slurm_status_command == "sacct"


def test_the_profile_names_the_rules_that_ask_for_a_gpu():
    profile = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())
    rules = "".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    asking = {
        rule.partition(":")[0]
        for rule in re.split(
            r"^(?:use rule \w+ as |rule )", rules.replace(" with:", ":"), flags=re.M
        )
        if "gpu=" in rule
    }
    assert set(profile["set-resources"]) == asking
