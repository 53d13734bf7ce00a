"""The page of one screen: what holds with pretrained models, what does not, what is open."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from tttnn.files import replacing
from tttnn.findings import appendix
from tttnn.findings.appendix import Verdict, bounds, markdown, span, verdict
from tttnn.findings.claim import Claim
from tttnn.findings.claims import CLAIMS
from tttnn.findings.evidence import Evidence, Measured
from tttnn.places import run_or_record
from tttnn.records.runs import Record, Run, open_all

APPENDIX = Path("findings/appendix.md")
HEADINGS: dict[str, tuple[Verdict, ...]] = {
    "Holds": ("holds",),
    "Does not hold": ("does not hold",),
    "Open": ("undecided", "no interval", "not measured"),
}
"""A claim stands below the first of these that all of its verdicts belong to, else it is open."""


def pretrained(run: Evidence) -> list[str]:
    """The run's models that it did not train itself."""
    return [model for model in run.models if run.config["models"][model]["kind"] != "train"]


def _said(run: Evidence, measured: Measured, claim: Claim) -> str:
    """A number with its interval, of which record, model and number of neighbours."""
    if math.isnan(measured.value):
        return f"no share of what is not certainly above 0 (`{run.name}`: {measured.label})"
    number = f"**{claim.unit.format(measured.value)}**"
    if not measured.low == measured.value == measured.high:
        number += f" {bounds(measured.low, measured.high, claim.unit)}"
    return f"{number} (`{run.name}`: {measured.label})"


def _judged(claim: Claim, runs: list[Evidence]) -> tuple[str, str] | None:
    """The heading that a claim stands below, and its line; None where nothing was measured."""
    found = [(run, measured) for run in runs for measured in claim.measure(run)]
    if not found:
        return None
    verdicts = {verdict(measured, claim.side, claim.threshold) for _, measured in found}
    fitting = (heading for heading, words in HEADINGS.items() if verdicts <= set(words))
    numbers = "; ".join(_said(run, measured, claim) for run, measured in found)
    return next(fitting, "Open"), f"- {claim.sentence} {numbers}"


def _made_on(run: Run) -> tuple[str, str]:
    """Machine and date, as the record says them."""
    devices = dict.fromkeys(made["device"] for made in run.made_with)
    machine = ", ".join(devices) or "-"
    if not isinstance(run, Record):
        return machine, "not recorded"
    if all(device.startswith("cpu") for device in devices):
        machine += f", {run.manifest.machine.cores} cores"
    return machine, run.manifest.evaluated or run.manifest.recorded


def _name(run: Evidence, output: Path) -> str:
    """The run's name, a link where it is a record below the pages' folder."""
    folder = Path(os.path.relpath(run.run.folder.resolve(), output.resolve()))
    inside = isinstance(run.run, Record) and ".." not in folder.parts
    return f"[{run.name}]({folder.as_posix()})" if inside else run.name


def _records(runs: list[Evidence], output: Path) -> Iterator[str]:
    rows = []
    for run in runs:
        there = run.tables["tasks"].query("status == 'evaluated'")["selected"]
        names = pretrained(run)
        others = len(run.models) - len(names)
        models = [*names, *([f"{others} trained for minutes"] if others else [])]
        documents = f"{there.sum()} ({span(there)} each of {len(there)} tasks)"
        rows.append([_name(run, output), ", ".join(models), documents, *_made_on(run.run)])
    yield from markdown(["record", "models", "documents", "machine", "date"], rows)


def lines(runs: list[Evidence], output: Path, command: str) -> Iterator[str]:
    """The page's lines; `output` is its folder."""
    some = [run.only(names) for run in runs if (names := pretrained(run))]
    below: dict[str, list[str]] = {heading: [] for heading in HEADINGS}
    unknown = []
    for claim in [claim for claims in CLAIMS.values() for claim in claims if claim.headline]:
        if judged := _judged(claim, some):
            below[judged[0]].append(judged[1])
        else:
            unknown.append(claim.sentence)
    if unknown:
        below["Open"].append(f"- Not measured in any record: {' '.join(unknown)}")
    yield "# What holds with pretrained models, what does not, what is open"
    yield ""
    yield f"Made by `{command}` from recorded runs. A claim"
    yield "holds, or does not, where the whole interval (paired bootstrap over documents) lies on"
    yield "one side of its threshold. Changes and differences are of bits per byte: below 0 is"
    yield f"better. How each is measured, and all other claims: [appendix]({APPENDIX.as_posix()})."
    yield ""
    yield from _records(runs, output)
    if not some:
        yield "No record has a pretrained model yet, so everything is open."
        yield ""
    for heading, said in below.items():
        if said:
            yield f"## {heading}"
            yield ""
            yield from said
            yield ""


def _write(path: Path, page: Iterable[str]) -> None:
    with replacing(path) as beside:
        beside.write_text("\n".join(page).rstrip() + "\n", encoding="utf-8")


def findings(runs: list[Path], /, output: Path) -> None:
    """Write which claims hold in these runs' numbers, by how much, and of which run.

    RUNS      records (`tttnn record`), folders of records, or runs: their names in this folder, or
              the paths of their results/NAME
    --output  the folder for the pages

    In that folder, `findings.md` is a screen of what holds with models that the runs did not train
    themselves, and `findings/appendix.md` has every claim with all that was measured. A claim is a
    quantity, a side and a threshold (`tttnn.findings.claims`): it holds if the interval lies wholly
    on that side, does not hold if wholly on the other, and is undecided if the interval contains
    the threshold.

    Raises `ValueError` where a file of a run is missing or damaged, and where a run is given
    twice.
    """
    found = [Evidence(run) for run in open_all(list(map(run_or_record, runs)))]
    command = shlex.join(["tttnn", "findings", *map(str, runs), "--output", str(output)])
    _write(output / "findings.md", lines(found, output, command))
    _write(output / APPENDIX, appendix.lines(found, command))
    names = ", ".join(run.name for run in found)
    print(f"{output / 'findings.md'} and {output / APPENDIX}: of {names}")
