"""How far a run is: from the files of the workflow and of Snakemake, whether or not it runs now."""

from __future__ import annotations

import base64
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tttnn.config.load import load
from tttnn.config.merge import read
from tttnn.config.root import Config
from tttnn.operations.costs import Costs
from tttnn.operations.jobs import Job, jobs
from tttnn.operations.leftover import logs, processes, slurm_jobs
from tttnn.operations.plan import used

ROW = "{:<19}{:>6}{:>9}{:>8}{:>13}{:>8}{:>9}{:>18}{:>12}{:>14}"
ERROR = re.compile(r"^Error in rule (\w+):\n((?:    .*\n)+)", re.M)
OUTPUT = re.compile(r"^    output: (.*)$", re.M)
STATES = ("done", "running", "queued", "interrupted", "failed", "waiting")
DOCUMENTS = {"download_shard", "chunk_shard", "embed_chunk", "evaluate_part"}


class Marker(NamedTuple):
    """Snakemake's note that an output is being made: since when, and by which SLURM job if any."""

    since: float
    slurm_job: str | None


def _markers(folder: Path) -> dict[str, Marker]:
    """By output. Snakemake names these files by the output's path in base64, cut into folders."""
    root = folder / ".snakemake/incomplete"
    markers = {}
    for file in root.rglob("*"):
        if file.is_file():
            parts = file.relative_to(root).parts
            name = "".join(part.removeprefix("@") for part in parts[:-1]) + parts[-1]
            try:
                output = base64.urlsafe_b64decode(name).decode()
                content = json.loads(file.read_text(encoding="utf-8") or "{}")
                since = file.stat().st_mtime
            except (OSError, ValueError):  # removed, or written, just now
                continue
            markers[output] = Marker(since, content.get("external_jobid"))
    return markers


def _failed_outputs(folder: Path, run: str) -> set[str]:
    """Outputs whose jobs failed in the latest Snakemake that worked on this run."""
    for log in reversed(logs(folder)):
        text = log.read_text(encoding="utf-8", errors="replace")
        if re.search(r"^Provided ", text, re.M) and f"results/{run}/" in text:
            blocks = "".join(match[2] for match in ERROR.finditer(text))
            return {name for line in OUTPUT.findall(blocks) for name in line.split(", ")}
    return set()


class Run:
    """A run's jobs with the state of each."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.costs = Costs(config)
        self.jobs = jobs(config)
        self.notes: list[str] = []
        self._markers = _markers(folder)
        self._failed = _failed_outputs(folder, config.run)
        local = processes(folder)
        self._local = {word for process in local for word in process.command}
        self.snakemake = [
            p.pid for p in local if p.what == "snakemake" and "--mode" not in p.command
        ]
        try:
            self._slurm = {job.number: job.state for job in slurm_jobs(folder)}
        except OSError as error:
            self._slurm = {}
            self.notes.append(f"{error}; jobs that run there count as interrupted")
        self.merged = {job.wildcards[0] for job in self.jobs if self._is_merged(job)}
        self.states = {job: self._state(job) for job in self.jobs}

    def _is_merged(self, job: Job) -> bool:
        return job.rule == "merge_index" and (self.folder / job.outputs[0]).exists()

    def marker(self, job: Job) -> Marker | None:
        """Snakemake's, if it has one for this job."""
        return next((self._markers[o] for o in job.outputs if o in self._markers), None)

    def _state(self, job: Job) -> str:
        marker = self.marker(job)
        # the shards of a merged index are removed
        there = job.rule == "fill_shard_index" and job.wildcards[0] in self.merged
        there = there or all((self.folder / output).exists() for output in job.outputs)
        # what a process names may be its input, which is whole and nobody's work
        if self._local.intersection(job.outputs) and (marker or not there):
            return "running"
        if marker and marker.slurm_job in self._slurm:
            return "queued" if self._slurm[marker.slurm_job] == "PENDING" else "running"
        if there:
            return "interrupted" if marker else "done"
        if self._failed.intersection(job.outputs):
            return "failed"
        return "interrupted" if marker else "waiting"

    def _shard_documents(self, shard: str) -> float:
        manifest = self.folder / f"results/{self.config.run}/corpus/{shard}.json"
        if manifest.is_file():
            return json.loads(manifest.read_text(encoding="utf-8"))["documents"]
        return self.costs.documents(shard)

    def documents(self, job: Job) -> float:
        """Of a job of a rule in `DOCUMENTS`: known once there are manifests, estimated before."""
        if job.rule == "evaluate_part":
            _, method, task, part = job.wildcards
            selection = self.folder / f"results/{self.config.run}/queries/test/selection.json"
            parts = len(self.config.parts(method, task))
            if not selection.is_file():
                return self.costs.selected(task) / parts
            selected = json.loads(selection.read_text(encoding="utf-8"))["tasks"][task]["selected"]
            return len(range(int(part), selected, parts))
        if job.rule == "embed_chunk":
            return self._shard_documents(job.wildcards[1]) / self.config.chunk.chunks_per_shard
        return self._shard_documents(job.wildcards[0])

    def progress(self, job: Job) -> float:
        """Documents that an unfinished job has saved: lines of its journal, or rows."""
        output = self.folder / job.outputs[0]
        journal = output.with_name(f".{output.stem}.journal")
        partial = output.with_name(f".{output.stem}.partial.json")
        if job.rule == "evaluate_part" and journal.is_file():
            return max(0, journal.read_bytes().count(b"\n") - 1)
        if job.rule == "embed_chunk" and partial.is_file():
            return json.loads(partial.read_text(encoding="utf-8"))["done"]
        return 0.0


class Stage(NamedTuple):
    """A rule's jobs together; seconds are a job's, and None where nothing is known yet."""

    rule: str
    counts: Counter[str]
    documents: float | None
    documents_done: float | None
    rate: float | None  # documents a second of one job
    remaining: float  # seconds until its end, with as many jobs at once as now


def stages(run: Run) -> Iterator[Stage]:
    """Every rule's, in the order of the data.

    What remains is the estimated time of the unfinished jobs, times how far the finished ones were
    from their estimates, shared by as many jobs as run now.
    """
    grouped: dict[str, list[Job]] = {}
    for job in run.jobs:
        grouped.setdefault(job.rule, []).append(job)
    busy = max(1, sum(state == "running" for state in run.states.values()))
    for rule, members in grouped.items():
        counts = Counter(run.states[job] for job in members)
        spent = expected = finished = left = saved = 0.0
        counted = rule in DOCUMENTS
        for job in members:
            seconds = run.costs.of(job.rule, job.named).seconds
            total = run.documents(job) if counted else 1.0
            if run.states[job] == "done":
                benchmark = used(run.folder / job.file(run.config.run, "benchmarks", ".tsv"))
                if benchmark:
                    spent, expected = spent + benchmark.wall, expected + seconds
                    finished += total
                saved += total
            else:
                part = run.progress(job)
                saved += part
                left += seconds * (1 - min(1.0, part / total if total else 1.0))
        scale = spent / expected if expected else 1.0
        yield Stage(
            rule,
            counts,
            sum(run.documents(job) for job in members) if counted else None,
            saved if counted else None,
            finished / spent if counted and spent else None,
            left * scale / max(1, counts["running"] or busy),
        )


def _clock(seconds: float, now: float) -> str:
    if not seconds:
        return "-"
    end = datetime.fromtimestamp(now + seconds)
    return f"{end:%H:%M}" if seconds < 86400 else f"{end:%d %b %H:%M}"


def lines(run: Run, now: float) -> Iterator[str]:
    """The report's lines."""
    who = f"process {run.snakemake[0]}" if run.snakemake else "no Snakemake on this machine"
    yield f"Run {run.config.run}: {who}"
    yield from run.notes
    yield ""
    yield ROW.format("rule", *STATES, "documents", "per second", "end")
    total = 0.0
    for stage in stages(run):
        documents = "-"
        if stage.documents is not None:
            documents = f"{stage.documents_done:.0f}/{stage.documents:.0f}"
        rate = "-"
        if stage.rate is not None:
            rate = f"{stage.rate * max(1, stage.counts['running']):.3g}"
        total += stage.remaining
        yield ROW.format(
            stage.rule,
            *(stage.counts[state] or "-" for state in STATES),
            documents,
            rate,
            _clock(stage.remaining and total, now),
        )
    yield ""
    done = sum(state == "done" for state in run.states.values())
    yield f"{done} of {len(run.jobs)} jobs done" + (
        f", the end expected at {_clock(total, now)} with as many jobs at once as now"
        if total
        else "."
    )
    for job, state in run.states.items():
        if state in ("failed", "interrupted"):
            log = job.file(run.config.run, "logs", ".log")
            yield f"{state}: {job.rule} {' '.join(job.wildcards)}  {log}"


def status(
    run: str | None = None, configfile: list[Path] | None = None, config: list[str] | None = None
) -> None:
    """Tell how far a run is, from any terminal, in the folder in which Snakemake runs or ran.

    --run                   its name; without: the one that was started last
    --configfile, --config  as Snakemake's, for a run that was never started from here

    Jobs are done, running, queued in SLURM, interrupted (killed; the next run goes on with them),
    failed or waiting. `per second` is what the finished jobs took, times the jobs that run now.
    """
    folder = Path.cwd()
    if configfile or config:
        chosen = read(configfile or [], config or [])
    else:
        started = list(folder.glob(f"results/{run or '*'}/config.json"))
        if not started:
            raise ValueError(
                f"no run {run or ''} was started in {folder}: results/<run>/config.json is missing "
                "(or give --configfile as for Snakemake)"
            )
        latest = max(started, key=lambda path: path.stat().st_mtime)
        chosen = load(json.loads(latest.read_text(encoding="utf-8")))
    now = time.time()
    for line in lines(Run(chosen, folder), now):
        print(line)
