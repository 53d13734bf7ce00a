"""The line at the end of a run: what was made, where it is, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tttnn.operations.jobs import kept
from tttnn.operations.plan import used
from tttnn.wording import counted


def duration(seconds: float) -> str:
    """In hours and minutes, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _counted(files: Iterable[Path], name: str) -> str:
    """Nothing where there are none."""
    count = sum(1 for _ in files)
    return counted(count, name) if count else ""


def finished(run: str, seconds: float) -> str:
    """Of the run in the working directory, whose last start took so many seconds.

    The processor's hours are of all its jobs, those of earlier starts too, by Snakemake's
    benchmark files, which hold a job's last run: of one that was given more documents, these alone.
    """
    results, figures = Path("results") / run, Path("figures") / run
    spent = [found for job in kept(results / "jobs.json") if (found := used(job)) is not None]
    counts = {
        results / "tables": _counted((results / "tables").glob("*.csv"), "table"),
        figures: _counted(figures.glob("*.svg"), "figure"),
    }
    made = [f"{count} in {folder}" for folder, count in counts.items() if count]
    made = made or [f"results in {results}"]
    report = results / "report.html"
    cost = duration(sum(one.seconds for one in spent))
    jobs = counted(len(spent), "job")
    return (
        f"run {run}: {', '.join(made)}; {duration(seconds)} this time, {cost} of a processor for "
        f"the last runs of its {jobs}" + (f"; the report: {report}" if report.is_file() else "")
    )
