"""Every figure is drawn, says what it shows, and is the same file when drawn again."""

import importlib
import re
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from docutils.core import publish_parts
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg

from configured import read
from synthetic_run import ABLATIONS, make_run
from tttnn.config import figures as config
from tttnn.figures import style
from tttnn.figures.curves import curves
from tttnn.figures.draw import FigureSpec, draw_figure
from tttnn.methods.evaluate_windows import WINDOWS
from tttnn.pile import ALL, TASKS
from tttnn.scores.positions import PositionsSpec, score_windows
from tttnn.tables import write_table

MODULES = {name: figure.module for name, figure in config.FIGURES.items()}
FIGURES = {
    name: getattr(importlib.import_module(f"tttnn.figures.{module}"), name)
    for name, module in MODULES.items()
}
ROOT = Path(__file__).parents[3]
REPORT = ROOT / "workflow/report"
SELECTED = {
    task: 12
    for task in TASKS
    if task not in ("pile_books3", "pile_europarl", "pile_gutenberg", "pile_ubuntu-irc")
} | {"pile_ubuntu-irc": 1}
ABLATED = ("pile_arxiv", "pile_github", "pile_freelaw")
SHARES = {"flat": 1.0, "flat_05": 0.05, "ivf": 1.0, "untrained": 0.5}


def write_distances(tables, shares, random=True):
    """What `measure_distances` writes: 100 queries, 20 ranks, the larger the index the nearer."""
    rank = np.arange(1, 21)
    pd.concat(
        pd.DataFrame(
            {
                "candidates": name,
                "share": share,
                "embedder": name if name == "untrained" else "embedder",
                "rank": rank,
                "mean": (2 - share) * rank**0.2 + (name == "ivf"),
                "std": 0.1,
                "p05": (2 - share) * rank**0.2 + (name == "ivf") - 0.2,
                "p50": (2 - share) * rank**0.2 + (name == "ivf") + 0.05,
                "p95": (2 - share) * rank**0.2 + (name == "ivf") + 0.3,
                "queries": 100,
            }
        )
        for name, share in shares.items()
    ).to_csv(tables / "distances.csv", index=False)
    distances = {name: np.linspace(0, 2, 100) for name in shares}
    if random:
        distances["random"] = np.linspace(1, 5, 1000)
    pd.concat(
        pd.DataFrame({"candidates": name, "distance": values}) for name, values in distances.items()
    ).to_parquet(tables / "pairs.parquet")


def write_positions(tables):
    """What `score_windows` writes of three methods, on eight documents of two tasks."""
    random = np.random.default_rng(0)
    ways = {"one": ("document", 0.1), "own": ("target", 0.2), "before": ("past", 0.15)}
    cells = [("large", name, task) for name in ways for task in ("pile_arxiv", "pile_books3")]
    levels = random.uniform(0.8, 1.2, (2, 8, 7))
    for model, name, task in cells:
        query, gain = ways[name]
        rows = [
            {
                "model": model, "method": name, "task": task, "query": query, "carry": False,
                "document_id": document, "window": window, "windows": 7, "num_neighbors": point,
                "loglikelihood": -500 * levels[len(task) % 2, document, window]
                * (1 - gain * point / 5 + 0.02 * random.normal()), "bytes": 1000,
            }
            for document in range(8) for window in range(7) for point in (0, 5)
        ]  # fmt: skip
        path = tables.parent / f"windows/{model}/{name}/{task}/0.parquet"
        path.parent.mkdir(parents=True)
        write_table(path, pa.Table.from_pylist(rows, schema=WINDOWS))
    spec = PositionsSpec(run="made-up", cells=[(*cell, 1) for cell in cells], resamples=100)
    score_windows(spec, tables.parent, tables / "positions.csv")


def test_positions_show_each_method_along_documents_and_against_one_search(drawn, tables):
    text = words(drawn["positions"][0])
    assert "own (5)" in text and "before (5)" in text and "one (5)" not in text
    assert "large: 16 documents of more than four windows with 112 windows, 2 tasks" in text
    assert "against one;" in text
    few = pd.read_csv(tables / "positions.csv")
    assert set(few["windows_kind"]) == {"all", "long"}


def write_experts(tables):
    """What `weigh_experts` writes: 100 s are paid once; alone they save 0.9 and 19.9 s a document,
    before training on 5 neighbours 15 s against 20, and nothing against 1."""
    shared = {"run": "made", "model": "small", "experts": "two", "clusters": 2, "tasks": 3}
    shared |= {"documents": 36, "cluster_seconds": 2.0, "train_seconds": 98.0, "before": 1.5}
    pd.DataFrame(
        {
            **shared,
            "method": method,
            "num_neighbors": point,
            "counts": counts,
            "bits_per_byte": bits,
            "seconds": seconds,
            "against": "nearest",
            "against_neighbors": neighbors,
            "against_bits_per_byte": 1.4 - neighbors / 100,
            "against_seconds": float(neighbors),
        }
        for method, point, counts, bits, seconds in [
            ("merged", 1, "experts", 1.4, 0.1),
            ("merged", 2, "experts", 1.35, 0.1),
            ("trained", 5, "neighbours", 1.25, 5.0),
        ]
        for neighbors in (1, 2, 20)
    ).to_csv(tables / "experts.csv", index=False)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    tables = make_run(
        tmp_path_factory.mktemp("run"),
        SELECTED,
        ablations=tuple(ABLATIONS),
        ablated=ABLATED,
        resamples=100,
    )
    write_distances(tables, SHARES)
    write_positions(tables)
    write_experts(tables)
    return tables


def draw(name, tables, folder):
    spec = FigureSpec(name=name, module=MODULES.get(name, "curves"))
    draw_figure(spec, tables, folder / f"{name}.svg", folder / f"{name}.pdf")
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


def ratios(tables, kind):
    table = pd.read_csv(tables / "differences.csv")
    table = table[(table["method"] == "nearest") & (table["num_neighbors"] == 50)]
    return table[table["documents_kind"] == kind].set_index(["model", "task"])["ratio"]


def test_before_after_labels_the_ratios_that_the_table_holds(drawn, tables):
    text = drawn["before_after"][0].read_text(encoding="utf-8")
    raw, clean = ratios(tables, "raw"), ratios(tables, "clean")
    assert len(raw) == len(clean) == 3 * 20
    for cell, ratio in raw.items():
        all_of_them, kept = (f"{100 * share:.0f}" for share in (ratio, clean[cell]))
        more = "" if kept == all_of_them else f" [{kept}]"  # what is the same is not said twice
        assert f">{all_of_them} %{more}<" in text
    assert "in brackets, where it is another, of clean documents" in words(drawn["before_after"][0])


def test_a_task_without_clean_documents_has_a_dash(tables, tmp_path):
    raw = ratios(tables, "raw")
    for name in ("scores.csv", "tasks.csv", "documents.parquet"):
        (tmp_path / name).write_bytes((tables / name).read_bytes())
    table = pd.read_csv(tables / "differences.csv")
    copies = (table["documents_kind"] == "clean") & (table["task"] == "pile_github")
    table.loc[table["documents_kind"] == "clean", "tasks"] = 18
    table[~copies].to_csv(tmp_path / "differences.csv", index=False)
    text = draw("before_after", tmp_path, tmp_path)[0].read_text(encoding="utf-8")
    assert f">{100 * raw['small', 'pile_github']:.0f} % [\N{EN DASH}]<" in text
    assert text.count("\N{EN DASH}]<") == 3
    assert "Weighted mean of clean documents: over 18 tasks." in words(
        tmp_path / "before_after.svg"
    )


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
        ("methods", r"comparisons\.csv has no rows: take the figures that need it out"),
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


@pytest.mark.parametrize("name", ["distances", "overlap"])
def test_an_empty_table_is_an_error(name, tables, tmp_path):
    for table in ("pairs.parquet", "documents.parquet"):
        pd.read_parquet(tables / table).iloc[:0].to_parquet(tmp_path / table)
    with pytest.raises(ValueError, match=r"has no rows: take the figures that need it out of"):
        draw(name, tmp_path, tmp_path)


# --- methods against one another -------------------------------------------------------------


def copy_for_methods(tables, folder):
    for name in ("scores.csv", "documents.parquet"):
        (folder / name).write_bytes((tables / name).read_bytes())


def test_methods_are_drawn_where_the_table_has_them(tables):
    figure = FIGURES["methods"](tables)
    names = [label.get_text().split(" (")[0] for label in figure.axes[0].get_yticklabels()]
    table = pd.read_csv(tables / "comparisons.csv")
    table = table[(table["task"] == ALL) & (table["num_neighbors"] == 50)]
    for axes in figure.axes:
        rows = table[table["model"] == axes.get_title()]
        for kind, bar in zip(("raw", "clean"), axes.containers, strict=True):
            found = rows[rows["documents_kind"] == kind].set_index("method")["difference"]
            drawn = dict(zip(names, bar[0].get_xdata(), strict=True))
            shown = {name.split(",")[0].split(" against")[0]: x for name, x in drawn.items()}
            for method, x in shown.items():
                assert x == pytest.approx(found.get(method, np.nan), nan_ok=True)
            assert (bar[0].get_markerfacecolor() == "white") == (kind == "raw")
    # of the same text first, best first; those of second halves below and said to be
    assert names[-1] == "dynamic against second_half"
    assert names[0] == "sift" and "shuffled, 19 tasks" in names
    assert len(names) == len(ABLATIONS)


def test_a_method_measured_at_fewer_neighbors_is_compared_there(tables, tmp_path):
    table = pd.read_csv(tables / "comparisons.csv")
    copy_for_methods(tables, tmp_path)
    late = (table["method"] == "lora") & (table["num_neighbors"] > 10)
    table[~late].to_csv(tmp_path / "comparisons.csv", index=False)
    labels = FIGURES["methods"](tmp_path).axes[0].get_yticklabels()
    assert [text for label in labels if "lora, 10 neighbours (" in (text := label.get_text())]
    assert len(labels) == len(ABLATIONS)


def test_differences_of_different_sizes_get_a_logarithmic_axis(tables, tmp_path):
    table = pd.read_csv(tables / "comparisons.csv")
    copy_for_methods(tables, tmp_path)
    columns = ["difference", "low", "high"]
    table.loc[table["method"] == "shuffled", columns] += 100
    table.to_csv(tmp_path / "comparisons.csv", index=False)
    assert FIGURES["methods"](tables).axes[0].get_xscale() == "linear"
    assert FIGURES["methods"](tmp_path).axes[0].get_xscale() == "symlog"


# --- quality against time --------------------------------------------------------------------


def curves_of(axes):
    """Of a panel, the lines that are curves of points: name of the marker -> x, y, face."""
    return [
        (line.get_marker(), list(line.get_xdata()), list(line.get_ydata()), line)
        for line in axes.lines
        if line.get_marker() not in ("None", "", None)
    ]


def test_quality_time_leaves_second_halves_out_and_has_a_panel_a_model(tables, drawn):
    text = words(drawn["quality_time"][0])
    shown, note = text.split("Not shown")
    assert "second_half" not in shown and "dynamic" not in shown
    assert "they are of other text or fewer tasks: second_half, dynamic." in note
    for method in ("nearest", "shuffled", "sift", "lora", "batch", "farthest", "in_context"):
        assert f" {method} " in f"{text} "
    assert "36 of small in 3 tasks" in text
    figure = FIGURES["quality_time"](tables)
    assert [axes.get_title() for axes in figure.axes] == ["small", "medium", "large"]


def test_quality_time_fills_what_is_on_the_front_and_no_more(tables):
    table = pd.read_csv(tables / "quality_time.csv").query("alike and num_neighbors > 0")
    figure = FIGURES["quality_time"](tables)
    for axes in figure.axes:
        rows = table[table["model"] == axes.get_title()]
        front = rows.loc[rows["front"], ["seconds", "bits_per_byte"]]
        expected = set(front.itertuples(index=False, name=None))
        filled = {
            point
            for _, x, y, line in curves_of(axes)
            if line.get_linestyle() == "None"
            for point in zip(x, y, strict=True)
        }
        assert filled == expected and expected


def test_quality_time_has_whiskers_of_the_paired_change(tables):
    table = pd.read_csv(tables / "quality_time.csv").query("alike and num_neighbors > 0")
    axes = FIGURES["quality_time"](tables).axes[1]  # one method of its own look and another
    rows = table[table["model"] == axes.get_title()]
    ends = {
        (round(y0, 9), round(y1, 9))
        for collection in axes.collections
        if hasattr(collection, "get_segments")
        for (x0, y0), (x1, y1) in collection.get_segments()
        if x0 == x1
    }
    for row in rows.itertuples():
        low, high = row.before + row.difference_low, row.before + row.difference_high
        low, high = min(low, row.bits_per_byte), max(high, row.bits_per_byte)
        assert any(abs(low - a) < 1e-8 and abs(high - b) < 1e-8 for a, b in ends)


def test_budgets_are_marked_where_a_panel_reaches_them(tables, tmp_path):
    table = pd.read_csv(tables / "quality_time.csv")
    table[["seconds", "seconds_low", "seconds_high"]] *= 3 / table["seconds"].max()
    table.to_csv(tmp_path / "quality_time.csv", index=False)
    labels = {text.get_text() for axes in FIGURES["quality_time"](tmp_path).axes
              for text in axes.texts}  # fmt: skip
    assert {"0.75 s", "1.75 s", "2 s", "4 s"} <= labels and "before" in labels
    table[["seconds", "seconds_low", "seconds_high"]] *= 1e6
    table.to_csv(tmp_path / "quality_time.csv", index=False)
    far = {text.get_text() for axes in FIGURES["quality_time"](tmp_path).axes
           for text in axes.texts}  # fmt: skip
    assert "4 s" not in far


def test_quality_time_names_what_is_thin_and_what_nobody_measured(tables, tmp_path):
    table = pd.read_csv(tables / "quality_time.csv")
    more = [table[table["method"] == "farthest"].assign(method=f"variant_{k}") for k in range(4)]
    table = pd.concat([table, *more])
    table["not_counted"] = table["method"].map({"sift": "choosing sift"})
    table.to_csv(tmp_path / "quality_time.csv", index=False)
    text = words(draw("quality_time", tmp_path, tmp_path)[0])
    thin = text.partition("Thin: ")[2].partition(".")[0].split(", ")
    assert len(thin) == 7 + 4 - 8
    assert {"shuffled"} < set(thin)  # the worst of all
    assert "Not counted, for nobody measured it: choosing sift." in text


# --- documents and distances -----------------------------------------------------------------


def test_overlap_has_a_point_a_document_by_kind(tables):
    figure = FIGURES["overlap"](tables)
    table = pd.read_parquet(tables / "documents.parquet").query("method == 'nearest'")
    for axes in figure.axes:
        shown = table[table["model"] == axes.get_title().split(" (")[0]]
        assert axes.get_title().endswith(f"(n = {len(shown)})")
        exact, near = shown["exact"], shown["copied"] & ~shown["exact"]
        assert exact.any() and near.any()
        for line, kind in zip(axes.lines, (~shown["copied"], near, exact), strict=False):
            points = sorted(zip(line.get_xdata(), line.get_ydata(), strict=True))
            rows = shown[kind]
            change = 100 * (rows["after"] / rows["before"] - 1)  # as its claim says it
            assert points == sorted(zip(rows["overlap"], change, strict=True))
            left, right = axes.get_xlim()
            assert all(left < x < right for x, _ in points)  # and none on the frame
    assert f"clean documents ({(~shown['copied']).sum()})" in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]


def test_distances_are_shares_of_their_pairs(tables, tmp_path):
    figure = FIGURES["distances"](tables)
    near, nearest, drawn = figure.axes
    assert "(n = 100)" in near.get_title() and "(n = 1,000)" in drawn.get_title()
    assert nearest.get_title() == "25 % nearest of these (n = 25)"
    shares = [sum(bar.get_height() for bar in axes.patches) for axes in figure.axes]
    assert shares == pytest.approx([100, 100, 99], abs=0.5)
    assert near.get_xlim() == drawn.get_xlim() and nearest.get_xlim()[1] == pytest.approx(48 / 99)
    write_distances(tmp_path, SHARES, random=False)
    assert len(FIGURES["distances"](tmp_path).axes) == 2
    # where the nearest of them are all of them, once is enough
    pairs = pd.read_parquet(tables / "pairs.parquet")
    pairs.groupby("candidates").head(25).to_parquet(tmp_path / "pairs.parquet")
    titles = [axes.get_title() for axes in FIGURES["distances"](tmp_path).axes]
    assert titles == ["nearest neighbour (n = 25)", "random pairs (n = 25)"]


@pytest.mark.parametrize("name", FIGURES)
def test_notes_are_inside_the_figure_and_can_be_read(name, tables):
    with rc_context(style.RC):
        figure = FIGURES[name](tables)
        note = figure.texts[-1]
        box = note.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert box.x1 < figure.bbox.x1 and box.x0 >= 0 and box.y0 >= 0
    assert note.get_fontsize() >= 7.5 and "\n" in note.get_text()


def test_distance_by_rank_shows_the_shares_and_the_spread_of_the_largest(tables, tmp_path):
    left, right = FIGURES["distance_by_rank"](tables).axes
    assert [text.get_text() for text in left.texts] == ["5 %", "100 %"]
    median, mean = right.lines
    assert left.lines[0].get_ydata()[0] == pytest.approx(2) == 1.95 + 0.05
    assert median.get_ydata()[0] == pytest.approx(1.05) and mean.get_ydata()[0] == 1
    band = right.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(0.8) and band.max() == pytest.approx(20**0.2 + 0.3)
    assert left.get_ylim()[0] == right.get_ylim()[0] == 0
    write_distances(tmp_path, {"flat": 1.0})
    (only,) = FIGURES["distance_by_rank"](tmp_path).axes
    assert len(only.lines) == 2


def test_an_index_is_where_its_numbers_are(tables, tmp_path):
    left, right = FIGURES["recall_cost"](tables).axes
    marks = {tuple(line.get_xdata()) for line in left.lines}
    assert {(900.0,), (25.5,), (21000.0,), (640.0,), (25.5, 900.0)} <= marks
    assert [(*line.get_xdata(), *line.get_ydata()) for line in right.lines] == [
        (0.0, 0.0),
        (532.5, pytest.approx(1.5)),
    ]
    assert left.get_ylabel() == "missed of the 100 nearest (%)"
    assert left.get_ylim()[0] == 0
    table = pd.read_csv(tables / "indexes.csv")
    table.loc[1, "recall_at_100"] = np.nan  # it has fewer passages
    table.to_csv(tmp_path / "indexes.csv", index=False)
    assert FIGURES["recall_cost"](tmp_path).axes[0].get_ylabel() == "missed of the 10 nearest (%)"
    table[["index", *table.columns[1:8]]].to_csv(tmp_path / "indexes.csv", index=False)
    with pytest.raises(ValueError, match="at no k in common"):
        draw("recall_cost", tmp_path, tmp_path)


def test_missing_recall_and_unknown_figures_are_errors(tables, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"recall\.csv"):
        draw("recall", tmp_path, tmp_path)
    with pytest.raises(ValueError, match="no figure is called 'curve'"):
        draw("curve", tables, tmp_path)


@pytest.mark.parametrize("path", sorted(REPORT.glob("*.rst")), ids=lambda path: path.stem)
def test_captions_are_valid(path):
    assert render(path.name, params={"caption": caption("curves")})


def caption(name):
    return config.caption(read([], []), name)


def render(name, params):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    text = environment.from_string((REPORT / name).read_text(encoding="utf-8")).render(
        snakemake={"config": config, "params": params}
    )
    html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})
    return html["html_body"]


def test_curves_are_of_methods_on_all_tasks(tmp_path):
    """A mean over some of the tasks would stand beside one over all of them."""
    selected = dict.fromkeys(list(TASKS)[:4], 3)
    some = {"ablations": ("sift",), "ablated": ("pile_arxiv",)}
    tables = make_run(tmp_path, selected, models=("small",), **some)
    methods = set(pd.read_csv(tables / "scores.csv")["method"])
    legend = curves(tables).axes[-1].get_legend()
    shown = {text.get_text() for text in legend.get_texts()}
    assert "sift" in methods and "sift" not in shown
    assert {"small", "nearest", "shuffled"} <= shown


def test_experts_break_even_where_the_lines_cross(tables, drawn):
    (axes,) = FIGURES["break_even"](tables).axes
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    at = sorted(np.asarray(mark.get_xdata()).item() for mark in marks)
    assert at == pytest.approx([100 / 19.9, 100 / 15, 100 / 0.9])
    for mark in marks:  # on a line of experts and on one of the other method
        documents, seconds = (
            np.asarray(mark.get_xdata()).item(),
            np.asarray(mark.get_ydata()).item(),
        )
        assert any(seconds == pytest.approx(n * documents) for n in (1, 20))
        assert any(seconds == pytest.approx(100 + s * documents) for s in (0.1, 5.0))
    printed = words(drawn["break_even"][0])
    for label in (
        "merged, up to 2 experts (1.350)",
        "trained, 5 neighbours (1.250)",
        "nearest, 1 neighbour (1.390)",
        "nearest, 20 neighbours (1.200)",
        "two: 2 experts, 98 s of training",
    ):
        assert label in printed
