"""What is added to a finished run reruns nothing, and runs when it is chosen."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pandas as pd

from adding import ADDITIONS, EXAMPLES, add


def test_additions_rerun_nothing_until_they_are_chosen_and_then_run(copy):
    for addition in ADDITIONS:
        add(addition, copy.folder / "workflow/tttnn")
    entries = sorted(EXAMPLES.glob("*/entry.yaml"))
    for path in entries:
        shutil.copyfile(path, copy.folder / f"{path.parent.name}.yaml")
    options = ("--configfile", "tiny.yaml", *(f"{path.parent.name}.yaml" for path in entries))
    assert copy.plan(*options) == Counter()

    tiny = json.loads((copy.folder / "tiny.yaml").read_text())["evaluate"]["ablations"]
    chosen = {
        "evaluate": {
            "ablations": tiny | {"methods": [*tiny["methods"], "covering", "unchanged", "graph"]}
        },
        "figures": ["before_after", "recall", "copies"],
    }
    options = (*options, str(copy.configure("chosen", **chosen)))
    index = Counter(train_shard_index=2, merge_training=1, fill_shard_index=2, merge_index=1)
    assert copy.plan(*options) == index + Counter(
        search_shard=2,
        merge_candidates=1,
        measure_recall=1,
        choose_neighbors=1,
        gather_neighbors=2,  # of covering and of the graph; `unchanged` has those of flat
        evaluate_part=3,
        measure_distances=1,  # of the new index too
        score=1,
        draw_figure=3,
        write_report=1,
    )
    copy.snakemake(*options)
    scores = pd.read_csv(copy.folder / "results/tiny/tables/scores.csv")
    unchanged = scores[(scores["method"] == "unchanged") & (scores["metric"] == "bits_per_byte")]
    assert unchanged.groupby("task")["value"].nunique().eq(1).all()
    assert {"covering", "graph"} <= set(scores["method"])
    assert (copy.folder / "figures/tiny/copies.svg").is_file()
