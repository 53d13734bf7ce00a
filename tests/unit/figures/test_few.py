"""Few documents are drawn themselves, what nothing was done to is told, and axes hold the data."""

import importlib

import numpy as np
import pandas as pd
import pytest

from synthetic_run import ABLATIONS, draw_task, make_run, run_score, write_rows
from tttnn.config.figures import FIGURES
from tttnn.pile import ALL
from tttnn.scores.few import FEW

SELECTED = {"pile_arxiv": 3, "pile_github": 12, "pile_enron": 9, "pile_pile-cc": 3}
DRAWN = ("before_after", "curves", "models", "control", "clean", "methods", "cost", "overlap")


def draw(name, tables):
    function = getattr(importlib.import_module(f"tttnn.figures.{FIGURES[name].module}"), name)
    return function(tables)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return make_run(
        tmp_path_factory.mktemp("few"),
        SELECTED,
        models=("small", "mine"),
        ablations=tuple(ABLATIONS),
        ablated=("pile_arxiv", "pile_pile-cc"),
        resamples=100,
    )


def dots(axes):
    """The small dots and crosses of documents in a panel: x and y."""
    lines = [
        line
        for line in axes.lines
        if line.get_linestyle() == "None"
        and line.get_alpha() is not None
        and line.get_zorder() == 2.5
    ]
    return [
        point for line in lines for point in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def documents(tables, **wanted):
    table = pd.read_parquet(tables / "documents.parquet")
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def legend(figure):
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def note(figure):
    return " ".join(figure.texts[-1].get_text().split())


def test_of_three_documents_a_bootstrap_interval_is_the_least_and_the_greatest(tables):
    """Why they are drawn themselves."""
    scores = pd.read_csv(tables / "scores.csv").query(
        "metric == 'bits_per_byte' and method == 'nearest' and num_neighbors == 50"
    )
    row = scores[(scores["model"] == "small") & (scores["task"] == "pile_arxiv")].iloc[0]
    after = documents(tables, model="small", method="nearest", task="pile_arxiv")["after"]
    assert (row["low"], row["high"]) == pytest.approx((after.min(), after.max()))


def test_before_after_has_the_documents_of_few_and_whiskers_of_the_paired_change_of_many(tables):
    figure = draw("before_after", tables)
    table = pd.read_csv(tables / "differences.csv").query(
        "method == 'nearest' and documents_kind == 'raw' and num_neighbors == 50"
    )
    for axes in figure.axes:
        own = documents(tables, model=axes.get_title(), method="nearest")
        own = own[own["task"] != "pile_github"]  # twelve
        expected = sorted([*own["before"], *own["after"]])
        assert sorted(x for x, _ in dots(axes)) == pytest.approx(expected)
        pairs = sorted(tuple(line.get_xdata()) for line in axes.lines if line.get_zorder() == 2.2)
        known = sorted(zip([*own["before"]] * 2, [*own["after"]] * 2, strict=True))
        assert np.array(pairs) == pytest.approx(np.array(known[::2]))  # each its own
        rows = table[table["model"] == axes.get_title()]
        sure = rows[rows["documents"] >= FEW]
        assert set(sure["task"]) == {"pile_github", ALL}
        ends = sorted(
            end
            for collection in axes.collections
            if hasattr(collection, "get_segments")
            for segment in collection.get_segments()
            if len(segment)
            for end in np.asarray(segment)[:, 0]
        )
        low, high = sure["before"] + sure["low"], sure["before"] + sure["high"]
        low, high = np.minimum(low, sure["after"]), np.maximum(high, sure["after"])
        assert ends == pytest.approx(sorted([*low, *high]))
    assert "a document, before and after" in legend(figure)
    assert "Small dots: single documents, where there are fewer than 10: no" in note(figure)
    assert "paired bootstrap intervals elsewhere" in note(figure)


def test_curves_have_the_documents_at_both_ends_and_no_band(tables):
    figure = draw("curves", tables)
    by_title = {axes.get_title().split(" (")[0]: axes for axes in figure.axes}
    own = documents(tables, method="nearest", task="pile_arxiv")
    for place, state in ((0, "before"), (50, "after")):
        bits = sorted(y for x, y in dots(by_title["ArXiv"]) if x == place)
        assert bits == pytest.approx(sorted(own[state]))
    assert len(dots(by_title["ArXiv"])) == 2 * len(own)
    assert not dots(by_title["Github"])
    bands = [c.get_paths()[0].vertices[:, 1] for c in by_title["Github"].collections]
    assert bands and all(np.isfinite(band).all() for band in bands)
    assert all(
        np.isnan(path.vertices).all() or not len(path.vertices)
        for c in by_title["ArXiv"].collections
        for path in c.get_paths()
    )


def test_costs_have_the_seconds_of_few_documents(tables):
    figure = draw("cost", tables)
    (axes,) = figure.axes
    own = documents(tables, method="nearest")
    expected = own.loc[own["task"] != "pile_github", "neighbor_seconds"]
    assert sorted(x for x, _ in dots(axes)) == pytest.approx(sorted(expected))
    assert "fewer than 10" in note(figure) and "Boxes" in note(figure)


def test_clean_marks_are_pale_where_half_or_fewer_are_clean(tables, tmp_path):
    for name in ("tasks.csv", "documents.parquet"):
        (tmp_path / name).write_bytes((tables / name).read_bytes())
    table = pd.read_csv(tables / "differences.csv")
    clean = table["documents_kind"] == "clean"
    table.loc[clean & (table["task"] == "pile_github"), "documents"] = 6  # of twelve
    table.loc[clean & (table["task"] == "pile_enron"), "documents"] = 5  # of nine
    table.to_csv(tmp_path / "differences.csv", index=False)
    for axes in draw("clean", tmp_path).axes:
        pale = {
            place
            for line in axes.lines
            if line.get_alpha() == 0.35
            for x, place in zip(line.get_xdata(), line.get_ydata(), strict=True)
            if np.isfinite(float(x))
        }
        labels = [label.get_text() for label in axes.figure.axes[0].get_yticklabels()]
        assert [labels[round(place)] for place in pale] == ["Github (6 of 12)"]


def test_without_few_documents_nothing_is_said_of_them(tmp_path):
    tables = make_run(tmp_path, {"pile_arxiv": 12, "pile_github": 11}, resamples=20)
    for name in ("before_after", "curves", "models", "control", "cost"):
        figure = draw(name, tables)
        assert "ocuments themselves" not in note(figure), name
        assert not any("a document" in text for text in legend(figure)), name
        assert not any(dots(axes) for axes in figure.axes), name


@pytest.mark.parametrize("name", DRAWN)
def test_limits_of_axes_hold_all_that_is_drawn(name, tables):
    figure = draw(name, tables)
    figure.draw_without_rendering()
    for axes in figure.axes:
        if not axes.axison:
            continue
        (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        for line in axes.lines:
            if line.get_transform() == axes.transData:
                x, y = (np.asarray(v, float) for v in (line.get_xdata(), line.get_ydata()))
                there = np.isfinite(x) & np.isfinite(y)
                assert (left <= x[there]).all() and (x[there] <= right).all()
                assert (low <= y[there]).all() and (y[there] <= high).all()


@pytest.mark.parametrize("name", ["curves", "models", "cost", "overlap"])
def test_every_colour_and_mark_of_a_legend_is_drawn(name, tables):
    figure = draw(name, tables)
    drawn = {(line.get_color(), line.get_marker()) for axes in figure.axes for line in axes.lines}
    colours, marks = ({each[k] for each in drawn} for k in (0, 1))
    legends = [*figure.legends, *(a.get_legend() for a in figure.axes if a.get_legend())]
    for handle in [handle for one in legends for handle in one.legend_handles]:
        if handle.get_color() not in ("black", "#666666"):  # these stand for all models
            assert handle.get_color() in colours
        if handle.get_color() != "#666666":  # a line style
            assert handle.get_marker() in marks | {"|"}


# --- what a method could do nothing with -----------------------------------------------------


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """`in_context` has room for neighbours in one of three documents, and `lora` in none."""
    folder = tmp_path_factory.mktemp("idle")
    evaluations = []
    for method in ("nearest", "in_context", "lora"):
        rows = draw_task("small", method, "pile_arxiv", 3)
        before = {
            row["document_id"]: row["loglikelihood"] for row in rows if not row["num_neighbors"]
        }
        stuck = {"in_context": [1000, 1001], "lora": [1000, 1001, 1002]}.get(method, [])
        for row in rows:
            if row["document_id"] in stuck:
                row["loglikelihood"] = before[row["document_id"]]
        path = folder / f"evaluation/small/{method}/pile_arxiv/0.parquet"
        evaluations.append(write_rows(path, rows))
    return run_score(folder, evaluations, {"pile_arxiv": 3}, resamples=20)


def test_comparisons_count_documents_that_a_method_left_as_they_were(idle):
    table = pd.read_csv(idle / "comparisons.csv").query("documents_kind == 'raw'")
    assert set(table.loc[table["method"] == "in_context", "unchanged"]) == {2}
    assert set(table.loc[table["method"] == "lora", "unchanged"]) == {3}


def test_a_method_that_could_do_nothing_is_told_and_not_drawn_as_worse(idle):
    figure = draw("methods", idle)
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0].startswith("in_context, 2 unchanged (3 / ")
    assert labels[1].startswith("lora, changed nothing (3 / ")
    places = {round(y) for line in axes.lines for y in np.atleast_1d(line.get_ydata())
              if line.get_linestyle() == "None" and np.isfinite(y)}  # fmt: skip
    assert places == {0}
    assert "Without a mark: lora, which left every document exactly as it was before" in note(
        figure
    )
    figure = draw("quality_time", idle)
    assert "lora" not in legend(figure) and "in_context" in legend(figure)
    assert "Not shown, for they left every document exactly as it was before: lora." in note(figure)


def test_the_control_is_compared_after_as_many_neighbours(tmp_path):
    made = make_run(tmp_path, {"pile_arxiv": 3}, models=("small",), resamples=20)
    file = made / "differences.csv"
    table = pd.read_csv(file)
    most = table["num_neighbors"].max()
    fewer = table.loc[table["num_neighbors"] < most, "num_neighbors"].max()
    of_control = table["candidates"] == "random"
    table[~of_control | (table["num_neighbors"] < most)].to_csv(file, index=False)
    assert [name.partition(" (")[2] for name in legend(draw("control", made))[:2]] == [
        f"{fewer} neighbours)",
        f"{fewer} random neighbours)",
    ]
    wanted = documents(made, method="nearest", num_neighbors=fewer)
    change = 100 * (wanted["after"] / wanted["before"] - 1)
    drawn = [x for x, _ in dots(draw("control", made).axes[0])]
    assert set(change.round(9)) <= {round(x, 9) for x in drawn}
    table.loc[of_control, "num_neighbors"] += 1000
    table.to_csv(file, index=False)
    with pytest.raises(ValueError, match="after no number of neighbours in common: give"):
        draw("control", made)


def test_long_names_and_many_models_are_all_in_the_legend_and_within_the_figure(tmp_path):
    names = ("long-" * 19, *(f"model-{number}" for number in range(11)))
    made = make_run(tmp_path / "many", {"pile_arxiv": 2}, models=names, resamples=10)
    assert legend(draw("curves", made))[: len(names)] == list(names)
    made = make_run(tmp_path / "long", {"pile_arxiv": 2}, models=names[:1], resamples=10)
    for name in ("curves", "before_after", "overlap"):
        figure = draw(name, made)
        figure.canvas.draw()
        inside = [axes.get_title() for axes in figure.axes]
        inside += [
            text.get_text()
            for axes in figure.axes
            if (one := axes.get_legend())
            for text in one.get_texts()
        ]
        assert names[0] in " ".join(inside).replace("\n", "")
        sheet = figure.bbox
        for axes in figure.axes:
            box = axes.title.get_window_extent()
            assert sheet.x0 <= box.x0 and box.x1 <= sheet.x1


def test_a_run_of_one_task_has_it_once(tmp_path):
    tables = make_run(tmp_path, {"pile_arxiv": 3}, models=("small", "large"), resamples=20)
    for name in ("before_after", "models", "control", "clean"):
        figure = draw(name, tables)
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert len(labels) == 1 and labels[0].startswith("ArXiv (3"), name
        assert "\u2020" not in note(figure), name
    panels = [axes.get_title() for axes in draw("curves", tables).axes if axes.get_title()]
    assert panels == ["ArXiv (3)"]


def test_where_every_document_is_clean_the_note_says_so(tmp_path):
    for copied in (False, True):
        folder = tmp_path / str(copied)
        rows = [
            {**row, "overlap": 0.9 * (copied and row["document_id"] == 1000), "exact": False}
            for row in draw_task("small", "nearest", "pile_arxiv", 3)
        ]
        file = write_rows(folder / "evaluation/small/nearest/pile_arxiv/0.parquet", rows)
        tables = run_score(folder, [file], {"pile_arxiv": 3}, resamples=20)
        said = "Every document is clean, so that the two marks are the same."
        assert (said in note(draw("clean", tables))) == (not copied)


def test_quality_time_tells_documents_by_their_method_s_mark_and_shows_what_is_worse(tables):
    figure = draw("quality_time", tables)
    table = pd.read_csv(tables / "quality_time.csv").query("alike and num_neighbors > 0")
    axes = figure.axes[0]
    assert axes.get_title() == "small"
    marks = [line.get_marker() for line in axes.lines if line.get_zorder() == 2.5]
    assert len(marks) == len(set(marks)) > 3
    own = table[table["model"] == "small"]
    worse = own[own["method"] == "shuffled"]
    assert (worse["bits_per_byte"] > worse["before"]).any()
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    assert worse["bits_per_byte"].between(low, high).all()
    assert worse["seconds"].between(left, right).all()
    assert "Cut off" not in note(figure)


def test_quality_time_names_what_is_far_worse_and_cut_off(tables, tmp_path):
    table = pd.read_csv(tables / "quality_time.csv")
    table.loc[(table["method"] == "batch") & (table["num_neighbors"] > 0), "bits_per_byte"] *= 2
    table.to_csv(tmp_path / "quality_time.csv", index=False)
    (tmp_path / "documents.parquet").write_bytes((tables / "documents.parquet").read_bytes())
    figure = draw("quality_time", tmp_path)
    assert "worse than before by more than the best is better: batch." in note(figure)
