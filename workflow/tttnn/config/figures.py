"""The figures: where each is drawn, which runs can fill it, and what the report says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from tttnn.scores.few import FEW
from tttnn.sections.search import RANDOM

if TYPE_CHECKING:
    from tttnn.config.root import Config


class Figure(NamedTuple):
    """A figure of a run: a function of its own name in a module of `tttnn.figures`.

    Of the caption `{confidence}`, `{ngram}`, `{clean_below}` and `{few}` are filled in.
    """

    module: str
    caption: str
    fits: Callable[[Config], bool] = lambda config: True


def _has_models(config: Config) -> bool:
    return len(config.scope(config.evaluated[0])[0]) > 1


def _has_control(config: Config) -> bool:
    return config.draws_random and config.methods[config.evaluated[0]].candidates != RANDOM


def _has_methods(config: Config) -> bool:
    queries = [config.queries(name) for name in config.evaluated]
    return queries.count(queries[0]) > 1


def _has_indexes(config: Config) -> bool:
    return len(config.built_indexes) > 1


def _approximates(config: Config) -> bool:
    return any(config.indexes[name].kind != "flat" for name in config.built_indexes)


def _has_windows(config: Config) -> bool:
    return bool(config.window_cells)


def _weighs_experts(config: Config) -> bool:
    return any(config.weighed_against(name) for name in config.merging)


FIGURES = {
    "before_after": Figure(
        "gains",
        "Bits per byte before and after training on all neighbours, for each task and for their "
        "mean by the Pile's weights. Percentages are after by before; in brackets, where it is "
        "another, of the documents that no neighbour nearly copies. Of {few} documents or more, "
        "whiskers are {confidence} % bootstrap intervals of the paired change, because both bars "
        "are of the same documents; fewer are dots, each joined with itself. As figures 5, 11 and "
        "12 of the paper.",
    ),
    "curves": Figure(
        "curves",
        "Bits per byte after each number of neighbours, nearest first, for the weighted mean and "
        "the largest tasks. A colour is a model, a line style a method; of {few} documents or "
        "more, bands are {confidence} % bootstrap intervals, and fewer are dots at both ends. A "
        "curve that turns up has trained for too long. Vertical axes do not start at 0, and each "
        "panel has its own. As figures 6 to 8 of the paper.",
    ),
    "models": Figure(
        "curves",
        "From hollow to filled: what training on neighbours does to each model. Where the filled "
        "mark of a small model reaches the hollow mark of a larger one, neighbours made up for "
        "size. Above each line is the uncertainty before, below it that after: {confidence} % "
        "bootstrap intervals, or the documents where there are few. As figure 2 of the paper, for "
        "all tasks.",
        _has_models,
    ),
    "control": Figure(
        "gains",
        "Change in bits per byte from training on nearest neighbours, beside training on as many "
        "passages drawn at random. What both have in common is due to more training on this "
        "corpus, the rest to retrieval. Of {few} documents or more, whiskers are {confidence} % "
        "intervals of the paired ratio; fewer are dots.",
        _has_control,
    ),
    "clean": Figure(
        "gains",
        "Change in bits per byte on all documents, and on clean ones, which no neighbour nearly "
        "copies (see the table *clean*). What a gain loses from one to the other came from "
        "near-copies in the index. Marks are pale where half of the documents or fewer are clean; "
        "few documents are drawn themselves, those with a near-copy as crosses.",
    ),
    "overlap": Figure(
        "overlap",
        "A point is a document: how its bits per byte changed, in per cent, against how much of it "
        "one of its neighbours holds, as a share of its word {ngram}-grams. Near-copies are those "
        "that *clean* leaves out: at least {clean_below} of these, or as high a Jaccard similarity "
        "as the configuration says. If the cloud of clean documents lies below zero by itself, the "
        "gain is not that of copies alone.",
    ),
    "methods": Figure(
        "methods",
        "Every other method against the main one, in bits per byte, on the same documents and at "
        "the same number of neighbours: left of zero is better. Hollow: all documents; filled: "
        "clean ones. Whiskers are {confidence} % intervals of the paired difference; few documents "
        "are drawn themselves. A method that left every document exactly as it was has no mark, "
        "for it could do nothing, as in context where documents fill the model's window. Methods "
        "that are evaluated on the second halves of documents are below the line, against the one "
        "of them that their rows name.",
        _has_methods,
    ),
    "quality_time": Figure(
        "quality_time",
        "Quality against time: bits per byte against seconds a document, of selection, training "
        "and one evaluation. A panel is a model, a curve of steps a method, from few neighbours to "
        "many; a filled mark is a point that nothing as cheap is as good as, and the grey field "
        "what nothing reached. Whiskers are {confidence} % bootstrap intervals: of the paired "
        "change from before, and of mean seconds; few documents are drawn themselves, after a "
        "method's most neighbours. Dashed lines are budgets of 0.75, 1.75, 2 and 4 "
        "seconds. See the table *quality_time*, which says what of selection nobody measured.",
        _has_methods,
    ),
    "positions": Figure(
        "positions",
        "Long documents, of more than four windows. Left: change in bits per byte against the "
        "model as it was, by fifths of the document, each method at its most neighbours a window. "
        "Right: the whole of these documents against one search a document; left of zero is "
        "better, whiskers are {confidence} % intervals of the paired difference. *target*: each "
        "window finds its neighbours; *past*: the text before it does; *score first*: windows are "
        "trained on once they are scored. See the table *positions*, also for all documents.",
        _has_windows,
    ),
    "break_even": Figure(
        "break_even",
        "When experts that were trained before the test are worth it: seconds for so many "
        "documents, by the method that merges experts, whose training is paid once, and by "
        "test-time training on as many neighbours as the labels say. A mark is where both have "
        "cost the same; what a document's bits per byte are is at the end of each line.",
        _weighs_experts,
    ),
    "cost": Figure(
        "costs",
        "Seconds of training per neighbour, without the evaluations in between, over a task's "
        "documents: box for quartiles and median, lines from the 5th to the 95th percentile; or, "
        "where there are few, the documents and their median. Long "
        "documents have long neighbours, which are cut into more windows, an update each. As "
        "figures 9 and 14 of the paper, where times include an evaluation per neighbour.",
    ),
    "recall": Figure(
        "indexes",
        "Share of a query's true k nearest passages that each index misses among its own first k, "
        "against exact search over the same vectors: 100 % less the recall@k of the table "
        "*recall*. An exact index misses none.",
        _approximates,
    ),
    "recall_cost": Figure(
        "indexes",
        "What recall costs: the share of a query's true nearest passages that each index misses, "
        "against queries that it answers in a second, one alone (hollow) and all in a batch "
        "(filled), and against the bytes a passage that it takes on the disk beside the "
        "embeddings. Seconds are of the machine that measured; see the table *indexes*, which also "
        "has what training on each one's neighbours does to bits per byte.",
        _has_indexes,
    ),
    "distances": Figure(
        "distances",
        "Distances between test queries and their nearest passage in the first index, the nearest "
        "of these pairs, and, where the run drew any, pairs of a query and a passage at random, "
        "all between mean hidden states. As figure 3 of the paper, which shows queries of "
        "the validation set. A peak at zero is copies.",
    ),
    "distance_by_rank": Figure(
        "distances",
        "How far a neighbour is by its rank: median, mean and the middle nine tenths of the test "
        "queries, in the index of the most passages; where the run has indexes of smaller shares, "
        "another panel shows that a larger one has nearer neighbours. A step that the mean has and "
        "the median has not is of few queries whose near passages are all found. As figure 4 of "
        "the paper, which shows mean and standard deviation, of the validation set.",
    ),
}
"""By name, in the order of the report."""


def drawn(config: Config) -> list[str]:
    """The figures of a run; of `all`, those that it can fill."""
    if config.figures != "all":
        return list(config.figures)
    return [name for name, figure in FIGURES.items() if figure.fits(config)]


def caption(config: Config, name: str) -> str:
    """What the report says of a figure of this run."""
    return FIGURES[name].caption.format(
        confidence=f"{100 * config.score.confidence:g}",
        few=FEW,
        ngram=config.gather.ngram,
        clean_below=config.score.clean_below,
    )
