"""The cost before the work: jobs, disk, memory and hours of each rule; and what was used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tttnn.config.load import load
from tttnn.config.root import Config
from tttnn.needs.need import Need
from tttnn.operations.afford import affordable, said
from tttnn.operations.costs import Costs
from tttnn.operations.embedders import representations
from tttnn.operations.jobs import EVALUATIONS, Job, ask, kept
from tttnn.reading import read_json
from tttnn.spent import GPU_RULES, Used, of_job

ROW = "{:<28}{:>7}{:>10}{:>11}{:>11}{:>11}{:>6}  {}"
AGAINST = "{:<20}{:>6}{:>13}{:>9}{:>7}{:>16}{:>9}{:>7}"
SAMPLED_SECONDS = 2.0  # Snakemake's benchmark of a shorter job may have missed its memory


def _size(value: float) -> str:
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            return f"{value:.3g} {unit}"
    raise AssertionError


def _grouped(listed: list[Job], costs: Costs, name: Callable[[Job], str]) -> dict[str, list[Need]]:
    grouped: dict[str, list[Need]] = {}
    for job in listed:
        grouped.setdefault(name(job), []).append(costs.of(job.rule, job.wildcards))
    return grouped


def _row(name: str, estimates: list[Need], kind: str) -> str:
    return ROW.format(
        name,
        len(estimates),
        _size(sum(e.disk for e in estimates)),
        _size(max(e.memory for e in estimates)),
        _size(max(e.device for e in estimates)) if kind == "GPU" else "-",
        f"{sum(e.seconds for e in estimates) / 3600:.3g}",
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
            f"{asked.num_neighbors} neighbours fit, by the mean lengths: "
            + ", ".join(f"{task} {count}" for task, count in counts.items())
        )


def lines(config: Config, listed: list[Job]) -> Iterator[str]:
    """The plan's lines: a rule each; then the evaluations, a model and method each."""
    costs = Costs(config)
    yield f"Run {config.run}. Sizes: {costs.known()}."
    if costs.afforded is not None:
        yield from said(costs.afforded)
    yield ""
    yield ROW.format("rule", "jobs", "disk", "memory", "on the GPU", "hours", "of", "from")
    hours = {"CPU": 0.0, "GPU": 0.0}
    disk = 0.0
    for rule, estimates in _grouped(listed, costs, lambda job: job.rule).items():
        kind = "GPU" if config.environment == "gpu" and rule in GPU_RULES else "CPU"
        hours[kind] += sum(e.seconds for e in estimates) / 3600
        disk += sum(e.disk for e in estimates)
        yield _row(rule, estimates, kind)
    yield ""
    yield (
        f"In all {len(listed)} jobs, {hours['CPU']:.3g} CPU hours, {hours['GPU']:.3g} GPU hours, "
        f"{_size(disk)}."
    )
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
    config: Config, listed: list[Job]
) -> Iterator[tuple[str, int, float, float, float, float]]:
    """For each rule of a finished run: jobs; seconds estimated, used; bytes estimated, used.

    The benchmarks of its jobs are where these say, from the working directory. Seconds are a
    processor's, summed over the jobs; bytes are the largest job's, 0 for rules whose jobs are so
    short that Snakemake's look at them every few seconds may have missed it.
    """
    costs = Costs(config)
    grouped: dict[str, list[tuple[Need, Used]]] = {}
    for job in listed:
        spent = used(job)
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


def _against(config: Config, listed: list[Job]) -> Iterator[str]:
    yield AGAINST.format(
        "rule", "jobs", "s expected", "used", "ratio", "MB expected", "used", "ratio"
    )
    for rule, count, expected, spent, memory, resident in compared(config, listed):
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
    against: Path | None = None,
    hours: float | None = None,
) -> None:
    """Print what a run would cost, before it: nothing is read but the configuration.

    --configfile, --config  as Snakemake's: overlays over config.yaml, and single keys
    --against results/RUN   what that run was expected to use, beside what it used
    --hours 10              how many documents can be evaluated in so many hours of a processor, or
                            of a GPU: the `select` that `select: {hours: 10}` leads to
    """
    if against is not None:
        started_with = read_json(against / "config.json")
        printed = _against(load(started_with), kept(against / "jobs.json"))
    elif hours is not None:
        asked, _ = ask(configfile or [], config or [])
        printed = said(affordable(asked, hours))
    else:
        printed = lines(*ask(configfile or [], config or []))
    for line in printed:
        print(line)
