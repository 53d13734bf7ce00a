"""The state of every job from files as Snakemake, the stages and SLURM leave them."""

from __future__ import annotations

import base64
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from configured import asked
from tttnn.command import main
from tttnn.files import write_json
from tttnn.operations.jobs import Job
from tttnn.operations.started import Start
from tttnn.operations.status import Run, _started, lines, stages, status

ROOT = Path(__file__).parents[3]
RESULTS = "results/mine"
LOG = """SNAKEMAKE
  Host: here
  Command: /bin/snakemake --profile slurm
SLURM run ID: tttnn_one
Provided remote nodes: 100
Error in rule evaluate_part:
    message: Evaluate small with ttt on pile_arxiv, part 0
    jobid: 7
    output: results/mine/evaluation/small/ttt/pile_arxiv/0.parquet
    log: results/mine/logs/evaluate_part/small/ttt/pile_arxiv/0.log (check log file(s) for error)
"""
BENCHMARK = (
    "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    "{s}\t0:00:00\t100\t1\t1\t1\t0\t0\t0\t{s}\n"
)
SELECTED = 5
SETTINGS = (
    "run=mine",
    "evaluate={models: [small], ablations: null}",
    "search={indexes: [ivf]}",
    "methods={ttt: {candidates: ivf}}",
    "select={count: 5}",
)
PLANNED = 1_000_000_000.0  # when the run began to work, before any file of these tests was written


def evaluation(task: str) -> str:
    return f"{RESULTS}/evaluation/small/ttt/{task}/0.parquet"


def needed(job: Job) -> bool:
    """As Snakemake finds the files of `folder`."""
    is_filled = job.rule in ("download_shard", "merge_index", "fill_shard_index")
    return not is_filled and evaluation("pile_enron") not in job.outputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Downloads are done; of the evaluations one each is running, queued, failed, interrupted, and
    one is there and would be made again."""
    config, listed = asked(settings=SETTINGS)

    def write(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def mark(output: str, slurm_job: str | None) -> None:
        name = base64.urlsafe_b64encode(output.encode()).decode()
        cut = [name[i : i + 100] for i in range(0, len(name), 100)]  # as for a long name
        place = "/".join([*("@" + part for part in cut[:-1]), cut[-1]])
        write(f".snakemake/incomplete/{place}", json.dumps({"external_jobid": slurm_job}))

    start = Start(
        run="mine",
        program=["snakemake"],
        arguments=[],
        folder=str(tmp_path),
        directory=str(tmp_path),
        configfiles=[],
        settings=list(SETTINGS),
        host=platform.node(),
        process=1,  # is alive, but was started at another time
        since=PLANNED,
    )
    write_json(tmp_path / RESULTS / "started.json", start._asdict())
    write_json(tmp_path / RESULTS / "config.json", config.model_dump(mode="json"))
    write(".snakemake/log/2026-01-01T000000.snakemake.log", LOG)
    counts = {"tasks": {task: {"selected": SELECTED} for task in config.tasks}}
    for job in listed:
        if job.rule == "download_shard":
            for output in job.outputs:
                write(output, json.dumps({"documents": 100}))
            write(job.benchmark, BENCHMARK.format(s=4))
    write(f"{RESULTS}/queries/test/selection.json", json.dumps(counts))
    write(f"{RESULTS}/index/ivf/merged/manifest.json", "{}")
    write(evaluation("pile_enron"), "")
    write(evaluation("pile_nih-exporter"), "")
    write(f"{RESULTS}/benchmarks/evaluate_part/small/ttt/pile_enron/0.tsv", BENCHMARK.format(s=20))
    mark(evaluation("pile_github"), "11")
    write(f"{RESULTS}/evaluation/small/ttt/pile_github/.0.journal", "identity\n[]\n[]\n")
    write(f"{RESULTS}/embeddings/embedder/01/.0.partial.json", '{"done": 40}')
    mark(evaluation("pile_europarl"), "12")
    mark(evaluation("pile_books3"), "9")
    (tmp_path / "bin").mkdir()
    squeue = tmp_path / "bin/squeue"
    squeue.write_text("#!/bin/sh\necho '11|RUNNING|rule_evaluate_part'\necho '12|PENDING|rule'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(folder: Path, **more: object) -> Run:
    config, listed = asked(settings=SETTINGS)
    return Run(config, [job._replace(needed=needed(job)) for job in listed], folder, **more)


def states(run: Run) -> dict[str, str]:
    return {job.outputs[0]: state for job, state in zip(run.jobs, run.states, strict=True)}


def test_each_job_has_its_state(folder):
    found = states(load(folder))
    assert found[f"{RESULTS}/corpus/00.jsonl.zst"] == "done"
    assert found[f"{RESULTS}/index/ivf/shards/00.faiss"] == "done"
    assert found[evaluation("pile_enron")] == "done"
    assert found[evaluation("pile_github")] == "running"
    assert found[evaluation("pile_europarl")] == "queued"
    assert found[evaluation("pile_books3")] == "interrupted"
    assert found[evaluation("pile_arxiv")] == "failed"
    assert found[evaluation("pile_nih-exporter")] == "stale"
    assert found[evaluation("pile_wikipedia")] == "waiting"


def test_a_local_process_is_a_running_job(folder):
    sleep = [sys.executable, "-c", "import time; time.sleep(60)", "-m", "tttnn", "evaluate_part"]
    process = subprocess.Popen([*sleep, "--output", evaluation("pile_books3")], cwd=folder)
    try:
        assert states(load(folder))[evaluation("pile_books3")] == "running"
    finally:
        process.kill()
        process.wait()
    assert states(load(folder))[evaluation("pile_books3")] == "interrupted"


def test_the_input_of_a_process_is_not_at_work(folder):
    sleep = [sys.executable, "-c", "import time; time.sleep(60)", "-m", "tttnn", "chunk_shard"]
    shard = f"{RESULTS}/corpus/00.jsonl.zst"
    process = subprocess.Popen([*sleep, "--documents", shard], cwd=folder)
    try:
        assert states(load(folder))[shard] == "done"
    finally:
        process.kill()
        process.wait()


def test_without_slurm_s_answer_its_jobs_are_not_called_running(folder):
    (folder / "bin/squeue").write_text("#!/bin/sh\necho no route >&2\nexit 1\n")
    run = load(folder)
    assert states(run)[evaluation("pile_github")] == "interrupted"
    assert any("no route" in line for line in lines(run, time.time()))


def test_a_failed_job_that_runs_again_is_running(folder):
    log = folder / ".snakemake/log/2026-01-01T000000.snakemake.log"
    log.write_text(LOG.replace("pile_arxiv", "pile_github"))
    found = states(load(folder))
    assert found[evaluation("pile_github")] == "running"
    assert found[evaluation("pile_arxiv")] == "waiting"


def test_documents_and_their_rate(folder):
    stage = {stage.rule: stage for stage in stages(load(folder))}
    downloads = stage["download_shard"]
    assert (downloads.documents_done, downloads.documents) == (600, 600)
    assert downloads.rate == 25  # 100 documents in 4 seconds
    assert downloads.remaining == 0
    vectors = stage["embed_chunk"]
    assert (vectors.documents_done, vectors.documents) == (40, 400)
    evaluations = stage["evaluate_part"]
    assert evaluations.documents == 22 * SELECTED
    assert evaluations.documents_done == SELECTED + 2  # one part, and two lines of a journal
    assert evaluations.rate == SELECTED / 20
    # the other 21 parts as slow as the one that is done, less the two documents; one at a time
    assert evaluations.remaining == pytest.approx(20 * (21 - 2 / SELECTED), rel=0.01)


def test_what_it_prints(folder, capsys):
    """Of this run Snakemake itself is asked; nothing is there of what made the evaluations."""
    status("mine")
    printed = capsys.readouterr().out
    assert "Run mine: no Snakemake at work on it" in printed
    name = "evaluate_part small ttt {0} 0  results/mine/logs/evaluate_part/small/ttt/{0}/0.log"
    assert "failed: " + name.format("pile_arxiv") in printed
    assert "interrupted: " + name.format("pile_books3") in printed
    (row,) = (line for line in printed.splitlines() if line.startswith("evaluate_part"))
    assert row.split()[1:9] == ["-", "1", "1", "1", "1", "2", "16", "2/110"]


@pytest.fixture
def at_work(folder) -> Run:
    """The run while this process is its Snakemake, which had nothing when it began."""
    _, listed = asked(settings=SETTINGS)
    write_json(folder / RESULTS / "jobs.json", [job._asdict() for job in listed])
    for file in folder.rglob("*"):
        os.utime(file, (PLANNED, PLANNED))
    now = psutil.Process()
    noted = json.loads((folder / RESULTS / "started.json").read_text())
    noted |= {"process": now.pid, "since": now.create_time()}
    write_json(folder / RESULTS / "started.json", noted)
    os.utime(folder / RESULTS / "jobs.json", (PLANNED + 5, PLANNED + 5))
    return folder


def test_a_run_at_work_is_told_by_what_was_made_since_it_began(at_work, monkeypatch):
    monkeypatch.setattr("tttnn.operations.status.ask", None)  # Snakemake is not asked
    found = states(_started(at_work, None))
    assert found[f"{RESULTS}/corpus/00.jsonl.zst"] == "stale"
    assert found[f"{RESULTS}/index/ivf/merged"] == "stale"
    assert found[f"{RESULTS}/index/ivf/shards/00.faiss"] == "waiting"
    for file in (
        *("corpus/00.jsonl.zst", "corpus/00.rejected.jsonl", "corpus/00.json"),
        *("index/ivf/merged", "index/ivf/shards/00.faiss"),
    ):
        (at_work / RESULTS / file).parent.mkdir(parents=True, exist_ok=True)
        (at_work / RESULTS / file).touch()
    (at_work / RESULTS / "corpus/01.json").touch()  # the first of its three files
    found = states(_started(at_work, None))
    assert found[f"{RESULTS}/corpus/00.jsonl.zst"] == "done"
    assert found[f"{RESULTS}/corpus/01.jsonl.zst"] == "stale"
    assert found[f"{RESULTS}/index/ivf/merged"] == "done"
    assert found[f"{RESULTS}/index/ivf/shards/00.faiss"] == "done"


def test_a_run_at_work_is_watched_until_it_rests(at_work, monkeypatch, capsys):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 2:  # its process is gone
            noted = json.loads((at_work / RESULTS / "started.json").read_text())
            write_json(at_work / RESULTS / "started.json", noted | {"process": 1})
            monkeypatch.setattr("tttnn.operations.status.ask", lambda *_: asked(settings=SETTINGS))

    monkeypatch.setattr(time, "sleep", sleep)
    status(watch=7.0)
    assert slept == [7.0, 7.0]
    out = capsys.readouterr().out
    assert out.count("jobs done") == 3 and "\x1b" not in out  # a file keeps each look
    with pytest.raises(ValueError, match="--watch is 0: give the seconds"):
        status(watch=0)


@pytest.mark.parametrize(("words", "seconds"), [(["--watch"], 10.0), (["--watch", "3"], 3.0)])
def test_a_watch_needs_no_number(at_work, monkeypatch, capsys, words, seconds):
    slept = []

    def sleep(asked_for):
        slept.append(asked_for)
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    main(["status", *words])
    assert slept == [seconds] and capsys.readouterr().out.count("jobs done") == 1


def test_of_a_run_at_rest_no_end_is_expected(folder, at_work, monkeypatch):
    assert "the end expected at" in "\n".join(lines(_started(at_work, None), time.time()))
    for marker in [f for f in (folder / ".snakemake/incomplete").rglob("*") if f.is_file()]:
        marker.write_text('{"external_jobid": null}')  # nobody works on these
    noted = json.loads((at_work / RESULTS / "started.json").read_text())
    write_json(at_work / RESULTS / "started.json", noted | {"process": 1})
    monkeypatch.setattr("tttnn.operations.status.ask", lambda *_: asked(settings=SETTINGS))
    printed = list(lines(_started(at_work, None), time.time()))
    assert not any("expected" in line for line in printed)
    (line,) = (line for line in printed if "jobs done" in line)
    assert "; what is left takes " in line and "nothing works on it" in line
    (row,) = (line for line in printed if line.startswith("evaluate_part"))
    assert row.split()[-1] == "-"


def test_ctrl_c_ends_the_watch(at_work, monkeypatch, capsys):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    status(watch=1.0)
    assert capsys.readouterr().out.count("jobs done") == 1


def test_what_a_run_at_work_has_begun_is_running(at_work):
    marked = evaluation("pile_books3")
    assert states(_started(at_work, None))[marked] == "interrupted"  # by an earlier start
    (marker,) = (
        file
        for file in (at_work / ".snakemake/incomplete").rglob("*")
        if file.is_file() and '"9"' in file.read_text()
    )
    marker.write_text('{"external_jobid": null}')
    assert states(_started(at_work, None))[marked] == "running"


def test_what_ctrl_c_ended_has_not_failed(folder):
    log = folder / ".snakemake/log/2026-01-01T000000.snakemake.log"
    block = LOG[LOG.index("Error in rule") :]
    stopped = "Terminating processes on user request, this might take some time.\n"
    log.write_text(LOG + stopped + block.replace("pile_arxiv", "pile_wikipedia"))
    found = states(load(folder))
    assert found[evaluation("pile_arxiv")] == "failed"  # before
    assert found[evaluation("pile_wikipedia")] == "waiting"


def test_a_run_started_elsewhere_is_named(folder):
    noted = json.loads((folder / RESULTS / "started.json").read_text())
    start = Start(**noted)._replace(host="login7")
    printed = next(lines(load(folder, start=start), time.time()))
    assert printed == "Run mine: last started on login7, process 1 there"


def test_a_run_that_was_never_started_is_an_error(folder):
    with pytest.raises(ValueError, match=r"no folder results/other: .* Valid: mine"):
        status("other")
    (folder / "results/other").mkdir()
    with pytest.raises(ValueError, match="no run other was started"):
        status("other")


def test_a_run_elsewhere_is_asked_for_by_its_path(folder, at_work, monkeypatch, capsys):
    status("mine")
    here = capsys.readouterr().out
    monkeypatch.chdir("/")
    status(folder / RESULTS)
    assert capsys.readouterr().out.splitlines()[0] == here.splitlines()[0]


def test_it_is_quick_to_start():
    """Neither it nor the plan loads what stages need."""
    code = "import sys, tttnn.operations.status; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
    ).stdout.split()
    assert "tttnn.operations.status" in loaded
    assert not {"torch", "transformers", "pandas", "pyarrow", "numpy", "faiss"} & set(loaded)
