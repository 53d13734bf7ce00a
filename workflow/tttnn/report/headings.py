"""A figure's heading: the claim that it shows, as this run bears it out, or its caption's start."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from tttnn.findings.appendix import verdict
from tttnn.findings.claim import Claim
from tttnn.findings.claims import CLAIMS
from tttnn.findings.evidence import Evidence, Measured
from tttnn.records.runs import Run
from tttnn.scores.few import FEW

TASKS_ENOUGH = 3
"""Tasks from which on it is said how many of them gain."""


class Claimed(NamedTuple):
    """The sentence of a claim of `tttnn.findings`, and what it takes to say it of a run.

    `tasks` are the fewest; there are as few documents as may have an interval in figures. Above
    `beyond` the sentence says too little, and `more` is said.
    """

    sentence: str
    takes: str
    tasks: int = 1
    beyond: float = math.inf
    more: str = ""


CLAIMED = {
    "curves": Claimed(
        "Training on the nearest neighbours lowers bits per byte.",
        "a method that trains on neighbours",
    ),
    "before_after": Claimed(
        "More than half of the tasks gain.",
        f"{TASKS_ENOUGH} tasks of more than one document",
        tasks=TASKS_ENOUGH,
    ),
    "models": Claimed(
        "Training closes a quarter of the gap between a small model and a larger one.",
        "a model that is certainly better, before training, than one before it in evaluate.models",
        beyond=1,
        more="Training takes a small model past a larger one: it gains more than the gap between "
        "them.",
    ),
    "control": Claimed(
        "The same number of random neighbours gives less than half of the nearest ones' gain.",
        "a gain from the nearest neighbours that is certainly above 0",
    ),
    "clean": Claimed(
        "Documents without a near-copy gain as much as all do, to within two points.",
        "documents with a near-copy among their neighbours, and others without",
    ),
    "overlap": Claimed(
        "Documents that share more words with a neighbour gain more.",
        "documents of a task that share more and less with their neighbours",
    ),
    "methods": Claimed(
        "Neighbours in the context help less than training on them.",
        "the method in_context, with room for neighbours in the model's window",
    ),
    "positions": Claimed(
        "Long documents: neighbours of each window are better than one search.",
        "documents of more than four windows, with neighbours of each window and of one search",
    ),
    "break_even": Claimed(
        "Experts merged for a document, without training at test time, are better than training on "
        "20 neighbours.",
        "experts, and test-time training after 20 neighbours",
    ),
}
"""By figure, the claim that it shows."""

EXACT = "Flat"
MINUS, PER_CENT = re.compile(r"(?<!\w)-(?=\d)"), re.compile(r"(?<=\d) ?%")


class Heading(NamedTuple):
    """A sentence, empty where none can be said; and the numbers that it rests on, a line each."""

    sentence: str
    numbers: list[str]


def printed(text: str) -> str:
    """Numbers as in print: a minus, and a space before the per cent."""
    return PER_CENT.sub("\u00a0%", MINUS.sub("\u2212", text))


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _line(measured: Measured, claim: Claim) -> str:
    """What was measured, with its interval, what follows, and of how much."""
    number = claim.unit.format(measured.value)
    low, high = (claim.unit.format(bound) for bound in (measured.low, measured.high))
    if not low == number == high and measured.low == measured.low:
        number += f" [{low}, {high}]"
    says = verdict(measured, claim.side, claim.threshold)
    of = f"{_counted(measured.documents, 'document')} of {_counted(measured.tasks, 'task')}"
    return printed(f"{number}, {says} ({measured.label}; {of})")


def _of_claim(claimed: Claimed, claim: Claim, run: Evidence) -> Heading:
    """The claim as the run bears it out, or what it would take: of few nothing is claimed."""
    found = [one for one in claim.measure(run) if one.value == one.value]
    takes = claimed.takes
    if found and max(one.documents for one in found) < FEW:
        found, takes = [], f"{FEW} documents or more"
    found = [one for one in found if one.documents >= FEW and one.tasks >= claimed.tasks]
    if not found:
        return Heading(
            "", [f"Not said of this run: \u201c{claim.sentence}\u201d It takes {takes}."]
        )
    says = {verdict(one, claim.side, claim.threshold) for one in found}
    before = "" if says == {"holds"} else "Open in this run: "
    if says == {"does not hold"}:
        before = "Not in this run: "
    sentence = claim.sentence
    if all(one.low > claimed.beyond for one in found):
        sentence = claimed.more
    quantity = claim.quantity.replace("`", "")
    numbers = [f"{quantity[0].upper()}{quantity[1:]}:"]
    return Heading(f"{before}{sentence}", [*numbers, *(_line(o, claim) for o in found)])


def _recall(run: Run) -> str | None:
    """Of the index that finds least, at the largest k; an exact one finds all, as everybody knows.

    It is known by its `factory`, faiss's index string.
    """
    table = run.table("recall")
    table = table[table["factory"] != EXACT]
    if table.empty:
        return None
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
    """What a figure shows of this run; None where neither a claim nor its tables say it.

    Its sentence is empty where there is a claim, and the run has too little for it.
    """
    if name in CLAIMED and evidence is not None:
        claims = [claim for claims in CLAIMS.values() for claim in claims]
        (claim,) = (claim for claim in claims if claim.sentence == CLAIMED[name].sentence)
        return _of_claim(CLAIMED[name], claim, evidence)
    if name in SAID and (sentence := SAID[name](run)):
        return Heading(sentence, [])
    return None
