"""Choose among each query's candidates what serves all of its windows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, SerializeAsAny

from tttnn.retrieval.candidates import read_query_ids
from tttnn.retrieval.chosen import center_of, unit, write_chosen
from tttnn.retrieval.stopping import kept, posterior_variance
from tttnn.retrieval.vectors import VectorStore
from tttnn.retrieval.window_targets import WindowTargets
from tttnn.sections.base import Section
from tttnn.sections.kinds import SELECTIONS, checked, load
from tttnn.sections.windows import ByWindows


class ChooseWindowsSpec(Section):
    """The selection, checked by the class of its own kind."""

    selection: SerializeAsAny[Annotated[ByWindows, BeforeValidator(partial(checked, SELECTIONS))]]


def _places(
    spec: ByWindows, ranks: np.ndarray, candidates: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Those to train on, in that order; with `stop`, by the mean variance of the windows."""
    places = load(SELECTIONS, spec.kind).choose(spec, ranks, candidates, targets)
    if spec.stop is None:
        return places
    each = [posterior_variance(candidates[places], target, spec.noise) for target in targets]
    return places[kept(np.mean(each, axis=0), spec.stop, spec.stop_form)]


def choose_windows(
    spec: ChooseWindowsSpec,
    candidates: list[Path],
    queries: list[Path],
    windows: Path,
    embeddings: list[Path],
    outputs: list[Path],
    memory_mb: int,
) -> None:
    """Write, for every query, which of its candidates are trained on, in the order of training.

    As `tttnn.retrieval.choose.choose_neighbors` does, but by the vectors of all of a query's
    windows, which `embed_windows` wrote to `windows`.

    In memory are the queries' ids and some queries' candidates with their vectors.

    Raises `ValueError` if a query has fewer candidates than picks, if a table is of other queries,
    or if a vector is zero.
    """
    selection = spec.selection
    query_ids = read_query_ids(queries)
    targets, store = WindowTargets(windows, query_ids), VectorStore.of(embeddings)
    center = center_of(selection, store)

    def choose(
        these: range, names: np.ndarray, found: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        ids = found["passage_id"]
        vectors = unit(store.fetch(ids) - center, ids, "passage")
        for row, (place, name) in enumerate(zip(these, names, strict=True)):
            own = unit(targets[place].astype(np.float64) - center, name, "query")
            yield _places(selection, found["rank"][row], vectors[row], own)

    write_chosen(
        choose, selection.picks, candidates, query_ids, store.dimension, outputs, memory_mb
    )
