"""How far a run is: from the files of the workflow and of Snakemake, whether or not it runs now."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tttnn.config.load import load
from tttnn.config.root import Config
from tttnn.operations.costs import Costs
from tttnn.operations.finished import duration
from tttnn.operations.jobs import EVALUATIONS, Job, ask, kept
from tttnn.operations.leftover import logs, processes, slurm_jobs
from tttnn.operations.plan import used
from tttnn.operations.started import FILE, Start, last
from tttnn.places import project_of, run_folder
from tttnn.reading import read_json
from tttnn.resume import saved
from tttnn.wording import counted

ROW = "{:<19}{:>6}{:>9}{:>8}{:>13}{:>8}{:>7}{:>9}{:>18}{:>12}{:>14}"
ERROR = re.compile(r"^Error in rule (\w+):\n((?:    .*\n)+)", re.M)
OUTPUT = re.compile(r"^    output: (.*)$", re.M)
STOPPED = "Terminating processes on user request"  # Ctrl-C
STATES = ("done", "running", "queued", "interrupted", "failed", "stale", "waiting")
A_DAY = 86400
EVERY = 10.0
"""Seconds between two looks, where --watch has no number."""
DOCUMENTS = {"download_shard", "chunk_shard", "embed_chunk", *EVALUATIONS}


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
    """Outputs whose jobs failed in the latest Snakemake that worked on this run.

    Those that end after Ctrl-C were interrupted.
    """
    for log in reversed(logs(folder)):
        text = log.read_text(encoding="utf-8", errors="replace")
        if re.search(r"^Provided ", text, re.M) and f"results/{run}/" in text:
            before = text.partition(STOPPED)[0]
            blocks = "".join(match[2] for match in ERROR.finditer(before))
            return {name for line in OUTPUT.findall(blocks) for name in line.split(", ")}
    return set()


class Run:
    """A run's jobs with the state of each.

    `listed` are as Snakemake sees them now; or, of a run that is at work, as it saw them when
    `start` began to work on them, at the time `seen` of the file system's clock.
    """

    def __init__(
        self,
        config: Config,
        listed: list[Job],
        folder: Path,
        start: Start | None = None,
        seen: float | None = None,
    ) -> None:
        self.config, self.jobs, self.folder, self.start = config, listed, folder, start
        self.costs = Costs(config)
        self.notes: list[str] = []
        self._seen = seen
        self.at_work = start if start is not None and start.works_in(folder) else None
        self._markers = _markers(folder)
        self._failed = _failed_outputs(folder, config.run)
        self._local = {word for process in processes(folder) for word in process.command}
        try:
            self._slurm = {job.number: job.state for job in slurm_jobs(folder)}
        except OSError as error:
            self._slurm = {}
            self.notes.append(f"{error}; jobs that run there count as interrupted")
        self.states = [self._state(job) for job in self.jobs]

    def _marker(self, job: Job) -> Marker | None:
        """Snakemake's, if it has one for this job."""
        return next((self._markers[o] for o in job.outputs if o in self._markers), None)

    def _is_new(self, file: str | None) -> bool:
        """Whether a file was written since the jobs were listed."""
        if file is None or self._seen is None:  # a job without that file, or jobs listed now
            return False
        try:
            return (self.folder / file).stat().st_mtime >= self._seen
        except OSError:  # not there
            return False

    def _is_made(self, job: Job) -> bool:
        # a benchmark is written at the end, and stays when temporary outputs are gone
        return not job.needed or self._is_new(job.benchmark) or all(map(self._is_new, job.outputs))

    def _state(self, job: Job) -> str:
        marker, made = self._marker(job), self._is_made(job)
        # what a process names may be its input, which is whole and nobody's work
        if self._local.intersection(job.outputs) and (marker or not made):
            return "running"
        if marker and marker.slurm_job in self._slurm:
            return "queued" if self._slurm[marker.slurm_job] == "PENDING" else "running"
        if marker:
            under_way = self.at_work is not None and marker.since >= self.at_work.since
            return "running" if under_way else "interrupted"
        if made:
            return "done"
        if self._failed.intersection(job.outputs):
            return "failed"
        there = all((self.folder / output).exists() for output in job.outputs)
        return "stale" if there else "waiting"

    def _shard_documents(self, shard: str) -> float:
        manifest = self.folder / f"results/{self.config.run}/corpus/{shard}.json"
        if manifest.is_file():
            return json.loads(manifest.read_text(encoding="utf-8"))["documents"]
        return self.costs.documents(shard)

    def documents(self, job: Job) -> float:
        """Of a job of a rule in `DOCUMENTS`: known once there are manifests, estimated before."""
        if job.rule in EVALUATIONS:
            task, part = job.wildcards["task"], int(job.wildcards["part"])
            selection = self.folder / f"results/{self.config.run}/queries/test/selection.json"
            parts = len(self.config.parts(job.wildcards["method"], task))
            if not selection.is_file():
                return self.costs.selected(task) / parts
            selected = json.loads(selection.read_text(encoding="utf-8"))["tasks"][task]["selected"]
            return len(range(part, selected, parts))
        documents = self._shard_documents(job.wildcards["shard"])
        if job.rule == "embed_chunk":
            return documents / self.config.chunk.chunks_per_shard
        return documents


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
    grouped: dict[str, list[tuple[Job, str]]] = {}
    for job, state in zip(run.jobs, run.states, strict=True):
        grouped.setdefault(job.rule, []).append((job, state))
    busy = max(1, run.states.count("running"))
    for rule, members in grouped.items():
        counts = Counter(state for _, state in members)
        spent = expected = finished = left = done = 0.0
        counted = rule in DOCUMENTS
        for job, state in members:
            seconds = run.costs.of(rule, job.wildcards).seconds
            total = run.documents(job) if counted else 1.0
            if state == "done":
                benchmark = used(job, run.folder)
                if benchmark:
                    spent, expected = spent + benchmark.wall, expected + seconds
                    finished += total
                part = total
            else:
                part = saved(run.folder / job.outputs[0]) if counted else 0.0
                left += seconds * (1 - min(1.0, part / total if total else 1.0))
            done += part
        scale = spent / expected if expected else 1.0
        yield Stage(
            rule,
            counts,
            sum(run.documents(job) for job, _ in members) if counted else None,
            done if counted else None,
            finished / spent if counted and spent else None,
            left * scale / max(1, counts["running"] or busy),
        )


def _clock(seconds: float, now: float) -> str:
    if not seconds:
        return "-"
    end = datetime.fromtimestamp(now + seconds)
    return f"{end:%H:%M}" if seconds < 86400 else f"{end:%d %b %H:%M}"


def _who(run: Run) -> str:
    start = run.start
    if run.at_work is not None:
        return f"process {run.at_work.process}"
    if start is not None and not start.is_here:
        return f"last started on {start.host}, process {start.process} there"
    return "no Snakemake at work on it"


def _rest(seconds: float, now: float, is_idle: bool) -> str:
    """How a line about what is done goes on: about what is left, of one job at a time or as now."""
    if not seconds:
        return "."
    if is_idle:
        return (
            f"; what is left takes {duration(seconds)}, one job at a time, and nothing works on "
            "it: the same command goes on (`tttnn recover` prints it)"
        )
    return f", the end expected at {_clock(seconds, now)} with as many jobs at once as now"


def lines(run: Run, now: float) -> Iterator[str]:
    """The report's lines."""
    yield f"Run {run.config.run}: {_who(run)}"
    yield from run.notes
    yield ""
    yield ROW.format("rule", *STATES, "documents", "per second", "end")
    total = 0.0
    is_idle = run.at_work is None and "running" not in run.states and "queued" not in run.states
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
            "-" if is_idle else _clock(stage.remaining and total, now),
        )
    yield ""
    yield f"{run.states.count('done')} of {counted(len(run.jobs), 'job')} done" + _rest(
        total, now, is_idle
    )
    for job, state in zip(run.jobs, run.states, strict=True):
        if state in ("failed", "interrupted"):
            yield f"{state}: {' '.join([job.rule, *job.wildcards.values()])}  {job.log or ''}"


def recorded(start: Start, folder: Path) -> Run:
    """A run as its files have it: with the jobs that its last start wrote down."""
    results = folder / "results" / start.run
    listing, config = results / "jobs.json", load(read_json(results / "config.json"))
    return Run(config, kept(listing), folder, start, listing.stat().st_mtime)


def _started(folder: Path, name: str | None) -> Run:
    """A run that was started in `folder`: as its jobs stand in its files while it is at work."""
    start = last(folder, name)
    if start is None:
        raise ValueError(
            f"no run{f' {name}' if name else ''} was started in {folder}: results/<run>/{FILE} is "
            "missing (or give --configfile as for Snakemake)"
        )
    if start.works_in(folder):
        return recorded(start, folder)
    own = Path(start.snakefile or "")
    # a folder that was moved has another one, where Snakemake finds it
    read = own if own.is_file() else None
    config, listed = ask(list(map(Path, start.configfiles)), start.settings, read, folder)
    if config.run != start.run:
        raise ValueError(
            f"what run {start.run} was started with is the configuration of run {config.run} now: "
            "give --configfile and --config as for Snakemake"
        )
    return Run(config, listed, folder, start)


def _found(
    run: Path | None,
    configfile: list[Path] | None,
    config: list[str] | None,
    snakefile: Path | None,
) -> Run:
    if configfile or config or snakefile:
        folder = Path.cwd()
        chosen, listed = ask(configfile or [], config or [], snakefile)
        return Run(chosen, listed, folder, last(folder, chosen.run))
    if run is None:
        return _started(Path.cwd(), None)
    results = run_folder(run)
    return _started(project_of(results), results.name)


def status(
    run: Path | None = None,
    configfile: list[Path] | None = None,
    config: list[str] | None = None,
    snakefile: Path | None = None,
    watch: float | bool | None = None,
) -> None:
    """Tell how far a run is, from any terminal, in the folder in which Snakemake runs or ran.

    --run                   its name in this folder, or the path of its results/NAME; without: the
                            one that was started last
    --configfile, --config, --snakefile  as Snakemake's, for a run that was never started from here
    --watch                 look again every so many seconds, 10 without a number, until Ctrl-C or
                            the run is at rest

    Jobs are done, running, queued in SLURM, interrupted (killed; the next run goes on with them),
    failed, stale (their outputs are there, and Snakemake would make them again) or waiting.
    `per second` is what the finished jobs took, times the jobs that run now. While a run is at
    work, its jobs are those that it started with; otherwise Snakemake is asked, which takes
    seconds.
    """
    watch = EVERY if watch is True else watch
    if watch is not None and not 0 < watch <= A_DAY:
        raise ValueError(
            f"--watch is {watch}: give the seconds between two looks, more than 0, {A_DAY} at most"
        )
    try:
        while True:
            found = _found(run, configfile, config, snakefile)
            told = "\n".join(lines(found, time.time()))
            # a terminal shows the latest look alone; a file keeps each
            clear = "\x1b[H\x1b[2J" if watch is not None and sys.stdout.isatty() else ""
            print(clear + told, flush=True)
            if watch is None or found.at_work is None:
                return
            time.sleep(watch)
    except KeyboardInterrupt:
        if watch is None:
            raise
