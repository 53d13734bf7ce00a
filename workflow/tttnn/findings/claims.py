"""What the paper and its successors claim, each as a number with a side and a threshold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from tttnn.findings.evidence import Evidence, Measured
from tttnn.findings.quantities import (
    against,
    clean_gain,
    early_share,
    flattening,
    gain,
    gap_closed,
    ratio_points,
    several,
    share_of_gain,
    share_of_task,
    unseen_minus_seen,
    unseen_minus_trained,
    worse_tasks,
)

BITS, PER_NEIGHBOUR = "{:+.4f}", "{:+.6f}"
CHANGE, SHARE, COUNT = "{:+.1%}", "{:.1%}", "{:.0f}"
"""How a number is printed."""

REVIEWS = "asked for in the paper's public reviews; no number in the paper"
NO_NUMBER = "paper section 4, without a number"
SIFT, HULL = "arXiv 2410.08020", "arXiv 2605.30337"
CERTAIN = "with a paired interval above 0; no such task: undecided"
HERE = "1 % is this page's threshold"
ONE_PERCENT, TWO_POINTS = 0.01, 0.02


class Claim(NamedTuple):
    """A sentence that holds where the measured quantity lies on this side of the threshold."""

    sentence: str
    source: str
    quantity: str
    measure: Callable[[Evidence], list[Measured]]
    side: Literal["above", "below"] = "below"
    threshold: float = 0.0
    unit: str = BITS


def _worse(sentence: str, source: str, method: str, base: str = "ttt") -> Claim:
    quantity = f"bits per byte, `{method}` minus `{base}`"
    return Claim(sentence, source, quantity, partial(against, method=method, base=base), "above")


def _better(sentence: str, source: str, method: str, base: str = "ttt") -> Claim:
    return _worse(sentence, source, method, base)._replace(side="below")


def _all_worse(sentence: str, source: str, *methods: str) -> Claim:
    quantity = f"bits per byte, {', '.join(f'`{m}`' for m in methods)} minus `ttt`"
    return Claim(sentence, source, quantity, partial(several, methods=methods), "above")


def _as_good(sentence: str, source: str, method: str) -> Claim:
    quantity = f"bits per byte, `{method}` divided by `ttt`, minus 1"
    measure = partial(against, method=method, relative=True)
    return Claim(sentence, source, quantity, measure, "below", ONE_PERCENT, CHANGE)


def _stopping(what: str, method: str) -> list[Claim]:
    quantity = f"tokens trained on, `{method}` divided by `ttt`, minus 1"
    measure = partial(against, method=method, relative=True, column="train_tokens")
    return [
        Claim(f"Stopping early saves tokens with {what}.", SIFT, quantity, measure, unit=CHANGE),
        _as_good(f"Stopping early costs less than 1 % with {what}.", f"{SIFT}; {HERE}", method),
    ]


CLAIMS: dict[str, list[Claim]] = {
    "Training on nearest neighbours": [
        Claim(
            "Training on the nearest neighbours lowers bits per byte.",
            "paper section 5, figures 2, 5, 7 and 8",
            "bits per byte after minus before, `ttt`",
            gain,
        ),
        Claim(
            "A model gains more on subsets that it was not trained on.",
            "paper section 5: GPT-2 on Github against other tasks",
            "relative gain on unseen subsets minus relative gain on seen ones",
            unseen_minus_seen,
            "above",
            unit=CHANGE,
        ),
        Claim(
            "On the same subsets a model that was trained on them gains less.",
            "paper section 5, figure 2: GPT-Neo against GPT-2",
            "relative gain of the model that saw none of them minus that of one that saw all",
            unseen_minus_trained,
            "above",
            unit=CHANGE,
        ),
        _worse(
            "The same number of random neighbours helps less than the nearest.", REVIEWS, "random"
        ),
        Claim(
            "The same number of random neighbours gives less than half of the nearest ones' gain.",
            REVIEWS + "; half is this page's threshold",
            "gain of `random` divided by that of `ttt`",
            partial(share_of_gain, method="random"),
            "below",
            0.5,
            SHARE,
        ),
        Claim(
            "Two fifths of the neighbours give more than half of the whole gain.",
            "paper figure 6; 85 to 95 % at 20 of 50 in the published numbers",
            "gain after the largest evaluated number up to 2/5 of all, over the gain after all",
            partial(early_share, part=0.4),
            "above",
            0.5,
            SHARE,
        ),
        Claim(
            "The curve over the number of neighbours flattens.",
            "paper figure 6",
            "gain per neighbour over the first half of them minus that over the rest",
            flattening,
            "above",
            unit=PER_NEIGHBOUR,
        ),
        Claim(
            "Some tasks get worse after their best number of neighbours.",
            "published numbers: OpenSubtitles, GPT-2-Large, after 10 of 50",
            f"tasks whose last number is above their best one, {CERTAIN}",
            partial(worse_tasks, than_before=False),
            "above",
            unit=COUNT,
        ),
        Claim(
            "Some tasks end worse than they began.",
            "published numbers: BookCorpus2, all three models",
            f"tasks whose last number is above that before training, {CERTAIN}",
            partial(worse_tasks, than_before=True),
            "above",
            unit=COUNT,
        ),
        Claim(
            "Training closes a quarter of the gap between a small model and a larger one.",
            "paper abstract and figure 2 (46 % and 65 % of the gap to GPT-Neo in the published "
            "numbers); a quarter is this page's threshold",
            "gain divided by the distance to each later model of the run, before training",
            gap_closed,
            "above",
            0.25,
            SHARE,
        ),
    ],
    "Choices of the method": [
        _worse("Farthest first is worse than nearest first.", NO_NUMBER, "farthest"),
        Claim(
            "Steps on all neighbours at once improve by less than 1 % on steps on one at a time.",
            f"{NO_NUMBER}; {HERE}",
            "bits per byte, `batch` divided by `ttt`, minus 1",
            partial(against, method="batch", relative=True),
            "above",
            -ONE_PERCENT,
            CHANGE,
        ),
        Claim(
            "Steps on all neighbours at once take longer.",
            NO_NUMBER,
            "seconds of training, `batch` divided by `ttt`, minus 1",
            partial(against, method="batch", relative=True, column="train_seconds"),
            "above",
            unit=CHANGE,
        ),
        _worse(
            "Letting changes of the weights accumulate is worse than putting them back.",
            "paper section 4, argued, without a number",
            "accumulate",
        ),
        _worse(
            "One step for a whole neighbour is worse than one for each of its windows.",
            "paper section 4 says a step for each window; the published losses leave it open",
            "per_neighbor",
        ),
        _all_worse(
            "Neither a lower nor a higher learning rate is better.",
            "no number in the paper, which did not tune it (appendices A-C)",
            "slow",
            "fast",
        ),
        _as_good(
            "Training adapters is as good as training all weights, to within 1 %.",
            f"{SIFT} trains adapters for its largest model; {HERE}",
            "lora",
        ),
    ],
    "Baselines": [
        Claim(
            "Neighbours in the context lower bits per byte by less than 1 %.",
            f"paper table 1: 1.06 against 1.07; {HERE}",
            "bits per byte after divided by before, minus 1, `in_context`",
            partial(gain, method="in_context", relative=True),
            "above",
            -ONE_PERCENT,
            CHANGE,
        ),
        _worse(
            "Neighbours in the context help less than training on them.",
            "paper table 1",
            "in_context",
        ),
        _worse(
            "Interpolating with the neighbours' unigrams helps less than training.",
            "paper table 1: 0.99 against 0.85",
            "interpolate",
        ),
        Claim(
            "Most of the gain of interpolating is on Github.",
            "paper table 1; 87 % in the published numbers",
            "Github's part of the weighted gain of `interpolate`",
            partial(share_of_task, method="interpolate", task="pile_github"),
            "above",
            0.5,
            SHARE,
        ),
        _worse(
            "A kNN-LM over the neighbours helps less than training.",
            "not in the paper; arXiv 1911.00172",
            "knn_lm",
        ),
        Claim(
            "Dynamic evaluation is worse than training on the neighbours of the first half.",
            "paper section 5 and table 1, after 7 iterations; there on other texts than the halves",
            "bits per byte of second halves, `dynamic` after 7 minus `split` after all",
            partial(against, method="dynamic", base="split", points=(7, None)),
            "above",
        ),
    ],
    "Halves of documents": [
        Claim(
            "Neighbours of the first half keep the gain on the second, to within two points.",
            "paper section 5, figure 10",
            "ratio after/before, `split` minus `ttt`",
            partial(ratio_points, method="split"),
            "below",
            TWO_POINTS,
            CHANGE,
        ),
        _better(
            "Training on the first half before its neighbours is better than on them alone.",
            "suggested in the paper, not tested there",
            "query_first",
            "split",
        ),
    ],
    "Index and embedder": [
        _as_good(
            "Searching inverted lists instead of every vector costs less than 1 %.",
            f"not in the paper; {HERE}",
            "ivf",
        ),
        _all_worse(
            "A part of the index is worse than the whole.",
            "paper figure 4 has distances only",
            "share_05",
            "share_25",
            "share_50",
        ),
        _all_worse(
            "An embedder that was trained less is worse.",
            "paper section 3, without a number",
            "untrained",
            "halfway",
        ),
    ],
    "Near-copies": [
        Claim(
            "Documents without a near-copy among their neighbours gain, too.",
            "asked for in the paper's public reviews (4 % near-exact matches, figure 3)",
            "bits per byte after minus before, `ttt`, clean documents",
            clean_gain,
        ),
        Claim(
            "Without near-copies more than half of the gain remains.",
            "asked for in the paper's public reviews; half is this page's threshold",
            "gain of `no_copies` divided by that of `ttt`",
            partial(share_of_gain, method="no_copies"),
            "above",
            0.5,
            SHARE,
        ),
    ],
    "Other selections": [
        _better("SIFT's selection is better than the nearest neighbours.", SIFT, "sift"),
        _better("HullFT's selection is better than the nearest neighbours.", HULL, "hull"),
        _worse(
            "HullFT's selection is worse than SIFT's with the same number of picks.",
            HULL,
            "hull",
            "sift",
        ),
        _better(
            "SIFT is better on vectors without the passages' mean.",
            "after arXiv 1702.01417, which shows it for word vectors",
            "sift_centered",
            "sift",
        ),
        *_stopping("the nearest neighbours", "stop"),
        *_stopping("SIFT's picks", "sift_stop"),
    ],
}
