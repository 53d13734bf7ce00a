"""A figure's heading: the claim that it shows, as this run bears it out, or its caption's start."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from tttnn.findings.appendix import verdict
from tttnn.findings.claim import Claim
from tttnn.findings.claims import CLAIMS
from tttnn.findings.evidence import Evidence, Measured
from tttnn.records.runs import Run

CLAIMED = {
    "curves": "Training on the nearest neighbours lowers bits per byte.",
    "before_after": "More than half of the tasks gain.",
    "models": "Training closes a quarter of the gap between a small model and a larger one.",
    "control": "The same number of random neighbours gives less than half of the nearest ones' "
    "gain.",
    "clean": "Documents without a near-copy gain as much as all do, to within two points.",
    "overlap": "Documents that share more words with a neighbour gain more.",
    "methods": "Neighbours in the context help less than training on them.",
    "positions": "Long documents: neighbours of each window are better than one search.",
    "break_even": "Experts merged for a document, without training at test time, are better than "
    "training on 20 neighbours.",
}
"""By figure, the sentence of a claim of `tttnn.findings`."""

MINUS, PER_CENT = re.compile(r"(?<!\w)-(?=\d)"), re.compile(r"(?<=\d) ?%")


class Heading(NamedTuple):
    """A sentence, and the numbers that it rests on: a line each."""

    sentence: str
    numbers: list[str]


def printed(text: str) -> str:
    """Numbers as in print: a minus, and a space before the per cent."""
    return PER_CENT.sub("\u00a0%", MINUS.sub("\u2212", text))


def _line(measured: Measured, claim: Claim) -> str:
    """What was measured, with its interval and what follows."""
    number = claim.unit.format(measured.value)
    if not measured.low == measured.value == measured.high and measured.low == measured.low:
        low, high = (claim.unit.format(bound) for bound in (measured.low, measured.high))
        number += f" [{low}, {high}]"
    says = verdict(measured, claim.side, claim.threshold)
    return printed(f"{number}, {says} ({measured.label})")


def _of_claim(claim: Claim, run: Evidence) -> Heading | None:
    found = [one for one in claim.measure(run) if one.value == one.value]
    if not found:
        return None
    says = {verdict(one, claim.side, claim.threshold) for one in found}
    before = "" if says == {"holds"} else "Open in this run: "
    if says == {"does not hold"}:
        before = "Not in this run: "
    quantity = claim.quantity.replace("`", "")
    numbers = [f"{quantity[0].upper()}{quantity[1:]}:"]
    return Heading(f"{before}{claim.sentence}", [*numbers, *(_line(o, claim) for o in found)])


def _recall(run: Run) -> str | None:
    """Of the index that finds least, at the largest k."""
    table = run.table("recall")
    last = table[table["k"] == table["k"].max()]
    least = last.loc[last["recall"].idxmin()]
    return (
        f"{least['index']} finds {100 * least.recall:.1f}\u00a0% of the {least.k} nearest passages."
    )


def _cost(run: Run) -> str | None:
    """Of the first method with each model: medians over documents, then over tasks."""
    table = run.table("costs")
    rows = table[(table["method"] == table["method"].iloc[0]) & table["seconds_p50"].notna()]
    each: pd.Series = rows.groupby("model", sort=False)["seconds_p50"].median()
    words = ", ".join(f"{seconds:.2g} s ({model})" for model, seconds in each.items())
    return f"To train on a neighbour takes {words}, in the median." if words else None


def _distances(run: Run) -> str | None:
    """Of the whole of the first index: means over the test queries."""
    table = run.table("distances")
    rows = table[table["candidates"] == table["candidates"].iloc[0]]
    rows = rows[rows["share"] == rows["share"].max()].sort_values("rank")
    first, last = rows.iloc[0], rows.iloc[-1]
    return (
        f"The nearest passage is at a distance of {first['mean']:.3g} in the mean, the "
        f"{last['rank']}th at {last['mean']:.3g}."
    )


SAID: dict[str, Callable[[Run], str | None]] = {
    "recall": _recall,
    "cost": _cost,
    "distance_by_rank": _distances,
}
"""By figure, what this run's tables say."""


def heading(name: str, run: Run, evidence: Evidence | None) -> Heading | None:
    """What a figure shows of this run; None where neither a claim nor its tables say it."""
    if name in CLAIMED and evidence is not None:
        claims = [claim for claims in CLAIMS.values() for claim in claims]
        (claim,) = (claim for claim in claims if claim.sentence == CLAIMED[name])
        return _of_claim(claim, evidence)
    if name in SAID and (sentence := SAID[name](run)):
        return Heading(sentence, [])
    return None
