"""Estimates: against hand computation, the published costs, and what finished runs used."""

from __future__ import annotations

import json
import random
import re
from math import ceil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard

from configured import asked, read
from tttnn.command import LOWER, main
from tttnn.files import write_json
from tttnn.needs.rates import START_TORCH
from tttnn.needs.shapes import HUB
from tttnn.operations.costs import Costs
from tttnn.operations.jobs import EVALUATIONS, Job
from tttnn.operations.plan import lines, plan, used
from tttnn.operations.sizes import shape, texts
from tttnn.spent import GPU_RULES

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "workflow/tttnn/published"


SMALL = ("evaluate={models: [small], methods: [ttt], ablations: null, tasks: [pile_arxiv]}",)


def config(*overlays: str, settings: tuple[str, ...] = ()):
    return read([ROOT / f"config/{name}.yaml" for name in overlays], settings)


def test_the_published_seconds_are_the_curves():
    """Means over the 50 neighbors, as the totals in tables/costs.csv are."""
    curves = pd.read_parquet(PUBLISHED / "curves.parquet")
    curves = curves[(curves["method"] == "ttt-nn") & (curves["num_neighbors"] > 0)]
    expected = curves.groupby(["model", "task"])["seconds"].mean()
    table = pd.read_csv(PUBLISHED / "seconds.csv").set_index(["model", "task"])
    assert len(table) == 3 * 22
    for name, row in table.iterrows():
        assert row["seconds_per_neighbor"] == pytest.approx(expected[name], abs=6e-4)


def test_the_paper_s_evaluation_costs_what_was_published():
    """285, 864 and 1,251 A100 hours: the published seconds, times documents and neighbors."""
    paper, listed = asked("paper", settings=("corpus={source: pile}",))
    costs, hours = Costs(paper), {}
    for job in listed:
        if job.rule == "evaluate_part" and job.wildcards["method"] == "ttt":
            model = job.wildcards["model"]
            seconds = costs.of(job.rule, job.wildcards).seconds
            hours[model] = hours.get(model, 0) + seconds / 3600
    assert hours["gpt2"] == pytest.approx(285, rel=0.02)
    assert hours["gpt2-large"] == pytest.approx(864, rel=0.02)
    assert hours["gpt-neo-1.3B"] == pytest.approx(1251, rel=0.02)


def test_the_paper_s_vectors_have_the_size_that_its_configuration_says():
    """430 GB of float16, in config/paper.yaml; an exact index has not a byte beyond."""
    paper, listed = asked("paper")
    costs = Costs(paper)
    rows = [job for job in listed if job.rule == "embed_chunk"]
    vectors = sum(costs.of(job.rule, job.wildcards).disk for job in rows)
    assert vectors == pytest.approx(430e9, rel=0.01)
    assert not {"fill_shard_index", "merge_index"} & {job.rule for job in listed}
    found = costs.of("search_shard", {"index": "flat", "shard": "00", "queries": "test"})
    assert found.disk < 0.01 * 430e9


def test_shapes_count_the_parameters_of_the_models():
    """GPT-2's 124 million, GPT-Neo's 1.3 billion; position embeddings and biases left out."""
    models = config("paper").models
    assert shape(models["gpt2"]).parameters == pytest.approx(124e6, rel=0.02)
    assert shape(models["gpt2-large"]).parameters == pytest.approx(774e6, rel=0.02)
    assert shape(models["gpt-neo-1.3B"]).parameters == pytest.approx(1316e6, rel=0.02)
    assert shape(models["roberta-pile"]).parameters == pytest.approx(355e6, rel=0.02)
    # the demo's own, counted by transformers when they were trained: training.json
    assert shape(models["small"]).parameters == pytest.approx(247552, rel=0.1)
    assert shape(models["large"]).parameters == pytest.approx(445056, rel=0.1)
    assert shape(models["neo"]).parameters == pytest.approx(444480, rel=0.1)


def test_a_cell_that_is_not_evaluated_may_be_asked_for():
    """By its path: `random` is evaluated on two tasks, `fast` on none."""
    costs = Costs(config())
    cell = {"model": "small", "task": "pile_enron", "part": "0"}
    for method in ("random", "fast"):
        assert costs.of("evaluate_part", {**cell, "method": method}).seconds > 0


def test_a_rule_asks_for_more_each_time():
    costs = Costs(config())
    wildcards = {"embedder": "embedder", "shard": "00", "chunk": "0"}
    memory, minutes = costs.mem_mb("embed_chunk"), costs.runtime("embed_chunk")
    assert memory(wildcards, attempt=1) < memory(wildcards, attempt=2)
    assert minutes(wildcards, attempt=2) == 2 * minutes(wildcards, attempt=1)


@pytest.mark.parametrize("overlay", ["local", "paper", "slurm-demo"])
def test_every_rule_of_every_configuration_has_its_line(overlay):
    chosen, listed = asked(overlay)
    printed = "\n".join(lines(chosen, listed))
    for rule in {job.rule for job in listed}:
        assert f"\n{rule} " in printed


def evaluations(printed: list[str]) -> dict[str, list[str]]:
    """The plan's last block, by model and method."""
    block = "\n".join(printed).rpartition("\n\n")[2]
    rows = [re.split(r"\s{2,}", line) for line in block.splitlines()]
    return {row[0]: row for row in rows}


def budget_lines(seconds: float) -> list[str]:
    budgeted = f"methods={{slow: {{like: ttt, budget: {{seconds: {seconds}}}}}}}"
    chosen = "evaluate={models: [gpt2], methods: [slow], tasks: [pile_arxiv, pile_enron]}"
    ablations = "evaluate={ablations: null}"
    return list(lines(*asked("paper", settings=(budgeted, chosen, ablations))))


def test_the_plan_says_what_fits_into_a_document_s_seconds():
    """GPT-2 takes 0.29 GFLOP a token of a full window; a step takes 0.05 s, at 125 TFLOP/s."""
    (line,) = (line for line in budget_lines(2) if line.startswith("gpt2 slow: 2 s a document"))
    found = {task: int(n) for task, n in re.findall(r"(pile_\S+) (\d+)", line)}
    token = 2 * (85e6 + 50257 * 768) + 4 * 12 * 1024 * 768
    for task, kib in (("pile_arxiv", 46.61), ("pile_enron", 1.78)):
        size = round(1024 * kib)
        windows = ceil(size / 4096)
        read = size if windows == 1 else windows * 4096
        fits = [
            n
            for n in range(51)
            if (7 * read + 3 * n * size) / 4 * token / 125e12 + n * windows * 0.05 <= 2
        ]
        assert found[task] == max(fits)


def test_a_budget_shortens_the_plan():
    hours = [float(evaluations(budget_lines(seconds))["gpt2 slow"][6]) for seconds in (1, 1e6)]
    assert hours[0] < hours[1] / 4


def rules_with(text: str) -> set[str]:
    rules = (ROOT / "rules").glob("*.smk")
    parts = [
        part
        for file in rules
        for part in re.split(r"^(?:use )?rule ", file.read_text(), flags=re.M)[1:]
    ]
    return {re.search(r"(?:as )?(\w+)(?: with)?:", part)[1] for part in parts if text in part}


def test_every_rule_that_evaluates_test_documents_is_known():
    assert rules_with('"<results>/evaluation/{model}') - {"validate_part"} == set(EVALUATIONS)


def test_every_rule_on_a_gpu_says_what_to_do_without_memory():
    assert GPU_RULES - {"validate_part"} <= LOWER.keys()


def test_neighbours_that_are_capped_shorten_the_plan():
    """A mean document of PubMed Central has 30.55 KiB, four bytes a token: 7,821 tokens."""
    job = {"model": "gpt2", "method": "ttt", "task": "pile_pubmed-central", "part": "0"}

    def seconds(**caps: int) -> float:
        settings = ("corpus={source: pile}", f"methods={{ttt: {json.dumps(caps)}}}")
        return Costs(config("paper", settings=settings)).of("evaluate_part", job).seconds

    whole = seconds() - START_TORCH
    half = seconds(max_neighbor_tokens=3910) - START_TORCH
    assert half == pytest.approx(whole / 2, rel=1e-3)
    three = seconds(max_total_neighbor_tokens=3 * 7821) - START_TORCH
    assert three == pytest.approx(whole * 3 / 50, rel=1e-3)


def test_the_plan_says_how_embedders_make_vectors():
    printed = "\n".join(lines(*asked()))
    assert (
        "Embedder embedder: a text's vector is the mean of token vectors, not scaled, no prompt, "
        "as in the paper.\n" in printed
    )


def test_adapters_need_less_of_a_gpu_than_all_weights():
    """GPT-2-XL's 1.56 billion float32 weights five times are 31 GB, once 6 GB."""
    settings = ("evaluate={models: [gpt2-xl], methods: [ttt, lora], ablations: null}",)
    rows = evaluations(list(lines(*asked("paper", settings=settings))))
    full, adapters = (float(rows[f"gpt2-xl {m}"][5].split()[0]) for m in ("ttt", "lora"))
    assert 31 < full < 45
    assert 6 < adapters < 20
    assert full - adapters == pytest.approx(4 * 4 * 1.557, rel=0.01)


def test_sizes_of_models_on_the_hub_are_the_published_ones():
    """Parameters as their model cards count them, in millions."""
    published = {
        "openai-community/gpt2": 124,
        "openai-community/gpt2-large": 774,
        "openai-community/gpt2-xl": 1558,
        "EleutherAI/gpt-neo-1.3B": 1316,
        "HuggingFaceTB/SmolLM2-135M": 134.5,
        "Qwen/Qwen2.5-0.5B": 494,
        "Qwen/Qwen2.5-1.5B": 1544,
        "meta-llama/Llama-3.2-1B": 1236,
        "microsoft/Phi-3-mini-4k-instruct": 3821,
    }
    for name, millions in published.items():
        assert HUB[name].parameters == pytest.approx(millions * 1e6, rel=0.01), name


def test_a_benchmark_file_is_read(tmp_path):
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    file, log = tmp_path / "0.tsv", tmp_path / "0.log"
    job = Job("score", {}, [], [], "0.log", "0.tsv", False)
    assert used(job, tmp_path) is None
    file.write_text(header + "9.5\t0:00:09\t200.00\t1\t1\t1\t0\t0\t0\t7.25\n")
    assert used(job, tmp_path) == (200 * 2**20, 7.25, 9.5)
    log.write_text("a warning\nused 6.50 s of a processor and 300000000 bytes of memory\n")
    assert used(job, tmp_path) == (3e8, 6.5, 9.5)  # Snakemake saw only who waited for the work
    file.write_text(header + "0.4\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n")
    log.write_text("used 6.50 s of a processor and 300000000 bytes of memory\nnot its end\n")
    assert used(job, tmp_path) == (0, 0.4, 0.4)


def test_what_a_run_used_stands_beside_what_was_expected(tmp_path, monkeypatch, capsys):
    chosen, listed = asked(settings=("run=mine",))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/mine").mkdir(parents=True)
    (tmp_path / "results/mine/config.json").write_text(chosen.model_dump_json())
    write_json(tmp_path / "results/mine/jobs.json", [job._asdict() for job in listed])
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    job = next(job for job in listed if job.rule == "train_embedder")
    file = tmp_path / job.benchmark
    file.parent.mkdir(parents=True)
    file.write_text(header + "100\t0:01:40\t500.00\t1\t1\t1\t0\t0\t0\t80\n")
    plan(against=tmp_path / "results/mine")
    (row,) = (line.split() for line in capsys.readouterr().out.splitlines()[1:])
    expected = Costs(chosen).of(job.rule, job.wildcards)
    assert row[:4] == ["train_embedder", "1", f"{expected.seconds:.0f}", "80"]
    assert row[4] == f"{expected.seconds / 80:.2f}"
    assert row[5:7] == [f"{expected.memory / 1e6:.0f}", f"{500 * 2**20 / 1e6:.0f}"]


def write_texts(path: Path, records: list[tuple[str, str]], form: str) -> None:
    """Texts and subsets as one of the files that are read, each in another library's way."""
    names, texts = (list(column) for column in zip(*records, strict=True))
    if form == ".parquet":
        columns = {"text": pa.array(texts, pa.large_string())}
        columns["pile_set_name"] = pa.array(names).dictionary_encode()
        pq.write_table(pa.table(columns), f"{path}{form}", row_group_size=64, compression=None)
        return
    written = ({"text": text, "meta": {"pile_set_name": name}} for name, text in records)
    lines = "\ufeff" + "".join(json.dumps(record) + "\r\n" for record in written)
    data = lines.encode()
    data = zstandard.ZstdCompressor().compress(data) if form == ".jsonl.zst" else data
    Path(f"{path}{form}").write_bytes(data)


def local(folder: Path):
    settings = [f"sources={{folder: {{kind: local, path: {folder}}}}}", "select={count: 50}"]
    settings += ["corpus={source: folder, shards: 2}"]
    return texts(read([], settings, ROOT / "config.yaml"))


@pytest.mark.parametrize("form", [".jsonl", ".jsonl.zst", ".parquet"])
def test_a_local_source_is_known_by_its_files(form, tmp_path):
    """Test documents of 1,000 and 3,000 bytes, two to one; train files of the same text."""
    records = [
        (name, "a" * size)
        for name, size in [("ArXiv", 1000), ("ArXiv", 1000), ("Github", 3000)] * 20
    ]
    (tmp_path / "train").mkdir()
    for name in ("test", "train/00", "train/01"):
        write_texts(tmp_path / name, records, form)
    found = local(tmp_path)
    assert found.documents == pytest.approx(60)
    assert found.bytes == pytest.approx(100_000)
    assert (found.selected["pile_arxiv"], found.selected["pile_github"]) == (40, 20)
    assert found.selected["pile_enron"] == 0
    assert found.document_bytes["pile_github"] == 3000


def test_tasks_without_documents_are_said_before(tmp_path):
    (tmp_path / "train").mkdir()
    for name in ("test", "train/00", "train/01"):
        write_texts(tmp_path / name, [("ArXiv", "a" * 1000), ("Github", "b" * 99)], ".jsonl")
    settings = [f"sources={{folder: {{kind: local, path: {tmp_path}}}}}"]
    settings += ["corpus={source: folder, shards: 2}", "search={indexes: [flat]}"]
    settings += ["methods={ttt: {candidates: flat}}"]
    for tasks, said in (
        ("[pile_arxiv, pile_enron, pile_uspto]", "of 2 of 3 tasks was found"),
        ("[pile_arxiv, pile_github]", None),
    ):
        chosen = f"evaluate={{models: [small], methods: [ttt], ablations: null, tasks: {tasks}}}"
        found = list(Costs(read([], [*settings, chosen], ROOT / "config.yaml")).without_documents())
        if said is None:
            assert found == []
            continue
        (line,) = found
        assert said in line and "nothing is evaluated: pile_enron, pile_uspto. Take them" in line
    assert list(Costs(config()).without_documents()) == []


def test_the_plan_says_what_is_done_already():
    chosen, listed = asked(settings=SMALL)
    downloads = [job for job in listed if job.rule == "download_shard"]
    jobs = [job._replace(needed=job not in downloads) for job in listed]
    printed = list(lines(chosen, jobs))
    (head,) = (line for line in printed if line.startswith("rule "))
    assert re.split(r"  +", head)[:6] == ["rule", "jobs", "to do", "disk", "memory", "GPU memory"]
    rows = {line.split()[0]: line.split()[1:3] for line in printed if line[:1].islower()}
    assert rows["download_shard"] == [str(len(downloads)), "0"]
    assert rows["select_documents"] == ["1", "1"]
    todo = len(jobs) - len(downloads)
    assert any(
        line.startswith(f"Of these {len(downloads)} jobs done, {todo} to do: ") for line in printed
    )
    done = [job._replace(needed=False) for job in listed]
    assert "All of them are done." in list(lines(chosen, done))


@pytest.mark.parametrize("form", [".jsonl", ".jsonl.zst", ".parquet"])
def test_the_start_of_a_local_file_stands_for_the_rest(form, tmp_path, monkeypatch):
    """Two thirds are read of 3,000 documents; their texts are random, so compression is even."""
    monkeypatch.setattr("tttnn.operations.sizes.SAMPLE_BYTES", 2_000_000)
    random_text = random.Random(0)
    records = [
        (name, "".join(random_text.choices("abcdefgh", k=1000)))
        for name in ["ArXiv", "ArXiv", "Github"] * 1000
    ]
    (tmp_path / "train").mkdir()
    for name in ("test", "train/00", "train/01"):
        write_texts(tmp_path / name, records, form)
    found = local(tmp_path)
    assert found.documents == pytest.approx(3000, rel=0.1)
    assert found.bytes == pytest.approx(3_000_000, rel=0.1)


def test_a_local_file_that_cannot_be_read_stops_no_plan(tmp_path):
    (tmp_path / "train").mkdir()
    for name in ("test", "train/00", "train/01"):
        (tmp_path / f"{name}.jsonl.zst").write_bytes(b"\x1f\x8b no zstd")
    assert "taken for the Pile" in local(tmp_path).known


@pytest.mark.parametrize("damaged", ["config.json", "jobs.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[1", b"[[]]", b"<html>\n"])
def test_a_damaged_note_of_a_run_is_named(damaged, content, tmp_path, monkeypatch):
    monkeypatch.delenv("TTTNN_TRACEBACK", raising=False)
    whole = yaml.safe_load((ROOT / "config.yaml").read_text())
    (tmp_path / "config.json").write_text(json.dumps(whole))
    (tmp_path / damaged).write_bytes(content)
    with pytest.raises(SystemExit) as caught:
        main(["plan", "--against", str(tmp_path)])
    (line,) = str(caught.value.code).splitlines()
    assert line.startswith(f"tttnn plan: {tmp_path / damaged} ")


def test_a_configfile_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.yaml").write_text("run: mine\n")
    with pytest.raises(SystemExit, match=r"--configfile: there is no file mine\.yaml: its path"):
        main(["plan", "--configfile", "there.yaml", "mine.yaml"])
