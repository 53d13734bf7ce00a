"""What the report says, against numbers that are known by hand."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from tttnn.config.figures import FIGURES
from tttnn.findings.claims import CLAIMS
from tttnn.reading import ReadingError
from tttnn.records.runs import Results
from tttnn.report import grids
from tttnn.report.captions import CaptionError, parted
from tttnn.report.cost import duration
from tttnn.report.headings import CLAIMED, SAID, printed
from tttnn.report.landing import missing
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
    assert "small \u221225.0 % 90 % interval \u221225.0 % to \u221225.0 %" in text
    assert "2.000 → 1.500 bits per byte 7 documents, 3 of 22 tasks" in text
    assert "large +10.0 % 90 % interval +10.0 % to +10.0 %" in text
    assert "2.000 → 2.200 bits per byte" in text


def test_it_says_what_ran(text):
    assert "small: some/model at revision abc123, 7 parameters, weights SHA-256 digest of" in text
    assert "large: gpt2, trained here for 5 steps" in text
    assert "Source demo: 2 shards, 77 documents" in text
    assert "python a python, torch a torch" in text
    assert "0123456789ab, nothing changed fedcba987654, with uncommitted changes" in text
    assert "a device, a precision" in text


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
    assert "No GPU was used." in missing  # by the environments, whatever the configuration says
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


def test_figures_are_headed_by_what_they_show_of_this_run(text):
    # small gains on both tasks of more documents than one, large on none
    assert f"Open in this run: {CLAIMED['curves']}" in text
    assert f"Open in this run: {CLAIMED['before_after']}" in text
    most = "ArXiv \u221225.0 %, Github \u221225.0 %"
    assert f"100.0 %, holds (small, 2 of 2 tasks; most: {most})" in text
    assert "0.0 %, does not hold (large, 0 of 2 tasks; most: none)" in text


def test_curves_come_first_and_new_figures_of_themselves(page, text):
    order = re.findall(r'<section class="figure" id="figure-(\w+)"', page)
    assert order == ["curves", "before_after", "new_one"]
    assert page.index("figure-curves") < page.index("heading-ran")
    assert "Before & after. See scores ." in text


def test_a_claim_that_does_not_hold_is_not_stated(write, run, monkeypatch):
    only = f"Not in this run: {CLAIMED['curves']}"
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
    assert all(sentences.count(sentence) == 1 for sentence in CLAIMED.values())
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
