"""Every figure is drawn, says what it shows, and is the same file when drawn again."""

import re
from pathlib import Path

import jinja2
import pytest
from docutils.core import publish_parts

from synthetic_run import make_run
from tttnn.figures.draw import FIGURES, draw_figure
from tttnn.pile import TASKS

REPORT = Path(__file__).parents[2] / "workflow" / "report"
SELECTED = {
    task: 12
    for task in TASKS
    if task not in ("pile_books3", "pile_europarl", "pile_gutenberg", "pile_ubuntu-irc")
} | {"pile_ubuntu-irc": 1}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), SELECTED, resamples=100)


def draw(name, tables, folder):
    draw_figure(name, tables, folder / f"{name}.svg", folder / f"{name}.pdf")
    return folder / f"{name}.svg", folder / f"{name}.pdf"


def words(svg):
    """A drawing's text, its lines joined."""
    return " ".join(re.sub(r"<[^>]*>", " ", svg.read_text(encoding="utf-8")).split())


@pytest.fixture(scope="module")
def drawn(tables, tmp_path_factory):
    """Every figure of the run, by name."""
    folder = tmp_path_factory.mktemp("figures")
    return {name: draw(name, tables, folder) for name in FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_drawn_twice_is_the_same_file(name, drawn, tables, tmp_path):
    first, second = drawn[name], draw(name, tables, tmp_path)
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    svg, pdf = first
    assert b"<dc:date>" not in svg.read_bytes()
    assert pdf.read_bytes().startswith(b"%PDF") and b"/CreationDate" not in pdf.read_bytes()


@pytest.mark.parametrize("name", ["before_after", "models", "control", "clean", "cost"])
def test_all_evaluated_tasks_can_be_searched_for(name, drawn):
    text = drawn[name][0].read_text(encoding="utf-8")
    for task, subset in TASKS.items():
        assert (f">{subset.pile_set_name} (" in text) == (task in SELECTED), task
    if name != "cost":
        text = words(drawn[name][0])
        assert "All (weighted)†" in text
        assert "† Weights renormalised over 19 of 22 tasks" in text
        assert "(no documents: Books3, EuroParl, Gutenberg (PG-19))" in text


def test_curves_show_the_largest_tasks_there_are(drawn):
    text = drawn["curves"][0].read_text(encoding="utf-8")
    shown = [subset.pile_set_name for subset in TASKS.values() if f">{subset[0]} (12)" in text]
    # Books3 would be third by weight
    largest = ["Pile-CC", "PubMed Central", "OpenWebText2", "ArXiv", "Github", "FreeLaw"]
    assert sorted(shown) == sorted(largest)
    assert ">nearest<" in text and ">shuffled<" in text


def test_before_after_labels_the_ratio_that_the_table_holds(drawn, tables):
    text = drawn["before_after"][0].read_text(encoding="utf-8")
    lines = (tables / "differences.csv").read_text().splitlines()
    header = lines[0].split(",")
    for line in lines[1:]:
        found = dict(zip(header, line.split(","), strict=True))
        if (found["method"], found["num_neighbors"]) == ("nearest", "50") and (
            found["documents_kind"] == "raw"
        ):
            assert f">{100 * float(found['ratio']):.0f} %<" in text


def test_a_complete_run_has_no_dagger(tmp_path):
    tables = make_run(tmp_path, dict.fromkeys(TASKS, 3), models=("small",), resamples=20)
    assert "†" not in words(draw("before_after", tables, tmp_path)[0])


def test_a_method_that_ran_on_fewer_models_and_tasks_is_drawn(tmp_path):
    tables = make_run(tmp_path, {"pile_arxiv": 5, "pile_github": 4}, resamples=20)
    for name in ("scores", "differences", "costs"):
        path = tables / f"{name}.csv"
        lines = path.read_text().splitlines(keepends=True)
        dropped = ("small,shuffled,", ",shuffled,pile_github,")
        path.write_text("".join(x for x in lines if not any(part in x for part in dropped)))
    assert "medium" in words(draw("control", tables, tmp_path)[0])
    assert "small" not in words(draw("control", tables, tmp_path)[0])
    assert "small" in words(draw("curves", tables, tmp_path)[0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("control", "compares 'nearest' with a method whose candidates are 'random'"),
        ("models", "with 'nearest' only small was evaluated"),
    ],
)
def test_a_figure_says_what_it_lacks(name, message, tmp_path):
    tables = make_run(
        tmp_path, {"pile_arxiv": 3}, models=("small",), methods=("nearest",), resamples=20
    )
    with pytest.raises(ValueError, match=message):
        draw(name, tables, tmp_path)
    assert not (tmp_path / f"{name}.svg").exists()


def test_no_clean_document_is_an_error(tmp_path):
    tables = make_run(
        tmp_path, {"pile_arxiv": 3}, models=("small",), resamples=20, clean_below=1e-9
    )
    with pytest.raises(ValueError, match=r"raise score\.clean_below"):
        draw("clean", tables, tmp_path)


def test_missing_recall_and_unknown_figures_are_errors(tables, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"recall\.csv"):
        draw("recall", tmp_path, tmp_path)
    with pytest.raises(ValueError, match="Did you mean 'curves'"):
        draw("curve", tables, tmp_path)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_a_caption(name):
    text = render("figure.rst", wildcards={"figure": name})
    assert len(text) > 100


@pytest.mark.parametrize("path", sorted(REPORT.glob("*.rst")), ids=lambda path: path.stem)
def test_captions_are_valid(path):
    assert render(path.name, wildcards={"figure": "curves"})


def render(name, wildcards):
    config = {
        "run": "demo",
        "corpus": {"source": "demo", "shards": 2},
        "search": {"indexes": ["flat"]},
        "evaluate": {"models": ["small"], "methods": ["nearest"]},
        "gather": {"ngram": 13},
        "score": {"confidence": 0.95, "resamples": 1000, "clean_below": 0.5},
    }
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    text = environment.from_string((REPORT / name).read_text(encoding="utf-8")).render(
        snakemake={"config": config, "wildcards": wildcards}
    )
    html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})
    return html["html_body"]
