"""What the report says, against numbers that are known by hand."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from recorded_run import SCORE, write_run
from tttnn.config.figures import FIGURES
from tttnn.findings.claims import CLAIMS
from tttnn.findings.evidence import Evidence
from tttnn.reading import ReadingError
from tttnn.records.runs import Results
from tttnn.report import grids
from tttnn.report.captions import CaptionError, parted
from tttnn.report.cost import duration
from tttnn.report.headings import CLAIMED, SAID, Heading, heading, printed
from tttnn.report.landing import headlines, missing
from tttnn.report.ran import ran
from tttnn.spent import GPU_RULES

ROOT = Path(__file__).parents[3]


class Elements(HTMLParser):
    """Every element with its attributes, and the text without scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if not self.found or self.found[-1][0] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())


@pytest.fixture(scope="module")
def text(page) -> str:
    return Elements(page).text


def data(page: str) -> dict:
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1]
    )


def test_the_headline_is_the_main_method_s_for_each_model(text):
    # the tasks' documents have 2.0 bits per byte in the mean, and all gain alike
    assert "after training on 20 neighbours" in text
    assert "small \u221225.0 % 7 documents: \u221225.0 % to \u221225.0 %" in text
    assert "2.000 → 1.500 bits per byte 7 documents, 3 of 22 tasks" in text
    assert "large +10.0 % 7 documents: +10.0 % to +10.0 %" in text
    assert "2.000 → 2.200 bits per byte" in text


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        (1, "1 document: no interval"),
        (3, "3 documents: \u221230.0 % to \u221210.0 %"),
        (9, "9 documents: \u221230.0 % to \u221210.0 %"),
        (10, "90 % interval \u2212"),
    ],
)
def test_few_documents_stand_for_themselves(tmp_path, documents, said):
    after = [1.8, 1.6, 1.4]  # of 2.0: an interval of three would end at the same
    curve = {0: [2.0] * documents, 20: [after[n % 3] for n in range(documents)]}
    texts = {"pile_arxiv": ["x" * 100] * documents}
    made = write_run(tmp_path / "results/mine", texts, {("small", "ttt", "pile_arxiv"): curve})
    (found,) = headlines(Results(made)).models
    assert found.interval.replace("\u00a0", " ").startswith(said)
    assert found.documents == f"{documents} document{'s' if documents > 1 else ''}"
    assert found.clean == "no document has a near-copy"


def test_it_says_what_ran(text):
    assert "small: some/model at revision abc123, 7 parameters, weights SHA-256 digest of" in text
    assert "large: gpt2, trained here for 5 steps" in text
    assert "Source demo: 2 shards, 77 documents" in text
    assert "python a python, torch a torch" in text
    assert "0123456789ab, nothing changed fedcba987654, with uncommitted changes" in text
    # by the environments, whatever the configuration says
    assert "a device, a precision no GPU was used" in text


def test_it_says_how_many_tokens_models_were_given_at_once(run, tmp_path):
    copied = tmp_path / "mine"
    shutil.copytree(run, copied)
    (copied / "models/small/config.json").write_text('{"n_positions": 1024}')
    lines = ran(Results(copied), ["small", "large"], "demo")[0].lines
    # the method ttt has a window of its own, in_context has the model's
    assert lines[0].endswith(", evaluated in windows of 512 tokens (of 1,024 tokens: in_context)")
    assert lines[1].endswith(", evaluated in windows of 512 tokens")
    (copied / "models/small/config.json").unlink()
    lines = ran(Results(copied), ["small"], "demo")[0].lines
    assert lines[0].endswith("(of tokens, how many is not recorded: in_context)")


def test_time_is_the_union_of_the_jobs_and_work_their_sum(text):
    # from 40 to 100 s and from 80 to 130 s; the evaluation and the training are on a GPU
    assert "1 min 30 s with jobs at work, from 1970-01-01 00:00 UTC to 1970-01-01 00:02 UTC" in text
    assert f"{130 / 3600:.3g} processor hours in 2 jobs {110 / 3600:.3g} GPU hours" in text
    # a job's file is written anew by each of its runs
    assert "GPU hours times are of each job's last run: what an earlier one took" in text
    assert "Energy not measured" in text


def test_it_says_what_is_missing(text):
    (missing,) = re.findall("What is missing (Subsets.*?) How to cite", text)
    assert missing.startswith("Subsets, no documents: BookCorpus2, Books3, DM Mathematics")
    assert "ArXiv" not in missing and "Github" not in missing
    assert "Few documents: 1 in the smallest task." in missing
    assert "Evaluated only with 1 of 2 models and on 1 of 3 tasks: in_context." in missing
    assert "3 records of the corpus were rejected" in missing
    assert "GPU" not in missing
    assert "Figures that this run has no data for: positions." in missing


def test_it_says_what_hours_left_out_of_the_run_that_has_them(run, tmp_path):
    copied = tmp_path / "mine"
    shutil.copytree(run, copied)
    rows = [("pile_enron", 30, 6, 24, 2.0, 0.25), ("pile_arxiv", 2, 2, 0, 2.0, 1.5)]
    columns = ["task", "documents", "selected", "left_out", "hours", "expected_hours"]
    pd.DataFrame(rows, columns=columns).to_csv(copied / "tables/hours.csv", index=False)
    (said,) = missing(Results(copied), ["hours"], [])
    assert said == (
        "2 hours of evaluation left out 24 of 32 documents: 6 of each task were drawn, or as many "
        "as there are, and the plan expects them to take 1.75 hours."
    )
    # a table that lies there from before the key was taken out
    assert missing(Results(copied), [], []) == ["Nothing that was asked for."]


def test_it_says_how_to_cite(text):
    assert "Moritz Hardt and Yu Sun: Test-Time Training on Nearest Neighbors for Large" in text
    assert "International Conference on Learning Representations, 2024. https://arxiv.org" in text
    assert "The tttnn authors: tttnn:" in text


def test_nothing_is_claimed_of_few_documents(text):
    for name in ("curves", "before_after"):
        said = f"Not said of this run: \u201c{CLAIMED[name].sentence}\u201d It takes 10 documents"
        assert said in text
        assert f"In this run: {CLAIMED[name].sentence}" not in text
    # of the first figure, too; and the caption heads it
    assert text.index("Curves. Not said of this run") < text.index("7 parameters")


CURVES = [
    # model, tasks that all have the same 12 documents
    ("small", ["pile_arxiv", "pile_github", "pile_enron"], {0: 2.0, 20: 1.5}),
    ("large", ["pile_arxiv", "pile_github", "pile_enron"], {0: 1.6, 20: 1.7}),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What heads the figures of a run, made of so many tasks, by its models' curves."""

    def heads(name: str, tasks: int, curves=CURVES, methods=("ttt",), **spec: object) -> Heading:
        folder = tmp_path_factory.mktemp("run")
        texts = {task: ["x" * 100] * 12 for task in curves[0][1][:tasks]}
        cells = {
            (model, method, task): {
                k: [bits + 0.01 * (n % 4) for n in range(12)] for k, bits in curve.items()
            }
            for model, known, curve in curves
            for method in methods
            for task in known[:tasks]
        }
        run = Results(
            write_run(folder / "results/mine", texts, cells, config={"score": SCORE}, **spec)
        )
        return heading(name, run, Evidence(run))

    return heads


def test_figures_are_headed_by_what_they_show_of_this_run(told):
    found = told("curves", 1)
    assert found.sentence == f"Open in this run: {CLAIMED['curves'].sentence}"
    small, large = found.numbers[1:]
    assert small.startswith("\u22120.5000, holds (small, 20 neighbours; 12 documents of 1 task)")
    assert large.startswith("+0.1000, does not hold (large, 20 neighbours; 12 documents of")


def test_how_many_tasks_gain_is_said_of_three_or_more(told):
    most = "ArXiv \u2212"
    found = told("before_after", 3)
    assert found.sentence == f"Open in this run: {CLAIMED['before_after'].sentence}"
    assert "small, 3 of 3 tasks" in found.numbers[1] and most in found.numbers[1]
    few = told("before_after", 2)
    assert few.sentence == "" and few.numbers[0].endswith(
        "It takes 3 tasks of more than one document."
    )


def test_a_gap_that_is_more_than_closed_is_said_to_be(told):
    beyond = told("models", 1)  # a gain of 0.5, a gap of 0.4
    assert beyond.sentence.startswith("Training takes a small model past a larger one")
    assert beyond.numbers[1].startswith("125.0\u00a0%")
    within = told("models", 1, [(*CURVES[0][:2], {0: 2.0, 20: 1.8}), CURVES[1]])
    assert within.sentence == CLAIMED["models"].sentence
    none = told("models", 1, CURVES[::-1])  # the larger one stands first
    assert none.sentence == ""
    assert "certainly better, before training" in none.numbers[0]


def test_all_clean_documents_are_not_compared_with_themselves(told):
    found = told("clean", 3)
    assert found.sentence == ""
    assert found.numbers[0].endswith(
        "documents with a near-copy among their neighbours, and others without."
    )


def test_that_an_exact_index_finds_all_is_not_said(told, run):
    table = Results(run).table("recall")
    assert set(table["factory"]) > {"Flat"}
    assert heading("recall", Results(run), None).sentence.startswith("ivf finds")
    only = SimpleNamespace(table=lambda name: table[table["factory"] == "Flat"])
    assert heading("recall", only, None) is None


def test_curves_come_first_and_new_figures_of_themselves(page, text):
    order = re.findall(r'<section class="figure" id="figure-(\w+)"', page)
    assert order == ["curves", "before_after", "new_one"]
    assert page.index("figure-curves") < page.index("heading-ran")
    assert "Before & after. Not said" in text and "See scores ." in text


def test_a_claim_that_does_not_hold_is_not_stated(write, run, monkeypatch):
    monkeypatch.setattr("tttnn.report.headings.FEW", 2)
    only = f"Not in this run: {CLAIMED['curves'].sentence}"
    assert only not in Elements(write()).text
    monkeypatch.setattr(
        "tttnn.report.headings.verdict", lambda measured, side, threshold: "does not hold"
    )
    assert only in Elements(write()).text


def test_names_in_the_page_are_unique_and_every_link_inside_has_its_target(page):
    found = Elements(page).found
    names = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(names) == len(set(names))
    links = [a.get("href") or a.get("xlink:href") for _, a in found]
    inside = {link[1:] for link in links if link and link.startswith("#")}
    told = [a.get("aria-labelledby") for _, a in found if a.get("aria-labelledby")]
    used = re.findall(r'="url\(#([^)]+)\)"', page)
    assert used
    assert {*inside, *told, *used} <= set(names)


def test_nothing_is_asked_of_a_network(page):
    for tag, attributes in Elements(page).found:
        for name in ("src", "href", "xlink:href", "data", "action"):
            address = attributes.get(name) or ""
            assert not re.match(r"(https?:)?//", address), (tag, address)
    assert "@import" not in page


def test_tables_are_those_of_the_files(page, run):
    tables = data(page)
    assert set(tables) == {file.stem for file in (run / "tables").glob("*.csv")}
    table = pd.read_csv(run / "tables/scores.csv").drop(columns="run")
    assert [column["name"] for column in tables["scores"]["columns"]] == list(table.columns)
    shown = pd.DataFrame(tables["scores"]["rows"], columns=table.columns)
    assert shown["task"].tolist() == table["task"].tolist()
    assert shown["value"].to_numpy() == pytest.approx(table["value"].to_numpy(), rel=1e-6)
    assert shown["low"].isna().tolist() == table["low"].isna().tolist()


def test_columns_know_their_digits_and_words_their_choices():
    made = grids.grid(
        pd.DataFrame(
            {
                "run": "mine",
                "task": ["a", "b", None],
                "flag": [True, False, True],
                "count": [1.0, float("nan"), 3.0],
                "bits": [3.3401512, 2.5, 2.9],
                "seconds": [0.0123, 0.0234, 0.0345],
                "wide": [1.0, 1.5, 1e9],
            }
        )
    )
    columns = {column.name: column for column in made.columns}
    assert [(c.kind, c.digits) for c in columns.values()] == [
        ("text", 0),
        ("text", 0),
        ("whole", 0),
        ("fixed", 3),
        ("fixed", 5),
        ("significant", 4),
    ]
    assert columns["task"].choices == ["a", "b"] and columns["flag"].choices == ["no", "yes"]
    assert made.rows[1] == ["b", "no", None, 2.5, 0.0234, 1.5]


def test_columns_that_say_the_same_everywhere_are_the_last():
    table = pd.DataFrame(
        {
            "run": ["mine"] * 2,
            "model": ["small"] * 2,
            "candidates": ["flat"] * 2,
            "nothing": [float("nan")] * 2,
            "difference": [1.5, 2.5],
        }
    )
    made = grids.grid(table)
    names = [column.name for column in made.columns]
    assert names == ["model", "difference", "candidates", "nothing"]
    assert made.rows[1] == ["small", 2.5, "flat", None]
    first = grids.grid(table.head(1))
    assert [column.name for column in first.columns][-1] == "difference"


def test_a_long_table_says_what_is_not_in_the_page(write, monkeypatch):
    monkeypatch.setattr(grids, "MOST_ROWS", 3)
    page = write()
    assert len(data(page)["scores"]["rows"]) == 3
    assert re.search(
        r"\d+ rows: tables/scores.csv , of which the first 3 are here", Elements(page).text
    )


def test_a_table_s_text_cannot_end_the_page(write, run):
    path = run / "tables/corpus.csv"
    before = path.read_text()
    path.write_text(before.replace("00,", "</script><b>,", 1))
    try:
        page = write()
    finally:
        path.write_text(before)
    assert "</script><b>" not in page
    assert data(page)["corpus"]["rows"][0][0] == "</script><b>"


def test_what_is_no_table_is_named(write, run):
    path = run / "tables/scores.csv"
    before = path.read_bytes()
    path.write_text("<!doctype html>\n<html></html>\n")
    try:
        with pytest.raises(ReadingError, match=r"scores\.csv is no table"):
            write()
    finally:
        path.write_bytes(before)


def test_a_caption_that_cannot_be_printed_names_its_file(write, tmp_path):
    for text, said in (("{{ snakemake.config.nothing }}", "nothing"), ("``open", "literal")):
        (tmp_path / "scores.rst").write_text(text)
        with pytest.raises(CaptionError, match=rf"scores.*{said}"):
            write([tmp_path / "scores.rst"])


@pytest.mark.parametrize(
    ("caption", "heading", "rest"),
    [
        ("A point is a\ndocument. More follows.", "A point is a document.", "More follows."),
        ("Only one", "Only one", ""),
        ("At 0.5 s. See *x*.", "At 0.5 s.", "See *x*."),
        (
            f"What it costs: {'long ' * 30}. B.",
            "What it costs",
            f"What it costs: {'long ' * 30}. B.",
        ),
        (
            f"A mean (left), {'long ' * 30}. B.",
            "A mean (left)",
            f"A mean (left), {'long ' * 30}. B.",
        ),
    ],
)
def test_a_caption_s_beginning_is_its_heading(caption, heading, rest):
    assert parted(caption) == (heading, rest)


def test_claims_and_figures_of_headings_are_there():
    sentences = [claim.sentence for claims in CLAIMS.values() for claim in claims]
    assert all(sentences.count(claimed.sentence) == 1 for claimed in CLAIMED.values())
    assert {*CLAIMED, *SAID} <= set(FIGURES)


def test_rules_that_ask_for_a_gpu_are_known():
    asking = set()
    for file in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^(?:use )?rule ", file.read_text(encoding="utf-8"), flags=re.M)[1:]:
            if re.search(r"^ +gpu=", rule, re.M):
                asking.add(re.match(r"(?:\w+ as )?(\w+)", rule)[1])
    assert asking == GPU_RULES


def test_numbers_are_printed_as_in_print():
    assert printed("-31.2% [-32.8%, -29.3%] of gpt-2, a-7") == (
        "\u221231.2\u00a0% [\u221232.8\u00a0%, \u221229.3\u00a0%] of gpt-2, a-7"
    )
    assert [duration(s) for s in (9.6, 125, 7260)] == ["10 s", "2 min 5 s", "2 h 1 min"]
