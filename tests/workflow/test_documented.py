"""What the pages tell one to give: targets are planned, and the tutorial runs, word for word."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess

import pytest
import yaml
from snakemake.cli import get_argument_parser

from checkout import SNAKEMAKE, Checkout
from documented import check_columns, columns_of, commands, files
from tiny import save_causal, save_encoder

TUTORIAL = "docs/tutorial.md"
TINY = {
    "mine": {"kind": "local", "path": "models/mine", "adapt_learning_rate": 1e-3},
    "minilm-folder": {"path": "models/embedder"},
    "minilm": {"like": "minilm-folder"},
}
"""In place of the models that a hub would be asked for, as the page says it."""


def targets() -> list[str]:
    """Files of the default run that commands name."""
    found = []
    for command in commands():
        if command.words[:1] == ["snakemake"] and not command.needs:
            given = get_argument_parser().parse_args(command.words[1:])
            if not given.configfile and not given.config:
                found += [target for target in given.targets if "RUN" not in target]
    return list(dict.fromkeys(found))


def test_every_target_of_the_pages_is_one(checkout):
    named = targets()
    assert len(named) > 3
    plan = checkout.plan(*named)
    assert plan["score"] == 1 and plan["paper_figures"] == 1
    assert plan["evaluate_part"] > 66  # the lora cell, which the demo does not evaluate, too


def test_tables_of_a_finished_run_have_the_columns_of_their_page(finished):
    folder = finished.folder / "results/tiny/tables"
    found = [path for path in folder.iterdir() if path.suffix in (".csv", ".parquet")]
    assert len(found) > 15
    for path in found:
        check_columns(path.stem, columns_of(path))


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory) -> Checkout:
    """A checkout with a text and models of one's own, in the places of those of the tutorial."""
    checkout = Checkout.fresh(tmp_path_factory.mktemp("tutorial"))
    save_causal(checkout.folder / "models/mine", "llama")
    save_encoder(checkout.folder / "models/embedder")
    values = yaml.safe_load(files()["mine.yaml"])
    values |= {"models": TINY, "embed": {"max_tokens": 60}}
    values["methods"]["ttt"]["window"] = None
    checkout.configure("mine", **values)
    return checkout


def given(checkout: Checkout, text: str) -> str:
    """Give a command as the page has it; what it printed."""
    done = subprocess.run(
        ["bash", "-ec", f'tttnn() {{ python -m tttnn "$@"; }}\n{text}'],
        cwd=checkout.folder,
        env=os.environ
        | {
            "PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(checkout.folder / "workflow"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.mark.slow
def test_the_tutorial_ends_in_the_harness_s_number(tutorial):
    """All its commands in their order, but those that say that they need what is not here."""
    printed = {}
    for command in commands():
        first = command.words[0]
        if command.page == TUTORIAL and first in ("tttnn", "snakemake", "python"):
            if command.needs == "SLURM":
                continue
            if first == "python" and importlib.util.find_spec("lm_eval") is None:
                pytest.skip("needs the extra `harness` from here on")
            printed[command.text] = given(tutorial, command.text)
    scores = (tutorial.folder / "results/mine/tables/scores.csv").read_text(encoding="utf-8")
    for neighbors in (0, 3):
        (said,) = (out for text, out in printed.items() if text.endswith(f"neighbors={neighbors}"))
        number = float(re.search(r"bits_per_byte\s*\|[^|]*\|\s*([\d.]+)", said)[1])
        (row,) = re.findall(
            rf"mine,mine,ttt,pile_github,{neighbors},bits_per_byte,([\d.]+)", scores
        )
        assert number == pytest.approx(float(row), abs=1e-3)
