"""The cost before the work: jobs, disk, memory and hours of each rule; and what was used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tttnn.config.load import load
from tttnn.config.root import Config
from tttnn.needs.need import Need
from tttnn.operations.afford import affordable, said
from tttnn.operations.costs import Costs
from tttnn.operations.embedders import representations
from tttnn.operations.jobs import EVALUATIONS, Job, ask, kept
from tttnn.places import project_of, run_folder
from tttnn.reading import read_json
from tttnn.spent import GPU_RULES, Used, of_job
from tttnn.wording import counted

HEADS = ("rule", "jobs", "to do", "disk", "memory", "GPU memory", "hours", "of", "from")
ROW = "{:<28}{:>7}{:>7}{:>10}{:>11}{:>13}{:>10}{:>6}  {}"
AGAINST = "{:<20}{:>6}{:>13}{:>9}{:>7}{:>16}{:>9}{:>7}"
SAMPLED_SECONDS = 2.0  # Snakemake's benchmark of a shorter job may have missed its memory


def _size(value: float) -> str:
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            return f"{value:.3g} {unit}"
    raise AssertionError


class Estimate(NamedTuple):
    """What jobs need, done or not, and how many of them Snakemake would run now."""

    needs: list[Need]
    to_do: list[Need]


def _grouped(listed: list[Job], costs: Costs, name: Callable[[Job], str]) -> dict[str, Estimate]:
    grouped: dict[str, Estimate] = {}
    for job in listed:
        own = grouped.setdefault(name(job), Estimate([], []))
        need = costs.of(job.rule, job.wildcards)
        own.needs.append(need)
        if job.needed:
            own.to_do.append(need)
    return grouped


def _hours(estimates: list[Need]) -> float:
    return sum(e.seconds for e in estimates) / 3600


def _row(name: str, estimate: Estimate, kind: str) -> str:
    estimates = estimate.needs
    return ROW.format(
        name,
        len(estimates),
        len(estimate.to_do),
        _size(sum(e.disk for e in estimates)),
        _size(max(e.memory for e in estimates)),
        _size(max(e.device for e in estimates)) if kind == "GPU" else "-",
        f"{_hours(estimates):.3g}",
        kind,
        ", ".join(dict.fromkeys(e.source for e in estimates)),
    )


def _cell(job: Job) -> str:
    return f"{job.wildcards['model']} {job.wildcards['method']}"


def _budgets(config: Config, listed: list[Job], costs: Costs) -> Iterator[str]:
    """For each model and method with a budget, how many neighbours fit, by task."""
    fits: dict[tuple[str, str], dict[str, int]] = {}
    for job in listed:
        model, method, task = (job.wildcards[name] for name in ("model", "method", "task"))
        if config.methods[method].time_budget is not None:
            fits.setdefault((model, method), {})[task] = costs.fit(job.wildcards)
    for (model, method), counts in fits.items():
        asked = config.methods[method]
        assert asked.time_budget is not None  # it was looked at above
        yield (
            f"{model} {method}: {asked.time_budget.seconds:g} s a document; of "
            f"{counted(asked.num_neighbors, 'neighbour')} fit, by the mean lengths: "
            + ", ".join(f"{task} {count}" for task, count in counts.items())
        )


def lines(config: Config, listed: list[Job]) -> Iterator[str]:
    """The plan's lines: a rule each; then the evaluations, a model and method each."""
    costs = Costs(config)
    yield f"Run {config.run}. Sizes: {costs.known()}."
    if costs.afforded is not None:
        yield from said(costs.afforded, config.environment)
    yield from costs.without_documents()
    yield ""
    yield ROW.format(*HEADS)
    hours, left = {"CPU": 0.0, "GPU": 0.0}, {"CPU": 0.0, "GPU": 0.0}
    disk = 0.0
    for rule, estimate in _grouped(listed, costs, lambda job: job.rule).items():
        kind = "GPU" if config.environment == "gpu" and rule in GPU_RULES else "CPU"
        hours[kind] += _hours(estimate.needs)
        left[kind] += _hours(estimate.to_do)
        disk += sum(e.disk for e in estimate.needs)
        yield _row(rule, estimate, kind)
    yield ""
    yield (
        f"In all {counted(len(listed), 'job')}, {hours['CPU']:.3g} CPU hours, {hours['GPU']:.3g} "
        f"GPU hours, {_size(disk)}."
    )
    if to_do := sum(job.needed for job in listed):
        yield (
            f"Of these {counted(len(listed) - to_do, 'job')} done, {to_do:,} to do: "
            f"{left['CPU']:.3g} CPU hours, {left['GPU']:.3g} GPU hours."
        )
    else:
        yield "All of them are done."
    yield "CPU hours are of a job, whatever its threads; memory is the largest job's."
    yield ""
    yield from representations(
        config, [job.wildcards["embedder"] for job in listed if "embedder" in job.wildcards]
    )
    yield ""
    evaluations = [job for job in listed if job.rule in EVALUATIONS]
    if budgets := list(_budgets(config, evaluations, costs)):
        yield from [*budgets, ""]
    kind = "GPU" if config.environment == "gpu" else "CPU"
    for name, some in _grouped(evaluations, costs, _cell).items():
        yield _row(name, some, kind)


def used(job: Job, folder: Path = Path()) -> Used | None:
    """What a job used, by its benchmark file, below `folder`; None where there is none."""
    if job.benchmark is None:
        return None
    return of_job(folder / job.benchmark, folder / job.log if job.log else None)


def compared(
    config: Config, listed: list[Job], folder: Path = Path()
) -> Iterator[tuple[str, int, float, float, float, float]]:
    """For each rule of a finished run: jobs; seconds estimated, used; bytes estimated, used.

    The benchmarks of its jobs are where these say, from `folder`. Seconds are a
    processor's, summed over the jobs; bytes are the largest job's, 0 for rules whose jobs are so
    short that Snakemake's look at them every few seconds may have missed it.
    """
    costs = Costs(config)
    grouped: dict[str, list[tuple[Need, Used]]] = {}
    for job in listed:
        spent = used(job, folder)
        if spent is not None:
            estimate = costs.of(job.rule, job.wildcards)
            grouped.setdefault(job.rule, []).append((estimate, spent))
    for rule, pairs in grouped.items():
        sampled = [(e, u) for e, u in pairs if u.seconds >= SAMPLED_SECONDS]
        yield (
            rule,
            len(pairs),
            sum(e.seconds for e, _ in pairs),
            sum(u.seconds for _, u in pairs),
            max((e.memory for e, _ in sampled), default=0.0),
            max((u.memory for _, u in sampled), default=0.0),
        )


def _against(config: Config, listed: list[Job], folder: Path) -> Iterator[str]:
    yield AGAINST.format(
        "rule", "jobs", "s expected", "used", "ratio", "MB expected", "used", "ratio"
    )
    for rule, count, expected, spent, memory, resident in compared(config, listed, folder):
        if not resident:
            memory = 0.0
        yield AGAINST.format(
            rule,
            count,
            f"{expected:.0f}",
            f"{spent:.0f}",
            f"{expected / spent:.2f}" if spent else "-",
            f"{memory / 1e6:.0f}" if resident else "-",
            f"{resident / 1e6:.0f}" if resident else "-",
            f"{memory / resident:.2f}" if resident else "-",
        )


def plan(
    configfile: list[Path] | None = None,
    config: list[str] | None = None,
    snakefile: Path | None = None,
    against: Path | None = None,
    hours: float | None = None,
) -> None:
    """Print what a run would cost, before it, and how much of it is done already.

    --configfile, --config  as Snakemake's: overlays over config.yaml, and single keys
    --snakefile             as Snakemake's; without: that of the project in this folder, if there is
                            one, else this workflow's own
    --against               a run, by its name in this folder or the path of its results/NAME: what
                            it was expected to use, beside what it used
    --hours                 how many documents can be evaluated in so many hours of a processor, or
                            of a GPU: the `select` that `select: {hours: 10}` leads to

    Disk, memory and hours are of all jobs, those that are done already too.
    """
    if against is not None:
        results = run_folder(against)
        started_with = load(read_json(results / "config.json"))
        printed = _against(started_with, kept(results / "jobs.json"), project_of(results))
    elif hours is not None:
        asked, _ = ask(configfile or [], config or [], snakefile)
        printed = said(affordable(asked, hours), asked.environment)
    else:
        printed = lines(*ask(configfile or [], config or [], snakefile))
    for line in printed:
        print(line)
