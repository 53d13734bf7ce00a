"""A small run with a report."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from recorded_run import SCORE, write_run
from tttnn.figures.draw import FigureSpec, draw_figure
from tttnn.figures.style import save
from tttnn.files import write_json
from tttnn.report.write import ReportSpec, write_report

ROOT = Path(__file__).parents[3]
CAPTIONS = sorted((ROOT / "workflow/report").glob("*.rst"))
PAGE = sorted((ROOT / "workflow/tttnn/report").glob("page.*"))
TEXTS = {
    task: ["x" * 100] * count
    for task, count in {"pile_arxiv": 3, "pile_github": 3, "pile_enron": 1}.items()
}
BEFORE = [2.0, 2.2, 1.8]
GAINS = {"small": 0.25, "large": -0.1}
"""By model, the part of bits per byte that all neighbours take away."""

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
JOBS = {"a": ("train_model", 100, 60, 90.0), "b": ("evaluate_part", 130, 50, 40.0)}
"""Name of a benchmark: rule, when it ended, wall seconds, a processor's seconds."""

CONFIG = {
    "environment": "gpu",
    "methods": {"ttt": {"kind": "ttt", "window": 512}, "in_context": {"window": None}},
    "score": SCORE | {"clean_below": 0.5, "clean_jaccard_below": 0.5},
    "gather": {"ngram": 13, "shingle": 5},
    "models": {
        "small": {"kind": "huggingface", "id": "some/model", "revision": "abc123"},
        "large": {"kind": "train", "steps": 5, "architecture": {"model_type": "gpt2"}},
    },
}


def spec(**values: object) -> ReportSpec:
    return ReportSpec(
        **{
            "run": "mine",
            "figures": [("before_after", "Before & after. See *scores*."), ("curves", "Curves.")],
            "left_out": ["positions"],
            "models": ["small", "large"],
            "source": "demo",
        }
        | values
    )


def _costs(folder: Path, run: Path) -> None:
    listed = []
    for name, (rule, ended, wall, cpu) in JOBS.items():
        file = folder / f"results/mine/benchmarks/{name}.tsv"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{HEADER}{wall}\t0\t1\t1\t1\t1\t0\t0\t0\t{cpu}\n")
        os.utime(file, (ended, ended))
        listed.append({"rule": rule, "benchmark": str(file.relative_to(folder)), "log": None})
    write_json(run / "jobs.json", listed)
    write_json(run / "started.json", {"commits": ["0123456789abcdef", "fedcba9876543210, changed"]})


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """The folder `results/mine`: two models on two tasks, a method on one, figures beside it."""
    folder = tmp_path_factory.mktemp("report")

    def curve(gain: float, task: str) -> dict[int, list[float]]:
        some = BEFORE[: len(TEXTS[task])]
        return {k: [bits * (1 - gain * k / 20) for bits in some] for k in (0, 10, 20)}

    cells = {
        (model, "ttt", task): curve(gain, task) for model, gain in GAINS.items() for task in TEXTS
    } | {("small", "in_context", "pile_github"): curve(0.05, "pile_github")}
    made = write_run(
        folder / "results/mine",
        TEXTS,
        cells,
        run="mine",
        config=CONFIG,
    )
    _costs(folder, made)
    figures = folder / "figures/mine"
    for name, module in (("before_after", "gains"), ("curves", "curves")):
        svg, pdf = (figures / f"{name}.{kind}" for kind in ("svg", "pdf"))
        draw_figure(FigureSpec(name=name, module=module), made / "tables", svg, pdf)
    drawn = Figure(figsize=(2, 1))
    drawn.subplots().plot([1, 2])
    save(drawn, figures / "new_one.svg", figures / "new_one.pdf")
    return made


@pytest.fixture(scope="session")
def write(run) -> Callable[..., str]:
    """Writes the report of `run` with another spec or other captions, and reads it."""

    def written(captions: list[Path] = CAPTIONS, **values: object) -> str:
        write_report(
            spec=spec(**values),
            results=run,
            figures=sorted((run.parents[1] / "figures/mine").glob("*.svg")),
            tables=sorted((run / "tables").glob("*.csv")),
            captions=captions,
            page=PAGE,
            citation=[ROOT / "CITATION.cff"],
            output=run / "report.html",
        )
        return (run / "report.html").read_text(encoding="utf-8")

    return written


@pytest.fixture(scope="session")
def page(write) -> str:
    """The report, in HTML."""
    return write()
