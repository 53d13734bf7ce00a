"""Settings are chosen in a run by validation documents alone, and used on test documents."""

from __future__ import annotations

import re
from collections import Counter

import pandas as pd

from tttnn.digests import read_record

RESULTS = "results/tuned"
TARGETS = [f"{RESULTS}/tuned/small/{name}.json" for name in ("mine", "second")]
TUNE = {"learning_rate": [1e-4, 1e-2], "stop": [None, 0.9], "num_neighbors": [0, 2], "by": "task"}
TRAINED = {"documents": 50, "steps": 2, "warmup_steps": 1, "vocabulary": 300}
CONFIG = {
    "run": "tuned",
    "corpus": {"shards": 1},
    "sources": {"demo": {"train_documents": 66, "val_documents": 44, "test_documents": 44}},
    "models": {"embedder": TRAINED, "small": TRAINED},
    "search": {"indexes": ["flat"], "candidates": 4, "recall_at": [1]},
    "gather": {"depth": 2},
    "select": {"count": 1},
    "selections": {"sift": {"picks": 2}},
    "methods": {
        "ttt": {"num_neighbors": 2, "evaluate_at": [0, 2]},
        "mine": {"like": "sift", "tune": TUNE},
        "second": {"like": "ttt", "tune": {"learning_rate": [1e-4, 1e-2]}},
    },
    "evaluate": {
        "models": ["small"],
        "methods": ["mine", "second"],
        "tasks": ["pile_github", "pile_enron"],
        "ablations": None,
    },
    "score": {"resamples": 20},
    "figures": ["before_after"],
}


def commands_without_test_documents(printed: str) -> list[str]:
    """The commands of jobs, none of which is given a test document."""
    commands = re.findall(r"python -m tttnn .*", printed)
    assert not [command for command in commands if re.search(r"\btest\b|queries/halves", command)]
    return commands


def test_halves_of_test_documents_are_not_needed_for_a_choice(checkout):
    methods = CONFIG["methods"] | {"second": {"like": "split", "tune": {"learning_rate": [1, 2]}}}
    options = ("--configfile", str(checkout.configure("tuned", **CONFIG | {"methods": methods})))
    printed = checkout.snakemake(*options, "-n", "--printshellcmds", "--", TARGETS[1])
    commands = commands_without_test_documents(printed)
    assert sum("queries/val_halves/" in command for command in commands) > 4


def test_settings_are_chosen_before_there_is_a_test_document_and_then_used(checkout):
    options = ("--configfile", str(checkout.configure("tuned", **CONFIG)))
    printed = checkout.snakemake(*options, "--printshellcmds", "--", *TARGETS)
    commands = commands_without_test_documents(printed)
    assert sum("queries/val/" in command for command in commands) > 4
    results = checkout.folder / RESULTS
    assert not list(results.rglob("test*"))
    tried = {path.name for path in (results / "validation/small").iterdir()}
    assert len(tried) == 2 * 2 + 2
    chosen = [(checkout.folder / target).read_bytes() for target in TARGETS]

    checkout.snakemake(*options)
    assert [(checkout.folder / target).read_bytes() for target in TARGETS] == chosen
    assert {path.name for path in (results / "evaluation/small").iterdir()} == {"mine", "second"}
    assert checkout.plan(*options) == Counter()

    best = read_record(checkout.folder / TARGETS[0])["chosen"]["pile_github"]
    table = pd.read_csv(results / "tables/tuning.csv", keep_default_na=False)
    rows = table[(table["method"] == "mine") & (table["task"] == "pile_github") & table["chosen"]]
    assert set(rows["key"]) == set(TUNE) - {"by"}
    assert float(rows.set_index("key").loc["learning_rate", "value"]) == best["learning_rate"]
    assert set(table[table["method"] == "second"]["task"]) == {"pile_all"}
    scores = pd.read_csv(results / "tables/scores.csv")
    assert {"mine", "second"} <= set(scores["method"])
    status = checkout.tttnn("status", "--run", "tuned")
    assert re.search(r"^evaluate_tuned +4 ", status.stdout, re.M), status.stdout
