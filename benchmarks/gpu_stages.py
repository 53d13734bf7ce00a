"""The stages that use a GPU, run on one and on the CPU over a finished run, and compared.

    python benchmarks/gpu_stages.py results/demo [--tasks pile_github] [--steps 30]

Embeds a chunk and a set of queries, trains a model and an embedder for a few steps, and evaluates
a task with methods of every kind whose neighbours are at hand; each by the stage's own command, so
that what runs is what a job runs. Prints, for each, the seconds of both and how far apart the
numbers are, and ends with status 1 if that is more than `ALLOWED` says. Without a GPU both run on
the CPU. Needs what the stages import: no Snakemake, and faiss only where a search asks for it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from tttnn.config.load import load
from tttnn.config.root import Config
from tttnn.retrieval.rows import Rows
from tttnn.retrieval.tensors import load_tensors
from tttnn.stages import Specs

PACKAGE = Path(__file__).parents[1] / "workflow"
ALLOWED = {
    # of vectors of length 1 or so; bfloat16 where the run asks for it
    "embed_chunk": {"float32": 1e-3, "bfloat16": 5e-2},
    "embed_queries": {"float32": 1e-3, "bfloat16": 5e-2},
    # losses of a few steps in bfloat16 autocast beside float32, relative
    "train": 5e-2,
    # log-likelihoods, relative: float32 on both; adapting multiplies rounding
    "evaluate_part": 2e-3,
}
METHODS = ("ttt", "in_context", "interpolate", "knn_lm", "lora", "per_neighbor")


def _run(stage: str, on_gpu: bool, **options: object) -> float:
    """Wall seconds of a stage's command, on the GPU or without one."""
    words = [sys.executable, "-m", "tttnn", stage]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    shown = {} if on_gpu else {"CUDA_VISIBLE_DEVICES": ""}
    path = os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])
    started = time.perf_counter()
    done = subprocess.run(
        words, env=os.environ | shown | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(
            f"{stage} failed {'on the GPU' if on_gpu else 'on the CPU'}: {done.stderr}"
        )
    return time.perf_counter() - started


class Report:
    """Rows of what was compared, and whether all of it was close enough."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float, float, float]] = []

    def add(self, what: str, cpu: float, gpu: float, apart: float, allowed: float) -> None:
        self.rows.append((what, cpu, gpu, apart, allowed))
        verdict = "" if apart <= allowed else "  TOO FAR"
        print(
            f"| {what} | {cpu:.1f} | {gpu:.1f} | {apart:.1e} | {allowed:.0e} |{verdict}", flush=True
        )

    @property
    def failed(self) -> bool:
        return any(not apart <= allowed for *_, apart, allowed in self.rows)


def _vectors(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return Rows(path)[:].astype(np.float64)
    return load_tensors(path)[0]["vectors"].astype(np.float64)


def _embedding(run: Path, config: Config, spec: Specs, folder: Path, report: Report) -> None:
    embedder = config.embedders[0]
    job = SimpleNamespace(embedder=embedder)
    allowed = ALLOWED["embed_chunk"][config.embed.precision]
    chunk = run / "passages" / config.shards[0] / "0.parquet"
    queries = sorted((run / "queries/test").glob("*.parquet"))
    for stage, given in (
        ("embed_chunk", {"passages": chunk}),
        ("embed_queries", {"queries": queries}),
    ):
        seconds, made = [], []
        for on_gpu in (False, True):
            suffix = ".npy" if stage == "embed_chunk" else ".safetensors"
            output = folder / f"{stage}-{on_gpu}" / config.shards[0] / f"0{suffix}"
            output.parent.mkdir(parents=True)
            beside = {"manifest": output.with_suffix(".json")} if stage == "embed_chunk" else {}
            seconds.append(
                _run(
                    stage,
                    on_gpu,
                    spec=spec.embed(job),
                    model=run / "models" / embedder,
                    output=output,
                    **given,
                    **beside,
                )
            )
            made.append(_vectors(output))
        length = np.linalg.norm(made[0], axis=1)
        apart = float((np.linalg.norm(made[1] - made[0], axis=1) / length).max())
        report.add(f"{stage}, {len(made[0])} texts", *seconds, apart, allowed)


def _training(run: Path, config: Config, folder: Path, steps: int, report: Report) -> None:
    corpus = run / "corpus"
    for name, model in config.models.items():
        if model.kind != "train":
            continue
        stage = "train_embedder" if name in config.embedders else "train_model"
        spec = model.model_dump(mode="json") | {"steps": steps, "adapt_learning_rate": None}
        seconds, losses = [], []
        for on_gpu in (False, True):
            output = folder / f"train-{name}-{on_gpu}"
            seconds.append(
                _run(
                    stage,
                    on_gpu,
                    spec=json.dumps(spec),
                    train=[corpus / f"{shard}.jsonl.zst" for shard in config.shards],
                    val=corpus / "val.jsonl.zst",
                    output=output,
                )
            )
            said = json.loads((output / "training.json").read_text(encoding="utf-8"))
            losses.append({key: value for key, value in said.items() if "loss" in key})
        apart = max(abs(losses[1][key] / losses[0][key] - 1) for key in losses[0])
        report.add(f"{stage} {name}, {steps} steps", *seconds, apart, ALLOWED["train"])
        if stage == "train_model":
            return  # one of each architecture would say no more


def _evaluations(
    run: Path, config: Config, spec: Specs, tasks: list[str], folder: Path, report: Report
) -> None:
    model = next(name for name, *_ in config.cells())
    for method in METHODS:
        if method not in config.methods:
            continue
        source = config.methods[method].candidates
        for task in tasks:
            neighbors = run / "neighbors/test" / f"{source}" / f"{task}.parquet"
            if not neighbors.is_file():
                continue
            job = SimpleNamespace(model=model, method=method, task=task, part=0)
            seconds, made = [], []
            for on_gpu in (False, True):
                output = folder / f"{on_gpu}" / model / method / task / "0.parquet"
                output.parent.mkdir(parents=True)
                seconds.append(
                    _run(
                        "evaluate_part",
                        on_gpu,
                        spec=spec.evaluate_part(job),
                        model=run / "models" / model,
                        queries=run / "queries/test" / f"{task}.parquet",
                        neighbors=[neighbors],
                        method=method,
                        task=task,
                        part=0,
                        output=output,
                    )
                )
                table = pq.read_table(output).sort_by(
                    [("document_id", "ascending"), ("num_neighbors", "ascending")]
                )
                made.append(table["loglikelihood"].to_numpy())
            apart = float(np.abs(made[1] / made[0] - 1).max())
            report.add(
                f"evaluate_part {method}, {task}, {len(made[0])} rows",
                *seconds,
                apart,
                ALLOWED["evaluate_part"],
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="results/<run> of a finished run")
    parser.add_argument("--tasks", nargs="+", default=["pile_github"])
    parser.add_argument("--steps", type=int, default=30, help="of training")
    options = parser.parse_args()
    values = json.loads((options.run / "config.json").read_text(encoding="utf-8"))
    config = load(values)
    spec, report = Specs(config), Report()
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU: the CPU twice"
    print(f"{card}; torch {torch.__version__}\n")
    print("| stage | CPU, s | GPU, s | apart, relative | allowed |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _embedding(options.run, config, spec, folder / "embed", report)
        _evaluations(options.run, config, spec, options.tasks, folder / "evaluate", report)
        _training(options.run, config, folder / "train", options.steps, report)
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
