"""Claims against runs whose numbers are known by hand."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from synthetic_run import row, run_score, write_rows
from tttnn.command import main
from tttnn.findings.appendix import digest, verdict
from tttnn.findings.claim import Claim
from tttnn.findings.claims import CLAIMS
from tttnn.findings.evidence import Measured
from tttnn.findings.page import findings
from tttnn.findings.quantities import against
from tttnn.findings.switches import SWITCHES

ROOT = Path(__file__).parents[3]
SCORE = {"resamples": 200, "seed": 7, "confidence": 0.9}
TRAINED = {
    **{"kind": "train", "steps": 5, "subsets": None, "exclude": []},
    "architecture": {"model_type": "gpt2"},
}
GITHUB, ARXIV = 7.59, 8.96  # per cent of the Pile (arXiv 2101.00027, table 1)
UP = [1.0, 1.4, 1.1]  # bits per byte of three documents

Curves = dict[tuple[str, str, str], dict[int, list[float]]]
"""(model, method, task) -> number of neighbors -> each document's bits per byte."""


def shifted(**by: float) -> dict[int, list[float]]:
    """Documents as `UP` before, and lower by so much at each number of neighbors."""
    return {0: UP} | {int(k[1:]): [bits - down for bits in UP] for k, down in by.items()}


def rows_of(cell: tuple[str, str, str], curve: dict[int, list[float]], **values: Any) -> list[dict]:
    return [
        row(
            document,
            point,
            **dict(zip(("model", "method", "task"), cell, strict=True)),
            **{"loglikelihood": -bits * 100 * math.log(2)},
            **{name: of(document, point) for name, of in values.items()},
        )
        for point, all_bits in curve.items()
        for document, bits in enumerate(all_bits)
    ]


def make(
    folder: Path,
    curves: Curves,
    values: dict[str, dict[str, Any]] | None = None,
    models: dict[str, dict[str, Any]] | None = None,
    **spec: Any,
) -> Path:
    """The tables of a run with these curves; `values` of a method replace its rows' other columns.

    Documents have 100 bytes each, so that a task's bits per byte are the mean of its documents'.
    """
    files = [
        write_rows(
            folder / "evaluation" / Path(*cell) / "0.parquet",
            rows_of(cell, curve, **(values or {}).get(cell[1], {})),
        )
        for cell, curve in curves.items()
    ]
    names = {model for model, _, _ in curves}
    config = {
        "run": spec.get("run", "made-up"),
        "score": SCORE,
        "models": {name: (models or {}).get(name, TRAINED) for name in names},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return run_score(
        folder,
        files,
        {task: len(curve[0]) for (_, _, task), curve in curves.items()},
        **{"halves": [], "candidates": dict.fromkeys((m for _, m, _ in curves), "flat")} | spec,
        **SCORE,
    )


def page(*tables: Path) -> str:
    """The appendix."""
    output = tables[0].parent / "docs"
    findings(list(tables), output)
    return (output / "findings/appendix.md").read_text(encoding="utf-8")


def screen(*tables: Path) -> dict[str, list[str]]:
    """The page of one screen: the lines of each heading."""
    output = tables[0].parent / "docs"
    findings(list(tables), output)
    text = (output / "findings.md").read_text(encoding="utf-8")
    headings = [part.splitlines() for part in text.split("\n## ")]
    return {lines[0]: [line for line in lines[1:] if line] for lines in headings}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def section(text: str, start: str) -> list[list[str]]:
    """The cells of the first table after `start`, without its head."""
    lines = [*text[text.index(start) :].splitlines(), ""]
    first = next(k for k, line in enumerate(lines) if line.startswith("|"))
    table = lines[first : lines.index("", first)]
    return [cells(line) for line in table[2:]]


def measured(text: str, claim: str) -> list[list[str]]:
    """Of this claim, each row's model, value, interval, tasks, documents and verdict."""
    detail = re.search(rf"\*\*\d+\. {re.escape(claim)}.*?(?=\n\*\*|\n##)", text, re.DOTALL)[0]
    return [cells(line)[1:] for line in detail.splitlines() if line.startswith("| made-up")]


@pytest.mark.parametrize(
    ("low", "high", "side", "threshold", "expected"),
    [
        (0.1, 0.3, "above", 0.0, "holds"),
        (0.1, 0.3, "below", 0.0, "does not hold"),
        (-0.3, -0.1, "below", 0.0, "holds"),
        (-0.3, -0.1, "above", 0.0, "does not hold"),
        (-0.1, 0.1, "above", 0.0, "undecided"),
        (0.0, 0.1, "above", 0.0, "undecided"),
        (-0.1, 0.0, "below", 0.0, "undecided"),
        (0.0, 0.0, "above", 0.0, "undecided"),
        (0.1, 0.3, "below", 0.5, "holds"),
        (0.5, 0.7, "above", 0.5, "undecided"),
        (math.nan, math.nan, "above", 0.0, "no interval"),
    ],
)
def test_a_verdict_is_where_the_interval_lies(low, high, side, threshold, expected):
    assert verdict(Measured("", 0.2, low, high, 3, 1), side, threshold) == expected


def test_what_has_no_value_was_not_measured():
    assert verdict(Measured("", math.nan, 0.1, 0.2, 3, 1), "above", 0.0) == "not measured"


def named_methods(claims: dict[str, list[Claim]]) -> set[str]:
    given = [getattr(c.measure, "keywords", {}) for some in claims.values() for c in some]
    names = {some[key] for some in given for key in ("method", "base") if key in some}
    return names.union(*(some["methods"] for some in given if "methods" in some))


def test_claims_are_about_methods_of_the_catalogue():
    named = {name for switch in SWITCHES for name in (switch.method, switch.base)}
    catalogue = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["methods"]
    assert named | named_methods(CLAIMS) <= set(catalogue) | TO_COME


TO_COME = {"experts"}
"""Methods that the catalogue need not have yet; what they claim is open until then."""


def test_the_published_pages_are_made_of_the_published_records(tmp_path, monkeypatch):
    """Otherwise make docs/findings.md again, by the command in it."""
    monkeypatch.chdir(ROOT)
    published = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
    words = shlex.split(re.search(r"`tttnn (findings .*?)`", published)[1])
    assert words[-2:] == ["--output", "docs"]
    shutil.copytree(ROOT / "docs/records", tmp_path / "docs/records")
    monkeypatch.chdir(tmp_path)
    main(words)
    for name in ("findings.md", "findings/appendix.md"):
        made = (tmp_path / "docs" / name).read_text(encoding="utf-8")
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == made


@pytest.mark.parametrize(
    "change",
    [{"threshold": 0.1}, {"side": "above"}, {"measure": partial(against, method="batch")}],
    ids=["threshold", "side", "measure"],
)
def test_the_digest_is_of_what_is_measured_and_not_of_words(change):
    claims = {"": [Claim("A.", "here", "bits", partial(against, method="slow"))]}
    other = {"": [claims[""][0]._replace(**change)]}
    reworded = {"Choices": [claims[""][0]._replace(sentence="B.", source="there")]}
    assert digest(reworded, SWITCHES) == digest(claims, SWITCHES) != digest(other, SWITCHES)
    assert digest(claims, SWITCHES[1:]) != digest(claims, SWITCHES)


def test_a_gain_is_weighted_and_its_interval_that_of_the_tables(tmp_path):
    github = shifted(_5=0.1, _20=0.3)
    arxiv = {0: [2.0, 2.2], 5: [2.0, 2.1], 20: [2.0, 1.8]}
    tables = make(
        tmp_path, {("small", "ttt", "pile_github"): github, ("small", "ttt", "pile_arxiv"): arxiv}
    )
    row = pd.read_csv(tables / "differences.csv").query(
        "task == 'pile_all' and num_neighbors == 20 and documents_kind == 'raw'"
    )
    text = page(tables)
    assert measured(text, "Training on the nearest neighbours lowers") == [
        [
            "small, 20 neighbours",
            f"{(GITHUB * -0.3 + ARXIV * -0.2) / (GITHUB + ARXIV):+.4f}",
            f"[{row['low'].item():+.4f}, {row['high'].item():+.4f}]",
            "2 of 22",
            "5",
            "holds",
        ]
    ]
    assert ["1", "Training on the nearest neighbours lowers bits per byte.", "holds"] in section(
        text, "## Claims"
    )


def test_a_comparison_is_paired_and_at_the_numbers_of_both(tmp_path):
    """Documents differ by 0.4, but every one by the same 0.05 between the methods."""
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_5=0.1, _20=0.3, _50=0.9),
            ("small", "farthest", "pile_github"): shifted(_5=0.1, _20=0.25),
        },
    )
    assert measured(page(tables), "Farthest first is worse") == [
        ["small, 20 neighbours", "+0.0500", "[+0.0500, +0.0500]", "1 of 22", "3", "holds"]
    ]


def test_intervals_of_comparisons_are_those_of_the_tables(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_20=0.3),
            ("small", "sift", "pile_github"): {0: UP, 20: [0.6, 0.8, 0.7]},
        },
    )
    comparisons = pd.read_csv(tables / "comparisons.csv")
    (row,) = comparisons.query("task == 'pile_all' and documents_kind == 'raw'").itertuples()
    interval = f"[{row.low:+.4f}, {row.high:+.4f}]"
    (found,) = measured(page(tables), "SIFT's selection is better")
    assert found[1:3] == [f"{(0.6 + 0.8 + 0.7) / 3 - (3.5 - 0.9) / 3:+.4f}", interval]
    assert found[-1] == "holds"


def test_what_a_run_lacks_is_not_measured(tmp_path):
    tables = make(tmp_path, {("small", "ttt", "pile_github"): shifted(_20=0.3)})
    text = page(tables)
    verdicts = {sentence: verdict for _, sentence, verdict in section(text, "## Claims")}
    assert verdicts["Farthest first is worse than nearest first."] == "not measured"
    assert measured(text, "Farthest first is worse") == []
    assert verdicts["A model gains more on subsets that it was not trained on."] == "not measured"
    assert {cells[3] for cells in section(text, "| no. | run")} == {"not measured"}


def test_two_runs_stand_side_by_side(tmp_path):
    github = ("small", "ttt", "pile_github")
    down = make(tmp_path / "down", {github: shifted(_20=0.3)})
    up = make(tmp_path / "up", {github: shifted(_20=-0.3)}, run="other")
    verdicts = section(page(down, up), "## Claims")
    assert verdicts[0][2:] == ["holds", "does not hold"]


def test_where_models_differ_they_are_counted(tmp_path):
    downs = {"small": 0.3, "large": 0.1, "neo": -0.1}
    tables = make(
        tmp_path, {(m, "ttt", "pile_github"): shifted(_20=down) for m, down in downs.items()}
    )
    assert section(page(tables), "## Claims")[0][2] == "holds (2), does not hold (1)"


def first_is(tables: Path, method: str, kind: str) -> Path:
    """The tables, their run's configuration with this method, which is the first."""
    config = json.loads((tables.parent / "config.json").read_text())
    config["methods"] = {method: {"kind": kind}}
    (tables.parent / "config.json").write_text(json.dumps(config))
    return tables


def test_a_main_method_of_another_name_is_measured_and_named(tmp_path):
    """Whatever its name, the first method is the one that figures, too, hold others against."""

    def text(folder: str, main: str) -> str:
        values = {main: {"overlap": lambda document, point: float(document == 0 and point > 0)}}
        curves = {
            ("small", main, "pile_github"): {0: UP, 20: [0.7, 1.3, 1.0]},
            ("small", "random", "pile_github"): shifted(_20=0.1),
            ("small", "slow", "pile_github"): shifted(_20=0.1),
        }
        names = {main: "flat", "random": "random", "slow": "flat"}
        tables = make(tmp_path / folder, curves, values, candidates=names)
        return page(first_is(tables, main, "ttt"))

    renamed, usual = text("renamed", "mine"), text("usual", "ttt")
    assert section(renamed, "## Claims") == section(usual, "## Claims")
    for claim in ("Training on the nearest neighbours lowers", "Neither a lower nor a higher"):
        assert measured(renamed, claim) == measured(usual, claim) != []
    near = "## Near-copies by task"
    assert section(renamed, near) == section(usual, near) != []
    assert "`made-up` has no `ttt`; its first method, `mine`, stands for it." in renamed
    assert "stands for it" not in usual


@pytest.mark.parametrize(
    ("method", "kind", "candidates"),
    [("random", "ttt", "random"), ("in_context", "in_context", "flat"), ("dynamic", "ttt", None)],
)
def test_only_training_on_retrieved_neighbours_stands_for_the_main_method(
    method, kind, candidates, tmp_path
):
    tables = make(
        tmp_path,
        {("small", method, "pile_github"): shifted(_20=0.3)},
        candidates={method: candidates},
    )
    text = page(first_is(tables, method, kind))
    assert measured(text, "Training on the nearest neighbours lowers") == []
    assert "stands for it" not in text


def test_a_method_is_not_held_against_itself(tmp_path):
    tables = make(tmp_path, {("small", "slow", "pile_github"): shifted(_20=0.3)})
    text = page(first_is(tables, "slow", "ttt"))
    assert measured(text, "Training on the nearest neighbours lowers")
    assert measured(text, "Neither a lower nor a higher learning rate") == []


def test_unseen_subsets_are_those_a_model_was_kept_from(tmp_path):
    """Relative gains: small 0.35 / (3.5 / 3) = 30 % unseen and 12 % seen, neo 6 % on both."""
    gains = {"small": (0.35, 0.14), "neo": (0.07, 0.07)}
    tables = make(
        tmp_path,
        {
            (model, "ttt", task): shifted(_20=down)
            for model, downs in gains.items()
            for task, down in zip(("pile_github", "pile_arxiv"), downs, strict=True)
        },
        models={"small": TRAINED | {"exclude": ["Github"]}},
    )
    text = page(tables)
    ((of, value, *_, word),) = measured(text, "A model gains more on subsets")
    assert (of, value, word) == ("small, 1 tasks against 1", "+18.0%", "holds")
    ((of, value, _, tasks, *_),) = measured(text, "On the same subsets")
    assert (of, value, tasks) == ("small against neo", "+24.0%", "1 of 22")


def test_a_model_that_saw_some_subsets_was_kept_from_the_others(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_20=0.14),
            ("small", "ttt", "pile_arxiv"): shifted(_20=0.35),
        },
        models={"small": TRAINED | {"subsets": ["Github"]}},
    )
    assert measured(page(tables), "A model gains more on subsets")[0][1] == "+18.0%"


def test_of_a_published_model_nobody_says_what_it_saw(tmp_path):
    tables = make(
        tmp_path,
        {("gpt2", "ttt", "pile_github"): shifted(_20=0.1)},
        models={"gpt2": {"kind": "huggingface", "id": "openai-community/gpt2"}},
    )
    text = page(tables)
    assert measured(text, "A model gains more on subsets") == []
    assert "openai-community/gpt2; training text not on record" in text


def test_a_single_document_has_no_interval(tmp_path):
    tables = make(tmp_path, {("small", "ttt", "pile_github"): {0: [1.0], 20: [0.8]}})
    assert measured(page(tables), "Training on the nearest neighbours lowers") == [
        ["small, 20 neighbours", "-0.2000", "none", "1 of 22", "1", "no interval"]
    ]


def test_shares_of_a_gain(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_2=0.25, _5=0.3, _9=0.36, _20=0.4),
            ("small", "random", "pile_github"): shifted(_2=0.0, _5=0.0, _9=0.0, _20=0.1),
            ("large", "ttt", "pile_github"): {0: [bits - 0.5 for bits in UP], 20: UP},
        },
    )
    text = page(tables)
    assert measured(text, "The same number of random neighbours gives")[0][1:3] == [
        "25.0%",
        "[25.0%, 25.0%]",
    ]
    early = measured(text, "Two fifths of the neighbours")
    # 0.3 of 0.4 after 5 neighbours and 0.36 after 9, so 0.345 after 8
    assert early[0][:2] == ["small, 8 of 20 neighbours, between 5 and 9", "86.3%"]
    # 0.36 over the first 9 neighbours, 0.04 over the next 11
    assert measured(text, "The curve over the number")[0][:2] == [
        "small, up to 9 and up to 20",
        f"{0.36 / 9 - 0.04 / 11:+.6f}",
    ]
    assert measured(text, "Training closes a quarter")[0][:2] == [
        "small to large",
        "80.0%",
    ]


def test_a_share_of_nothing_is_not_measured(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): {0: UP, 20: [1.0, 1.3, 1.3]},  # up and down
            ("small", "random", "pile_github"): shifted(_20=0.1),
        },
    )
    (row,) = measured(page(tables), "The same number of random neighbours gives")
    assert row[1:3] == ["-", "none"] and row[-1] == "not measured"


def test_tasks_that_get_worse_are_named(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_5=0.2, _20=0.1, _50=0.05),
            ("small", "ttt", "pile_arxiv"): shifted(_5=-0.1, _20=-0.2, _50=-0.3),
            ("small", "ttt", "pile_enron"): {0: UP, 5: UP, 20: UP, 50: [1.3, 1.3, 1.0]},  # noise
            ("small", "ttt", "pile_uspto"): {0: [1.0], 5: [1.0], 20: [1.1], 50: [1.5]},
        },
    )
    text = page(tables)
    assert measured(text, "Some tasks get worse after") == [
        [
            "small: pile_arxiv after 5, pile_github after 5",
            "2",
            "[2, 2]",
            "3 of 22",
            "9",
            "holds",
        ]
    ]
    assert measured(text, "Some tasks end worse")[0][:2] == ["small: pile_arxiv", "1"]


def test_without_evaluations_only_the_ends_are_known(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_5=0.3, _20=0.4),
            ("small", "batch", "pile_github"): shifted(_5=0.3, _20=0.4),
        },
    )
    with_points = page(tables)
    assert measured(with_points, "Two fifths of the neighbours")
    shutil.rmtree(tmp_path / "evaluation")
    text = page(tables)
    claim = "Training on the nearest neighbours lowers"
    assert measured(text, claim) == measured(with_points, claim)
    assert measured(text, "Two fifths of the neighbours") == []
    assert measured(text, "Steps on all neighbours at once take longer")[0][-1] == "not measured"


def test_seconds_and_tokens_are_compared(tmp_path):
    tables = make(
        tmp_path,
        {("small", method, "pile_github"): shifted(_20=0.3) for method in ("ttt", "batch", "stop")},
        values={
            "batch": {"train_seconds": lambda document, point: (1 + document) * point},
            "stop": {"train_tokens": lambda document, point: 100 * point},  # of 500
        },
    )
    text = page(tables)
    # (1 + 2 + 3) / 3 seconds a neighbour, of 0.5; the table has an evaluation of 0.1 with it
    assert measured(text, "Steps on all neighbours at once take longer")[0][1] == "+300.0%"
    assert measured(text, "Stopping early saves tokens with the nearest")[0][1:3] == [
        "-80.0%",
        "[-80.0%, -80.0%]",
    ]
    costs = {row[2]: row[3:7] for row in section(text, "## Costs")}
    assert costs["batch"] == ["20", "1", "40.100", "10000"]


def test_costs_are_of_the_tasks_that_all_methods_have(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_20=0.3),
            ("small", "ttt", "pile_arxiv"): shifted(_20=0.3),
            ("small", "batch", "pile_arxiv"): {0: UP, 20: [0.5, 0.6, 0.7]},
        },
        values={"ttt": {"train_seconds": lambda document, point: document * point}},
    )
    rows = section(page(tables), "## Costs")
    assert [row[2:] for row in rows] == [
        ["ttt", "20", "1", "20.100", "10000", f"{3.5 / 3 - 0.3:.4f}"],
        ["batch", "20", "1", "10.100", "10000", "0.6000"],
    ]


def test_dynamic_evaluation_after_seven_iterations(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_20=0.3),
            ("small", "split", "pile_github"): shifted(_5=0.1, _20=0.25),
            ("small", "dynamic", "pile_github"): shifted(_5=0.3, _6=0.21, _7=0.2, _20=-0.4),
        },
        halves=["split", "dynamic"],
    )
    text = page(tables)
    assert measured(text, "Dynamic evaluation is worse")[0][:2] == [
        "small, 7 and 20 neighbours",
        "+0.0500",
    ]
    (last,) = [row for row in section(text, "| no. | run") if row[2] == "small, 6 and 7 neighbours"]
    assert last[3:5] == ["-0.0100", "[-0.0100, -0.0100]"]
    # ratios 1 - 0.25 and 1 - 0.3 of 3.5 / 3
    assert measured(text, "Neighbours of the first half keep")[0][1] == "+4.3%"


def test_shares_mixed_in_are_those_chosen(tmp_path):
    """Github is best at 0.2 on test and at 0.1 on validation documents, arXiv at 0.1 on both."""
    downs = {
        "pile_github": {0.1: 0.2, 0.2: 0.3},
        "pile_arxiv": {0.1: 0.1, 0.2: 0.0},
    }
    curves = {("small", "ttt", task): shifted(_20=0.5) for task in downs}
    for method in ("interpolate", "interpolate_released"):
        for kind in ("evaluation", "validation"):
            for task, by_alpha in downs.items():
                cell = ("small", method, task)
                best = by_alpha if kind == "evaluation" else {0.1: 0.2, 0.2: 0.1}
                rows = rows_of(cell, {0: UP})
                for alpha, down in best.items():
                    mixed = rows_of(cell, {20: [bits - down for bits in UP]})
                    rows += [one | {"alpha": alpha} for one in mixed]
                write_rows(tmp_path / kind / Path(*cell) / "0.parquet", rows)
    mixtures = {"interpolate": False, "interpolate_released": True}
    files = [
        *(write_rows(tmp_path / "evaluation" / Path(*c) / "0.parquet", rows_of(c, curve))
          for c, curve in curves.items()),
        *sorted(tmp_path.glob("evaluation/small/interpolate*/*/0.parquet")),
    ]  # fmt: skip
    config = {"run": "made-up", "score": SCORE, "models": {"small": TRAINED}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    counts = dict.fromkeys(downs, 3)
    tables = run_score(
        tmp_path,
        files,
        counts,
        validation=counts,
        candidates=dict.fromkeys(["ttt", *mixtures], "flat"),
        mixtures=mixtures,
        halves=[],
        **SCORE,
    )
    text = page(tables)
    assert section(text, "### Shares mixed in") == [
        ["made-up", "small", "interpolate", "0.1"],
        ["made-up", "small", "interpolate_released", "pile_arxiv 0.1, pile_github 0.2"],
    ]
    part = 0.2 * GITHUB / (0.2 * GITHUB + 0.1 * ARXIV)
    assert measured(text, "Most of the gain of interpolating")[0][1] == f"{part:.1%}"
    (released,) = [row for row in section(text, "| no. | run") if row[0] == "6"]
    assert released[3] == f"{-0.1 * GITHUB / (GITHUB + ARXIV):+.4f}"


def test_near_copies_and_what_is_left_without_them(tmp_path):
    """Of 0.3 + 0.1 + 0.1 bits a byte the first document has 0.3, and has a near-copy."""
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): {0: UP, 20: [0.7, 1.3, 1.0]},
            ("small", "no_copies", "pile_github"): shifted(_20=0.1),
        },
        values={"ttt": {"overlap": lambda document, point: float(document == 0 and point > 0)}},
    )
    text = page(tables)
    ((_, _, task, documents, copies, share, _),) = section(text, "## Near-copies by task")
    assert (task, documents, copies, share) == ("pile_github", "3", "1", "60.0%")
    assert measured(text, "Documents without a near-copy")[0][1:] == [
        "-0.1000",
        "[-0.1000, -0.1000]",
        "1 of 22",
        "2",
        "holds",
    ]


def test_changes_are_relative_where_the_claim_is(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_20=0.3),
            ("small", "in_context", "pile_github"): {0: UP, 20: [0.992 * bits for bits in UP]},
            ("small", "lora", "pile_github"): {0: UP, 20: [1.02 * (bits - 0.3) for bits in UP]},
        },
    )
    text = page(tables)
    assert measured(text, "Neighbours in the context lower")[0][1:3] == [
        "-0.8%",
        "[-0.8%, -0.8%]",
    ]
    assert measured(text, "Neighbours in the context lower")[0][-1] == "holds"
    assert measured(text, "Training adapters")[0][1:3] == ["+2.0%", "[+2.0%, +2.0%]"]
    assert measured(text, "Training adapters")[0][-1] == "does not hold"


def test_a_method_that_had_no_room_for_a_neighbour_is_not_judged(tmp_path):
    """As neighbours in a context that the document fills: what it does elsewhere is judged."""
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_20=0.3),
            ("small", "ttt", "pile_arxiv"): shifted(_20=0.3),
            ("small", "in_context", "pile_github"): shifted(_20=0.0),
            ("small", "in_context", "pile_arxiv"): shifted(_20=0.1),
        },
    )
    (row,) = measured(page(tables), "Neighbours in the context help less than training")
    assert row[1] == "+0.2000"
    assert row[3] == "1 of 22"


def test_methods_of_one_claim_are_told_apart(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_20=0.3),
            ("small", "slow", "pile_github"): shifted(_20=0.1),
            ("small", "fast", "pile_github"): shifted(_20=0.4),
        },
    )
    rows = measured(page(tables), "Neither a lower nor a higher learning rate")
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("slow: small, 20 neighbours", "+0.2000", "holds"),
        ("fast: small, 20 neighbours", "-0.1000", "does not hold"),
    ]


def test_absent_tasks_and_the_command_are_named(tmp_path):
    tables = make(tmp_path, {("small", "ttt", "pile_github"): shifted(_20=0.3)})
    text = page(tables)
    assert f"tttnn findings {tables} --output {tmp_path}/docs\n" in text
    assert re.search(r"- `made-up`, no documents: pile_arxiv, .*pile_youtubesubtitles\.", text)


def test_tables_are_aligned_and_a_page_is_made_the_same_twice(tmp_path):
    tables = make(
        tmp_path,
        {
            (model, method, "pile_github"): shifted(_5=0.1, _20=0.3)
            for model in ("small", "large")
            for method in ("ttt", "random", "released")
        },
    )
    text = page(tables)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(line) for line in block.splitlines()}) == 1
    assert page(tables) == text


def test_the_command_line_takes_several_folders(tmp_path):
    cell = ("small", "ttt", "pile_github")
    one = make(tmp_path / "one", {cell: shifted(_20=0.3)}, run="one")
    two = make(tmp_path / "two", {cell: shifted(_20=0.3)}, run="two")
    main(["findings", str(one), str(two), "--output", str(tmp_path / "docs")])
    text = (tmp_path / "docs/findings/appendix.md").read_text()
    assert "| one" in text and "| two" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "config.json is missing: the tables must stand in their run's folder"),
        ("tables/duplicates.csv", "duplicates.csv is missing: make the run's tables again"),
        ("tables/documents.parquet", "documents.parquet is missing: make the run's tables again"),
    ],
)
def test_a_missing_file_is_named(tmp_path, name, message):
    tables = make(tmp_path, {("small", "ttt", "pile_github"): shifted(_20=0.3)})
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=re.escape(message)):
        page(tables)


def test_evaluations_newer_than_the_tables_are_refused(tmp_path):
    cell = ("small", "ttt", "pile_github")
    tables = make(tmp_path, {cell: shifted(_20=0.3)})
    write_rows(tmp_path / "evaluation" / Path(*cell) / "0.parquet", rows_of(cell, shifted(_20=0.2)))
    with pytest.raises(ValueError, match="disagree on small/ttt/pile_github: make the tables"):
        page(tables)


def test_a_run_given_twice_is_refused(tmp_path):
    tables = make(tmp_path, {("small", "ttt", "pile_github"): shifted(_20=0.3)})
    with pytest.raises(ValueError, match="two of the runs are called 'made-up'"):
        findings([tables, tables], tmp_path / "findings.md")


# --- the page of one screen ------------------------------------------------------------------

HUB = {"kind": "huggingface", "id": "someone/pretrained"}


def test_the_screen_has_what_holds_with_pretrained_models_alone(tmp_path):
    tables = make(
        tmp_path,
        {
            ("smol", "ttt", "pile_github"): shifted(_5=0.2, _20=0.3),
            ("smol", "sift", "pile_github"): shifted(_5=0.1, _20=0.25),
            ("small", "ttt", "pile_github"): shifted(_5=0.0, _20=-0.3),
        },
        models={"smol": HUB},
    )
    page = screen(tables)
    relative = f"{-0.3 / (sum(UP) / 3):+.1%}"
    (gains,) = [line for line in page["Holds"] if "more than 5 %" in line]
    assert gains.startswith(
        "- Training on the nearest neighbours lowers bits per byte by more than 5 %. "
        f"**{relative}** ["
    )
    assert gains.endswith("(`made-up`: smol, 20 neighbours)")
    (worse,) = page["Does not hold"]
    assert worse == (
        "- SIFT's selection is better than the nearest neighbours. **+0.0500** "
        "[+0.0500, +0.0500] (`made-up`: smol, 20 neighbours)"
    )
    assert "Merged" not in worse and page["Open"][-1].startswith("- Not measured in any record: ")
    assert "Experts merged for a document" in page["Open"][-1]
    assert not any("small," in line for lines in page.values() for line in lines[3:])


def test_the_screen_says_where_no_model_is_pretrained(tmp_path):
    tables = make(tmp_path, {("small", "ttt", "pile_github"): shifted(_20=0.3)})
    page = screen(tables)
    assert len(page) == 2 and len(page["Open"]) == 1
    (top, _) = page.values()
    assert "No record has a pretrained model yet, so everything is open." in top


def test_runs_that_differ_leave_a_claim_open(tmp_path):
    github = ("smol", "ttt", "pile_github")
    down = make(tmp_path / "down", {github: shifted(_20=0.3)}, models={"smol": HUB})
    up = make(tmp_path / "up", {github: shifted(_20=-0.3)}, models={"smol": HUB}, run="other")
    page = screen(down, up)
    (line,) = [line for line in page["Open"] if "more than 5 %" in line]
    assert "(`made-up`: smol" in line and "(`other`: smol" in line


# --- tasks and documents one by one ----------------------------------------------------------


def test_tasks_that_gain_are_counted_and_the_largest_named(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_20=0.35),
            ("small", "ttt", "pile_arxiv"): shifted(_20=0.07),
            ("small", "ttt", "pile_uspto"): shifted(_20=-0.07),
            ("small", "ttt", "pile_enron"): {0: [1.0], 20: [0.5]},  # alone: no interval
        },
    )
    ((label, value, *_, word),) = measured(page(tables), "More than half of the tasks gain")
    assert label == "small, 2 of 3 tasks; most: Github -30.0%, ArXiv -6.0%"
    assert (value, word) == ("66.7%", "holds")


def test_a_task_is_held_against_the_others(tmp_path):
    """Github lowers 3.5 / 3 bits by 0.35, 30 %; the two others, of one level, by 6 and 12 %."""
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_20=0.35),
            ("small", "ttt", "pile_arxiv"): shifted(_20=0.07),
            ("small", "ttt", "pile_freelaw"): shifted(_20=0.14),
        },
    )
    ((label, value, *_, word),) = measured(page(tables), "Github and DM Mathematics gain more")
    freelaw = 6.12
    rest = (0.06 * ARXIV + 0.12 * freelaw) / (ARXIV + freelaw)
    assert (label, value, word) == (
        "small, Github against 2 tasks", f"{-0.30 + rest:+.1%}", "holds"
    )  # fmt: skip


def test_clean_documents_are_held_against_all(tmp_path):
    """Of 1.0, 1.4 and 1.1 bits the copied first one loses 0.3, the others 0.1 each."""
    tables = make(
        tmp_path,
        {("small", "ttt", "pile_github"): {0: UP, 20: [0.7, 1.3, 1.0]}},
        values={"ttt": {"overlap": lambda document, point: float(document == 0 and point > 0)}},
    )
    ((label, value, *_),) = measured(page(tables), "Documents without a near-copy gain as much")
    assert label == f"small, 2 of 3 documents, {-0.2 / 2.5:+.1%}"
    assert value == f"{-0.2 / 2.5 + 0.5 / 3.5:+.1%}"


def test_overlap_and_gain_are_ranked_within_tasks(tmp_path):
    """Gains in the order of overlaps in one task and against it in another: no correlation."""
    overlaps = {"pile_github": (0.1, 0.2, 0.3), "pile_arxiv": (0.4, 0.3, 0.2)}

    def label_and_value(*tasks: str) -> tuple[str, str]:
        folder = tmp_path / "-".join(tasks)
        files = []
        for task in tasks:
            rows = rows_of(("small", "ttt", task), {0: UP, 20: [0.99, 1.2, 0.8]})
            for one in rows:
                one["overlap"] = overlaps[task][one["document_id"]] * (one["num_neighbors"] > 0)
            files.append(write_rows(folder / f"evaluation/small/ttt/{task}/0.parquet", rows))
        config = {"run": "made-up", "score": SCORE, "models": {"small": TRAINED}}
        (folder / "config.json").write_text(json.dumps(config))
        tables = run_score(
            folder, files, dict.fromkeys(tasks, 3), halves=[], candidates={"ttt": "flat"}, **SCORE
        )
        ((label, value, *_),) = measured(page(tables), "Documents that share more words")
        return label, value

    assert label_and_value("pile_github") == ("small, 3 documents", "+1.00")
    assert label_and_value("pile_github", "pile_arxiv") == ("small, 6 documents", "+0.00")


def test_experts_are_held_against_each_number_of_neighbours(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_1=0.1, _5=0.2, _10=0.3),
            ("small", "ttt_20", "pile_github"): shifted(_1=0.1, _20=0.4),
            ("small", "experts", "pile_github"): shifted(_1=0.05, _8=0.3),
        },
    )
    text = page(tables)
    for neighbors, difference in ((1, "-0.2000"), (5, "-0.1000"), (20, "+0.1000")):
        claim = (
            "Experts merged for a document, without training at test time, are better than "
            f"training on {neighbors} neighbour"
        )
        ((label, value, *_),) = measured(text, claim)
        assert (label, value) == (f"small, 8 and {neighbors} neighbours", difference)


def test_long_documents_are_those_of_the_table_of_positions(tmp_path):
    """Of whole long documents, all tasks, at the most neighbours, without score first."""
    tables = make(tmp_path, {("small", "ttt", "pile_github"): shifted(_20=0.3)})
    kept = {
        "model": "small", "method": "long_past", "query": "past", "chunk_tokens": math.nan,
        "task": "pile_all", "windows_kind": "long", "by": "document", "num_neighbors": 5,
        "difference": -0.02, "difference_low": -0.03, "difference_high": -0.01,
        "change": -0.2, "change_low": -0.3, "change_high": -0.1, "documents": 24, "tasks": 4,
    }  # fmt: skip
    others = [
        {"query": "document", "difference": math.nan},
        {"windows_kind": "all"},
        {"by": "fifth"},
        {"task": "pile_freelaw"},
        {"num_neighbors": 2},
    ]
    scored = [
        {"chunk_tokens": 64.0, "difference": -0.04, "difference_low": -0.05},
        {"method": "score_first", "query": "none", "chunk_tokens": 64.0, "difference": 0.5,
         "difference_low": 0.4, "difference_high": 0.6},
    ]  # fmt: skip
    rows = [kept, *({**kept, **other, "documents": 99} for other in others)]
    rows += [{**kept, **other} for other in scored]
    pd.DataFrame(rows).assign(run="made-up").to_csv(tables / "positions.csv", index=False)
    text = page(tables)
    (found,) = measured(text, "Long documents: neighbours of the text before")
    assert found[:2] == ["small, `long_past`, 5 neighbours", "-0.0200"]
    assert found[2:] == ["[-0.0300, -0.0100]", "4 of 22", "24", "holds"]
    assert measured(text, "Long documents: neighbours of each window") == []
    (own,) = measured(text, "Long documents: training on their own scored text is")
    assert own[:3] == ["small, `score_first`, 5 times", "+0.5000", "[+0.4000, +0.6000]"]
    assert own[-1] == "does not hold"
    (both,) = measured(text, "Long documents: training on scored text and on neighbours")
    assert both[1:3] == ["-0.0400", "[-0.0500, -0.0100]"]
    (beginning,) = measured(text, "Long documents gain from neighbours of their beginning")
    assert beginning[1:3] == ["-0.2000", "[-0.3000, -0.1000]"]
    assert beginning[4] == "99"  # that row's documents


def test_the_gain_of_each_task_is_that_of_the_tables(tmp_path):
    tables = make(
        tmp_path,
        {
            ("small", "ttt", "pile_github"): shifted(_5=0.1, _20=0.35),
            ("small", "ttt", "pile_arxiv"): {0: [2.0], 5: [1.9], 20: [1.5]},
        },
    )
    rows = {row[2]: row[3:] for row in section(page(tables), "## Gain by task")}
    assert rows["pile_github"][:4] == ["3", f"{3.5 / 3:.4f}", f"{3.5 / 3 - 0.35:.4f}", "0.700"]
    assert rows["pile_arxiv"] == ["1", "2.0000", "1.5000", "0.750", "none"]
    assert set(rows) == {"pile_github", "pile_arxiv", "pile_all"}
