"""`tttnn tasks`: the Pile's tasks for the evaluation harness, over a run's own test documents.

The harness's own 22 name a data set that is a script, which its library no longer runs.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from tttnn.files import replacing
from tttnn.live.shard import Run
from tttnn.pile import TASKS
from tttnn.tables import open_table
from tttnn.wording import counted

METRICS = {
    "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity",
    "bits_per_byte": "bits_per_byte",
}
"""Those of the harness's own Pile tasks, and how it takes their mean."""


def _task(name: str, documents: Path) -> dict[str, object]:
    return {
        "task": name,
        "dataset_path": "parquet",
        "dataset_kwargs": {"data_files": {"test": str(documents)}},
        "output_type": "loglikelihood_rolling",
        "test_split": "test",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [
            {"metric": metric, "aggregation": mean, "higher_is_better": False}
            for metric, mean in METRICS.items()
        ],
        "metadata": {"version": 2.0},
    }


def tasks(*, run: Path, output: Path) -> None:
    """Write the Pile's tasks for the evaluation harness, over the run's own test documents.

    --run      the run: its name in this folder, or the path of its results/NAME
    --output   the new folder, for the harness's --include_path: a file a task of which the run has
               test documents, named as the harness names them, and the group pile
    """
    if output.exists():
        raise ValueError(f"{output} is there already: name a new folder")
    opened = Run(run)
    folder = opened.folder / "queries" / "test"
    found = [name for name in TASKS if (folder / f"{name}.parquet").is_file()]
    found = [name for name in found if open_table(folder / f"{name}.parquet").metadata.num_rows]
    if not found:
        raise ValueError(f"{folder} has no test documents: run the workflow to its queries first")
    with replacing(output, directory=True) as beside:
        for name in found:
            text = yaml.safe_dump(_task(name, (folder / f"{name}.parquet").resolve()))
            (beside / f"{name}.yaml").write_text(text, encoding="utf-8")
        group = yaml.safe_dump({"group": "pile", "task": found})
        (beside / "pile.yaml").write_text(group, encoding="utf-8")
    count = counted(len(found), "task")
    print(f"{output}: {count} of run {opened.config.run}; give lm_eval --include_path {output}")
