"""The tables against sums by hand, against the published numbers, and on broken input."""

import csv
import json
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from synthetic_run import SCHEMA, draw_task, make_run, row, run_score, write_rows
from tttnn.corpus.omissions import with_left_out
from tttnn.pile import ALL, TASKS
from tttnn.scores.estimates import pile_weights
from tttnn.scores.rows import ScoreSpec
from tttnn.sections.base import Section
from tttnn.tables import read_table, write_table


def part(folder, task="pile_arxiv", method="nearest", model="small", number=0):
    return folder / "evaluation" / model / method / task / f"{number}.parquet"


def evaluate(folder, rows, **place):
    place = {"task": "pile_arxiv", "method": "nearest", "model": "small"} | place
    names = {key: value for key, value in place.items() if key != "number"}
    return write_rows(part(folder, **place), [r | names for r in rows])


def read(tables, name):
    return pd.read_csv(tables / f"{name}.csv")


def value(table, **where):
    for column, wanted in where.items():
        table = table[table[column] == wanted]
    assert len(table) == 1
    return table.iloc[0]


TWO = [
    row(1, 0, loglikelihood=-80.0, bytes=100, words=16),
    row(1, 5, loglikelihood=-60.0, bytes=100, words=16, overlap=0.9),
    row(2, 0, loglikelihood=-500.0, bytes=300, words=84),
    row(2, 5, loglikelihood=-480.0, bytes=300, words=84, overlap=0.1),
]


def test_metrics_by_hand(tmp_path):
    tables = run_score(tmp_path, [evaluate(tmp_path, TWO)], {"pile_arxiv": 2})
    scores = read(tables, "scores")
    header = "run,model,method,task,num_neighbors,metric,value,low,high,documents"
    assert (tables / "scores.csv").read_text().splitlines()[0] == header
    at = {"task": "pile_arxiv", "num_neighbors": 0}
    # sums first: 580 nats over 400 bytes and 100 words; the mean of ratios would be 1.776 bits
    bits = value(scores, **at, metric="bits_per_byte")
    assert bits.value == pytest.approx(1.45 / math.log(2), rel=1e-14)
    assert value(scores, **at, metric="byte_perplexity").value == pytest.approx(math.exp(1.45))
    assert value(scores, **at, metric="word_perplexity").value == pytest.approx(math.exp(5.8))
    assert (bits.run, bits.model, bits.method, bits.documents) == ("made-up", "small", "nearest", 2)
    assert len(scores) == 2 * 3 + 2  # two points, three metrics; pile_all in bits alone


def test_intervals_are_those_of_a_plain_loop(tmp_path):
    rows = draw_task("small", "nearest", "pile_arxiv", 25)
    tables = run_score(tmp_path, [evaluate(tmp_path, rows)], {"pile_arxiv": 25}, resamples=300)
    frame = pd.DataFrame(rows).sort_values("document_id")
    before, after = (frame[frame["num_neighbors"] == k] for k in (0, 50))
    ll0, ll50, size = (
        x.to_numpy() for x in (before.loglikelihood, after.loglikelihood, before.bytes)
    )
    generator = np.random.default_rng(0)  # other draws: agreement is statistical
    differences = []
    for _ in range(3000):
        drawn = generator.integers(25, size=25)
        change = ll0[drawn].sum() - ll50[drawn].sum()
        differences.append(change / size[drawn].sum() / math.log(2))
    low, high = np.quantile(differences, [0.025, 0.975])
    found = value(
        read(tables, "differences"), task="pile_arxiv", num_neighbors=50, documents_kind="raw"
    )
    assert found.low == pytest.approx(low, abs=0.15 * (high - low))
    assert found.high == pytest.approx(high, abs=0.15 * (high - low))
    assert found.difference == pytest.approx(found.after - found.before, abs=1e-12)
    assert found.ratio == pytest.approx(found.after / found.before, abs=1e-12)
    assert found.ratio_low < found.ratio < found.ratio_high


def test_paired_intervals_are_much_narrower_than_unpaired_ones(tmp_path):
    tables = make_run(tmp_path, {"pile_pubmed-abstracts": 40}, models=("small",))
    where = {"task": "pile_pubmed-abstracts", "method": "nearest", "num_neighbors": 50}
    level = value(read(tables, "scores"), **where, metric="bits_per_byte")
    paired = value(read(tables, "differences"), **where, documents_kind="raw")
    unpaired = math.sqrt(2) * (level.high - level.low)
    assert paired.high - paired.low < 0.3 * unpaired
    assert paired.high < 0


def test_pile_all_is_weighted_and_renormalised(tmp_path):
    files = [
        evaluate(tmp_path, TWO, task="pile_arxiv"),
        evaluate(tmp_path, [row(7, 0), row(7, 5, loglikelihood=-70.0)], task="pile_github"),
        write_rows(part(tmp_path, task="pile_enron"), []),  # a task without documents
    ]
    tables = run_score(tmp_path, files, {"pile_arxiv": 2, "pile_github": 1})
    scores = read(tables, "scores").query("num_neighbors == 5 and metric == 'bits_per_byte'")
    arxiv, github = 540 / 400 / math.log(2), 70 / 100 / math.log(2)
    mean = value(scores, task=ALL)
    assert mean.value == pytest.approx((8.96 * arxiv + 7.59 * github) / (8.96 + 7.59))
    assert mean.documents == 3
    assert set(scores["task"]) == {"pile_arxiv", "pile_github", ALL}
    alone = value(scores, task="pile_github")
    assert alone.documents == 1 and math.isnan(alone.low) and math.isnan(alone.high)
    assert mean.low < mean.value < mean.high
    differences = read(tables, "differences")
    assert value(differences, task=ALL, documents_kind="raw").tasks == 2

    tasks = read(tables, "tasks").set_index("task")
    assert list(tasks.index) == list(TASKS)
    assert tasks.loc["pile_arxiv", "weight_renormalised"] == pytest.approx(896 / 16.55)
    assert tasks.loc["pile_enron", ["status", "weight_renormalised"]].tolist() == [
        "no documents",
        0,
    ]
    assert tasks.loc["pile_arxiv", "train_documents"] == 77  # the test shard's do not count
    latex = (tables / "summary.tex").read_text()
    assert r"All (weighted)$^\dagger$, 2 of 22 tasks" in latex
    assert "Enron Emails & -- & -- & -- & --" in latex
    corpus = read(tables, "corpus").set_index("shard")
    assert corpus.loc["01", ["documents", "rejected", "reasons"]].tolist() == [
        7,
        2,
        "empty text: 2",
    ]


def test_statuses_tell_absent_from_unselected_and_unevaluated(tmp_path):
    file = evaluate(tmp_path, TWO)
    tables = run_score(tmp_path, [file], {"pile_arxiv": 2, "pile_github": 3})
    selection = json.loads((tmp_path / "queries/test/selection.json").read_text())
    assert selection["tasks"]["pile_enron"]["test_documents"] == 0
    status = read(tables, "tasks").set_index("task")["status"]
    assert status["pile_github"] == "not evaluated"
    assert status["pile_enron"] == "no documents"


def test_weights_of_all_tasks_are_the_piles():
    weights = pile_weights(TASKS)
    assert math.fsum(weights.values()) == pytest.approx(1, abs=1e-15)
    assert weights["pile_pile-cc"] == pytest.approx(0.1811, abs=1e-15)


def test_published_pile_all_is_the_weighted_sum_of_the_published_tasks(shared):
    with (shared / "data" / "published_results.csv").open(newline="") as file:
        rows = [
            r
            for r in csv.DictReader(file)
            if r["method"].startswith("ttt-nn")
            and r["metric"] == "bits_per_byte"
            and r["source"] != "paper_table1"
        ]
    curves = {}
    for r in rows:
        key = (r["source"], int(r["num_neighbors"]))
        curves.setdefault(key, {})[r["task"]] = float(r["value"])
    assert len(curves) == 4 * 51
    weights = pile_weights(TASKS)
    for tasks in curves.values():
        mean = math.fsum(weight * tasks[task] for task, weight in weights.items())
        assert mean == pytest.approx(tasks[ALL], abs=1e-9)


def test_clean_documents_are_those_without_near_copies(tmp_path):
    tables = run_score(tmp_path, [evaluate(tmp_path, TWO)], {"pile_arxiv": 2}, clean_below=0.5)
    clean = read(tables, "clean")
    assert list(clean.columns) == list(read(tables, "scores").columns)
    kept = value(clean, task="pile_arxiv", num_neighbors=5, metric="bits_per_byte")
    assert kept.value == pytest.approx(480 / 300 / math.log(2))  # document 1 overlaps by 0.9
    assert kept.documents == 1
    # also at 0 neighbours, where nothing overlaps yet: before and after are of the same documents
    assert set(clean["documents"]) == {1}
    pair = value(read(tables, "differences"), task="pile_arxiv", documents_kind="clean")
    assert pair.before == pytest.approx(500 / 300 / math.log(2))


def test_a_task_without_clean_documents_has_no_clean_row(tmp_path):
    tables = run_score(tmp_path, [evaluate(tmp_path, TWO)], {"pile_arxiv": 2}, clean_below=0.1)
    assert read(tables, "clean").empty
    assert set(read(tables, "differences")["documents_kind"]) == {"raw"}


@pytest.mark.parametrize("sign", [{"exact": True}, {"jaccard": 0.7}, {"overlap": 0.7}])
def test_any_measure_of_any_methods_neighbours_makes_a_document_unclean(sign, tmp_path):
    """Of the task, so that methods are compared on the same documents."""
    rows = [row(d, k) for d in (1, 2) for k in (0, 5)]
    marked = [*rows[:3], rows[3] | sign]
    files = [
        evaluate(tmp_path, rows, method="nearest"),
        evaluate(tmp_path, marked, method="shuffled"),
    ]
    clean = read(run_score(tmp_path, files, {"pile_arxiv": 2}), "clean")
    assert set(clean["documents"]) == {1}
    assert set(clean["method"]) == {"nearest", "shuffled"}


def test_methods_are_compared_at_equal_numbers_of_neighbours_over_shared_tasks(tmp_path):
    def cell(task, method, *bits):
        points = [0, 1, 5][: len(bits)]
        rows = [
            row(1, k, loglikelihood=-b * 100 * math.log(2))
            for k, b in zip(points, bits, strict=True)
        ]
        return evaluate(tmp_path, rows, task=task, method=method)

    files = [
        cell("pile_arxiv", "nearest", 3, 2.5, 2),
        cell("pile_github", "nearest", 4, 3, 1),
        cell("pile_enron", "nearest", 9, 9, 9),
        cell("pile_arxiv", "shuffled", 3, 2.75),
        cell("pile_github", "shuffled", 4, 4.5),
    ]
    selected = {"pile_arxiv": 1, "pile_github": 1, "pile_enron": 1}
    found = read(run_score(tmp_path, files, selected), "comparisons").query("documents_kind=='raw'")
    assert set(found["against"]) == {"nearest"}
    assert set(found["num_neighbors"]) == {1}
    by_task = found.set_index("task")["difference"].to_dict()
    weights = {task: TASKS[task].weight for task in ("pile_arxiv", "pile_github")}
    mean = (0.25 * weights["pile_arxiv"] + 1.5 * weights["pile_github"]) / sum(weights.values())
    assert by_task == pytest.approx({"pile_arxiv": 0.25, "pile_github": 1.5, ALL: mean})
    both = value(found, task=ALL)
    assert (both.tasks, both.documents) == (2, 2)
    assert both.value - both.against_value == pytest.approx(mean)


def test_halves_are_compared_with_halves(tmp_path):
    files = [
        evaluate(tmp_path, [row(1, k, bytes=b) for k in (0, 5)], method=method)
        for method, b in (("nearest", 100), ("split", 50), ("dynamic", 50))
    ]
    # JSON of the configuration has its keys in order of the alphabet: which method is the main one
    # is for the cells to say
    candidates = {"dynamic": None, "nearest": "flat", "split": "flat"}
    tables = run_score(
        tmp_path, files, {"pile_arxiv": 1}, candidates=candidates, halves=["split", "dynamic"]
    )
    found = read(tables, "comparisons")
    assert set(zip(found["method"], found["against"], strict=True)) == {("dynamic", "split")}


def halved(folder, rows, method, omitted, number=0):
    """An evaluation file that lists documents as left out."""
    path = evaluate(folder, rows, method=method, number=number)
    schema = with_left_out(SCHEMA, omitted)
    write_table(path, read_table(path).replace_schema_metadata(schema.metadata))
    return path


def test_documents_without_halves_are_counted_and_missed_by_halves_alone(tmp_path):
    """Of four documents 2 and 4 have no halves; of the two left, 1 has a copy."""
    points = [(d, k) for d in (1, 2, 3, 4) for k in (0, 5)]
    rows = [row(d, k, overlap=0.9 if (d, k) in ((1, 5), (4, 5)) else 0.0) for d, k in points]
    with_halves = [r for r in rows if r["document_id"] in (1, 3)]
    files = [
        evaluate(tmp_path, rows),
        halved(tmp_path, with_halves[:2], "dynamic", [2], 0),
        halved(tmp_path, with_halves[2:], "dynamic", [4], 1),
        halved(tmp_path, with_halves, "split", [4, 2]),
    ]
    spec = {
        "candidates": {"nearest": "flat", "split": "flat", "dynamic": None},
        "halves": ["split", "dynamic"],
    }
    tables = run_score(tmp_path, files, {"pile_arxiv": 4, "pile_github": 1}, **spec)
    at = {"task": "pile_arxiv", "num_neighbors": 0, "metric": "bits_per_byte"}
    counts = {
        name: read(tables, name).query("metric == 'bits_per_byte'") for name in ("scores", "clean")
    }
    for table, found in (("scores", [4, 2, 2]), ("clean", [2, 1, 1])):
        documents = [
            value(counts[table], **at, method=method).documents
            for method in ("nearest", "dynamic", "split")
        ]
        assert documents == found
    tasks = read(tables, "tasks").set_index("task")
    assert tasks.loc["pile_arxiv", ["selected", "without_halves"]].tolist() == [4, 2]
    assert tasks["without_halves"].sum() == 2
    halved(tmp_path, with_halves[:2], "split", [2, 4])
    with pytest.raises(ValueError, match="split/pile_arxiv: 1 documents evaluated, 2 selected"):
        run_score(tmp_path, files, {"pile_arxiv": 4}, **spec)


def test_a_task_without_any_halves_says_so(tmp_path):
    files = [
        evaluate(tmp_path, TWO, method="dynamic"),
        write_rows(part(tmp_path, "pile_github", "dynamic"), []),
    ]
    metadata = with_left_out(SCHEMA, [7, 8]).metadata
    write_table(files[1], read_table(files[1]).replace_schema_metadata(metadata))
    tables = run_score(tmp_path, files, {"pile_arxiv": 2, "pile_github": 2})
    tasks = read(tables, "tasks").set_index("task")
    assert tasks.loc["pile_github", ["status", "without_halves"]].tolist() == ["no halves", 2]
    assert tasks.loc["pile_arxiv", ["status", "without_halves"]].tolist() == ["evaluated", 0]


def test_lost_characters_are_told_of_each_document(tmp_path):
    rows = [row(d, k, lost_characters=lost) for d, lost in ((1, 7), (2, None)) for k in (0, 5)]
    tables = run_score(tmp_path, [evaluate(tmp_path, rows)], {"pile_arxiv": 2})
    lost = pd.read_parquet(tables / "documents.parquet").set_index("document_id")["lost_characters"]
    assert lost[1] == 7
    assert math.isnan(lost[2])


def test_the_paired_interval_of_a_comparison_is_a_plain_loops(tmp_path):
    generator = np.random.default_rng(5)
    ours, theirs = (
        [
            row(d, k, loglikelihood=-float(x), bytes=100 + d)
            for d in range(30)
            for k, x in zip((0, 5), generator.uniform(50, 150, 2), strict=True)
        ]
        for _ in range(2)
    )
    files = [evaluate(tmp_path, ours), evaluate(tmp_path, theirs, method="shuffled")]
    tables = run_score(tmp_path, files, {"pile_arxiv": 30}, resamples=4000)
    found = value(read(tables, "comparisons"), task="pile_arxiv", documents_kind="raw")
    a, b = (np.array([r["loglikelihood"] for r in rows[1::2]]) for rows in (ours, theirs))
    size = np.array([r["bytes"] for r in ours[::2]])

    def difference(place):
        return (a[place].sum() - b[place].sum()) / size[place].sum() / math.log(2)

    expected = scipy.stats.bootstrap(
        (np.arange(30),), difference, n_resamples=4000, method="percentile", vectorized=False,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert found.difference == pytest.approx(difference(np.arange(30)))
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.05 * width)
    assert found.high == pytest.approx(expected.high, abs=0.05 * width)


def test_efficiency_by_hand(tmp_path):
    rows = [
        row(
            d,
            k,
            loglikelihood=-100.0 * d,
            train_seconds=d * k * 0.5,
            evaluate_seconds=d * k * 0.25,
            train_tokens=100 * d * k,
        )
        for d in (1, 3)
        for k in (0, 2, 4)
    ]
    tables = run_score(tmp_path, [evaluate(tmp_path, rows)], {"pile_arxiv": 2})
    at = value(read(tables, "efficiency"), task="pile_arxiv", num_neighbors=2)
    assert (at.seconds, at.train_tokens) == (3.0, 400)
    assert at.bits_per_byte == pytest.approx(400 / 200 / math.log(2))


def test_near_copies_share_of_the_gain_by_hand(tmp_path):
    """Document 1, nearly copied, gains 20 nats, document 2 as many, document 3 loses 10."""
    third = [row(3, 0, loglikelihood=-10.0), row(3, 5, loglikelihood=-20.0)]
    tables = run_score(tmp_path, [evaluate(tmp_path, [*TWO, *third])], {"pile_arxiv": 3})
    share = value(read(tables, "duplicates"), task="pile_arxiv")
    assert (share.documents, share.exact, share.copied) == (3, 0, 1)
    assert share.gain_bits == pytest.approx(30 / math.log(2))
    assert share.share == pytest.approx(20 / 30)
    documents = pd.read_parquet(tables / "documents.parquet").set_index("document_id")
    assert documents["copied"].to_dict() == {1: True, 2: False, 3: False}
    assert documents.loc[2, "after"] == pytest.approx(480 / 300 / math.log(2))


def test_costs_by_hand(tmp_path):
    rows = [
        row(d, k, train_seconds=d * k * 0.5, train_tokens=100 * k, evaluate_seconds=0.1 * k)
        for d in (1, 2, 3)
        for k in (0, 2, 4)
    ]
    tables = run_score(tmp_path, [evaluate(tmp_path, rows)], {"pile_arxiv": 3})
    costs = value(read(tables, "costs"), task="pile_arxiv")
    assert costs[["seconds_mean", "seconds_p25", "seconds_p50", "seconds_p75"]].tolist() == [
        1.0,
        0.75,
        1.0,
        1.25,
    ]
    assert costs.tokens_per_second == pytest.approx(3 * 400 / (2 + 4 + 6))
    assert costs.evaluate_seconds == pytest.approx(0.2)
    assert costs.evaluate_seconds_total == pytest.approx(3 * 0.6)


def test_neither_parts_nor_their_order_change_a_number(tmp_path):
    rows = draw_task("small", "nearest", "pile_arxiv", 9)
    whole = run_score(tmp_path / "a", [evaluate(tmp_path / "a", rows)], {"pile_arxiv": 9})
    odd = [r for r in rows if r["document_id"] % 2]
    even = [r for r in rows if not r["document_id"] % 2]
    files = [
        evaluate(tmp_path / "b", odd[::-1], number=0),
        evaluate(tmp_path / "b", even, number=1),
    ]
    parted = run_score(tmp_path / "b", files, {"pile_arxiv": 9})
    for name in ("scores.csv", "clean.csv", "differences.csv", "costs.csv", "summary.tex"):
        assert (whole / name).read_bytes() == (parted / name).read_bytes()


def test_a_method_of_fewer_tasks_has_its_own_mean(tmp_path):
    few = [row(1, 0), row(1, 5, loglikelihood=-90.0)]
    files = [
        evaluate(tmp_path, few, task="pile_arxiv"),
        evaluate(tmp_path, few, task="pile_github"),
        evaluate(tmp_path, few, task="pile_github", method="shuffled"),
    ]
    tables = run_score(tmp_path, files, {"pile_arxiv": 1, "pile_github": 1})
    differences = read(tables, "differences").query("documents_kind == 'raw'")
    assert value(differences, task=ALL, method="nearest").tasks == 2
    assert value(differences, task=ALL, method="shuffled").tasks == 1
    assert list(differences["method"].unique()) == ["nearest", "shuffled"]  # the files' order
    assert set(differences.loc[differences["method"] == "shuffled", "candidates"]) == {"random"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (TWO[:2], r"small/nearest/pile_arxiv: 1 documents evaluated, 2 selected"),
        ([], r"small/nearest/pile_arxiv: 0 documents evaluated, 2 selected"),
        (TWO[:3], r"document 2 lacks some of the evaluations at 0, 5"),
        ([*TWO, TWO[1]], r"document 1 is there twice at 5"),
        ([TWO[1], TWO[3]], r"not evaluated at 0 neighbours"),
        ([*TWO[:3], TWO[3] | {"loglikelihood": math.nan}], r"loglikelihood of document 2 is nan"),
        ([*TWO[:3], TWO[3] | {"bytes": 301}], r"bytes of a document must be positive"),
    ],
)
def test_a_broken_cell_is_named(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        run_score(tmp_path, [evaluate(tmp_path, rows)], {"pile_arxiv": 2})
    assert not (tmp_path / "tables").exists()


def test_a_file_in_the_wrong_folder_is_refused(tmp_path):
    path = write_rows(part(tmp_path, model="large"), TWO)
    with pytest.raises(ValueError, match="holds model 'small', its folder says 'large'"):
        run_score(tmp_path, [path], {"pile_arxiv": 2})


def test_a_truncated_file_and_a_file_without_a_column_are_named(tmp_path):
    path = evaluate(tmp_path, TWO)
    table = read_table(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"0\.parquet is not a whole parquet file"):
        run_score(tmp_path, [path], {"pile_arxiv": 2})
    write_table(path, table.drop_columns("overlap"))
    with pytest.raises(ValueError, match=r"0\.parquet lacks overlap"):
        run_score(tmp_path, [path], {"pile_arxiv": 2})


def test_cells_of_a_task_need_the_same_documents(tmp_path):
    other = [r | {"document_id": r["document_id"] + 1} for r in TWO]
    files = [evaluate(tmp_path, TWO), evaluate(tmp_path, other, method="shuffled")]
    with pytest.raises(ValueError, match="were not evaluated on the same documents"):
        run_score(tmp_path, files, {"pile_arxiv": 2})


def test_cells_of_a_method_need_the_same_points(tmp_path):
    short = [row(1, 0), row(1, 3)]
    files = [evaluate(tmp_path, TWO), evaluate(tmp_path, short, task="pile_github")]
    with pytest.raises(ValueError, match="same numbers of neighbours"):
        run_score(tmp_path, files, {"pile_arxiv": 2, "pile_github": 1})


def test_a_run_without_any_document_or_any_training_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no document of any evaluated task was selected"):
        run_score(tmp_path, [evaluate(tmp_path, [])], {})
    with pytest.raises(ValueError, match="at 0 neighbours only"):
        run_score(tmp_path, [evaluate(tmp_path, [row(1, 0)])], {"pile_arxiv": 1})


def test_spec_is_a_strict_section():
    assert issubclass(ScoreSpec, Section)
    with pytest.raises(ValueError, match="unknown key 'resample'"):
        ScoreSpec(run="x", candidates={}, resample=3)


def test_schema_of_made_up_files_is_that_of_real_ones():
    from tttnn.methods.evaluate import ROWS  # here, for it imports torch

    assert SCHEMA == ROWS


def test_indexes_are_held_against_what_training_on_theirs_brings(tmp_path):
    tables = run_score(tmp_path, [evaluate(tmp_path, TWO)], {"pile_arxiv": 2})
    indexes, differences = read(tables, "indexes"), read(tables, "differences")
    assert indexes["index"].tolist() == ["flat", "ivf"]
    exact, lists = indexes.to_dict("records")
    assert [lists[f"recall_at_{k}"] for k in (1, 10, 100)] == [0.91, 0.97, 0.985]
    assert (exact["index_bytes"], lists["index_bytes"], lists["build_seconds"]) == (0, 532.5, 61.5)
    assert (lists["batched_per_second"], lists["single_per_second"]) == (21000, 640)
    whole = value(differences, task=ALL, documents_kind="raw")
    assert (exact["model"], exact["method"], exact["num_neighbors"]) == ("small", "nearest", 5)
    assert (exact["before"], exact["after"]) == (whole.before, whole.after)
    assert pd.isna([lists[name] for name in ("model", "before", "after", "ratio")]).all()


def test_of_several_methods_on_an_index_the_first_speaks_for_it(tmp_path):
    files = [
        evaluate(tmp_path, TWO, method=method, model=model)
        for method in ("sift", "nearest", "shuffled")
        for model in ("small", "large")
    ]
    tables = run_score(tmp_path, files, {"pile_arxiv": 2})
    exact = read(tables, "indexes").iloc[0]
    assert (exact["model"], exact["method"]) == ("small", "sift")
