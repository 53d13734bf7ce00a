"""The paper's figures need nothing but the published numbers."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from synthetic_run import make_run
from tttnn.published.names import FIGURES

FIGURES_ALONE = ("--cores", "1", "paper_figures")


def test_published_figures_from_a_fresh_checkout(checkout):
    assert checkout.plan(*FIGURES_ALONE) == Counter(published_tables=1, paper_figures=1)
    checkout.snakemake(*FIGURES_ALONE)
    for figure in FIGURES:
        folder = checkout.folder / "figures" / "published"
        assert (folder / f"{figure}.svg").stat().st_size > 5000
        assert (folder / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
    table = checkout.folder / "results" / "published" / "tables" / "table1.tex"
    assert "All (weighted) & 1.06 & 0.99 & 1.03 & 0.85 & 1.07" in table.read_text()
    assert checkout.plan(*FIGURES_ALONE) == Counter()
    checkout.edit("workflow/tttnn/figures/paper.py", "BOXES = (", "OTHER = 1\nBOXES = (")
    assert checkout.plan(*FIGURES_ALONE) == Counter(paper_figures=1)


def test_only_a_run_with_the_paper_s_models_is_compared(checkout):
    demo = checkout.plan()
    assert not {"compare_published", "draw_side_by_side", "published_tables"} & set(demo)
    paper = checkout.plan("--configfile", "config/paper.yaml")
    assert paper["compare_published"] == paper["draw_side_by_side"] == 1


def test_a_run_beside_the_published_numbers(checkout):
    tables = make_run(
        checkout.folder / "results" / "here", {"pile_arxiv": 5}, models=("gpt2",), resamples=20
    )
    svg = "figures/here/side_by_side.svg"
    checkout.snakemake(
        "--configfile",
        "config/paper.yaml",
        "--config",
        "run=here",
        "--cores",
        "1",
        "--allowed-rules",
        "compare_published",
        "draw_side_by_side",
        "--",
        svg,
    )
    assert (checkout.folder / svg).stat().st_size > 5000
    assert set(pd.read_csv(tables / "side_by_side.csv")["task"]) == {"pile_arxiv", "pile_all"}
