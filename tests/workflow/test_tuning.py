"""Settings are chosen in a run by validation documents alone, and used on test documents."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter

import pandas as pd

from tttnn.digests import read_record

TARGET = "results/tiny/tuned/small/mine.json"
TUNE = {
    "learning_rate": [1e-4, 1e-2], "noise": [0.05, 0.1], "stop": [None, 0.9],
    "num_neighbors": [0, 2], "by": "task",
}  # fmt: skip


def test_a_tuned_method_is_chosen_without_a_test_document_and_then_evaluated(copy):
    ablations = json.loads((copy.folder / "tiny.yaml").read_text())["evaluate"]["ablations"]
    mine = copy.configure(
        "mine",
        methods={"mine": {"like": "sift", "tune": TUNE}, "second": {
            "like": "split", "tune": {"learning_rate": [1e-4, 1e-2]}},
        },
        evaluate={"ablations": ablations | {"methods": [*ablations["methods"], "mine", "second"]}},
    )  # fmt: skip
    options = ("--configfile", "tiny.yaml", str(mine))
    # what the choice needs, from an empty folder on: no job of it is given a test document
    printed = copy.snakemake(*options, "-n", "--printshellcmds", "--forceall", "--", TARGET)
    commands = re.findall(r"python -m tttnn .*", printed)
    assert len(commands) > 20 and any("queries/val/" in command for command in commands)
    assert not [command for command in commands if re.search(r"\btest\b|halves/", command)]

    assert copy.plan(*options, "--", TARGET) == Counter(
        choose_neighbors=4, gather_neighbors=4, validate_part=8, choose_settings=1
    )
    test = list((copy.folder / "results/tiny").rglob("test*"))
    hidden = copy.folder / "hidden"
    for number, path in enumerate(test):
        if path.exists():
            hidden.mkdir(exist_ok=True)
            shutil.move(path, hidden / str(number))
    copy.snakemake(*options, "--", TARGET)
    chosen = (copy.folder / TARGET).read_bytes()
    for number, path in enumerate(test):
        if (hidden / str(number)).exists():
            shutil.move(hidden / str(number), path)
    copy.snakemake(*options)
    assert (copy.folder / TARGET).read_bytes() == chosen
    assert copy.plan(*options) == Counter()

    best = read_record(copy.folder / TARGET)["chosen"]["pile_github"]
    table = pd.read_csv(copy.folder / "results/tiny/tables/tuning.csv", keep_default_na=False)
    found = table[(table["method"] == "mine") & table["chosen"]]
    assert set(found["key"]) == set(TUNE) - {"by"}
    assert float(found.set_index("key").loc["learning_rate", "value"]) == best["learning_rate"]
    rows = table[table["method"] == "second"]
    assert set(rows["task"]) == {"pile_all"}
    scores = pd.read_csv(copy.folder / "results/tiny/tables/scores.csv")
    assert {"mine", "second"} <= set(scores["method"])
    status = copy.tttnn("status", "--run", "tiny")
    assert re.search(r"^evaluate_tuned +2 ", status.stdout, re.M), status.stdout
