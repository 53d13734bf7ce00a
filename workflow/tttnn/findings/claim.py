"""A claim: a number with a side and a threshold; and claims of one form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from tttnn.findings.documents import long_documents
from tttnn.findings.evidence import Evidence, Measured
from tttnn.findings.quantities import (
    against,
    against_after,
    several,
)

BITS, PER_NEIGHBOUR = "{:+.4f}", "{:+.6f}"
CHANGE, SHARE, COUNT, CORRELATION = "{:+.1%}", "{:.1%}", "{:.0f}", "{:+.2f}"
"""How a number is printed."""

REVIEWS = "asked for in the paper's public reviews; no number in the paper"
NO_NUMBER = "paper section 4, without a number"
SIFT, HULL, EXPERTS = "arXiv 2410.08020", "arXiv 2605.30337", "arXiv 2505.14136"
CERTAIN = "with a paired interval above 0; no such task: undecided"
HERE = "1 % is this page's threshold"
ONE_PERCENT, TWO_POINTS, FIVE_PERCENT = 0.01, 0.02, 0.05
LONG = "the poster's own limitation: very long sequences, books, articles"


class Claim(NamedTuple):
    """A sentence that holds where the measured quantity lies on this side of the threshold."""

    sentence: str
    source: str
    quantity: str
    measure: Callable[[Evidence], list[Measured]]
    side: Literal["above", "below"] = "below"
    threshold: float = 0.0
    unit: str = BITS
    headline: bool = False  # whether it stands on the page of one screen, too


def worse(sentence: str, source: str, method: str, base: str = "ttt") -> Claim:
    quantity = f"bits per byte, `{method}` minus `{base}`"
    return Claim(sentence, source, quantity, partial(against, method=method, base=base), "above")


def better(sentence: str, source: str, method: str, base: str = "ttt") -> Claim:
    return worse(sentence, source, method, base)._replace(side="below")


def experts(neighbors: int) -> Claim:
    quantity = f"bits per byte, `experts` (the most of them) minus `ttt` after {neighbors}"
    measure = partial(against_after, method="experts", neighbors=neighbors)
    sentence = (
        "Experts merged for a document, without training at test time, are better than training on "
        f"{neighbors} {'neighbour' if neighbors == 1 else 'neighbours'}."
    )
    return Claim(sentence, EXPERTS, quantity, measure, headline=True)


def long(sentence: str, query: str, scored: bool = False, against: bool = True) -> Claim:
    """Of documents of more than four windows, window by window."""
    found = "no neighbours" if query == "none" else f"neighbours found by `{query}`"
    trained = f"{found}, trained on what is scored" if scored else found
    base = "those of one search a document" if against else "before training"
    quantity = f"bits per byte of long documents, {trained}, minus {base} (`positions.csv`)"
    measure = partial(long_documents, query=query, scored=scored, against=against)
    return Claim(sentence, LONG, quantity, measure, headline=True)


def all_worse(sentence: str, source: str, *methods: str) -> Claim:
    quantity = f"bits per byte, {', '.join(f'`{m}`' for m in methods)} minus `ttt`"
    return Claim(sentence, source, quantity, partial(several, methods=methods), "above")


def as_good(sentence: str, source: str, method: str) -> Claim:
    quantity = f"bits per byte, `{method}` divided by `ttt`, minus 1"
    measure = partial(against, method=method, relative=True)
    return Claim(sentence, source, quantity, measure, "below", ONE_PERCENT, CHANGE)


def stopping(what: str, method: str) -> list[Claim]:
    quantity = f"tokens trained on, `{method}` divided by `ttt`, minus 1"
    measure = partial(against, method=method, relative=True, column="train_tokens")
    return [
        Claim(f"Stopping early saves tokens with {what}.", SIFT, quantity, measure, unit=CHANGE),
        as_good(f"Stopping early costs less than 1 % with {what}.", f"{SIFT}; {HERE}", method),
    ]
