"""Which share of the neighbours to mix in: chosen on validation documents, the whole grid kept.

The paper says that it chose one share for all tasks by their weighted mean; its numbers are those
of the best share of each task, on the test documents themselves. Both can be had.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tttnn.pile import ALL
from tttnn.scores.cells import Cell, Name
from tttnn.scores.estimates import pile_weights

Pair = tuple[str, str]
"""Model and method."""


def _bits(cells: list[Cell]) -> dict[Pair, dict[str, np.ndarray]]:
    """Bits per byte by task, [K, A], and of the weighted mean."""
    bits: dict[Pair, dict[str, np.ndarray]] = {}
    for cell in cells:
        value = -cell.grid.sum(axis=0) / cell.bytes.sum() / math.log(2)
        bits.setdefault(cell.name[:2], {})[cell.name.task] = value
    for tasks in bits.values():
        weighted = (weight * tasks[task] for task, weight in pile_weights(tasks).items())
        tasks[ALL] = sum(weighted, start=np.zeros(()))
    return bits


def _best(cell: Cell, value: np.ndarray) -> float:
    """The alpha of the lowest bits per byte at the most neighbours; of equal ones the smallest."""
    return float(cell.alphas[np.argmin(value[-1])])


def choose_alphas(
    cells: list[Cell], validation: list[Cell], mixtures: dict[str, bool]
) -> list[Cell]:
    """The cells, those of mixtures with the chosen alpha alone.

    `mixtures` says of each method that mixes whether it is as released: then its alpha is the best
    of each task on the test documents, else the best of `pile_all` on the validation documents.

    Raises `ValueError` if a method to be chosen for has no validation documents.
    """
    on_test, on_validation = _bits(cells), _bits(validation)
    chosen = []
    for cell in cells:
        model, method, task = cell.name
        if method not in mixtures:
            chosen.append(cell)
        elif mixtures[method]:
            chosen.append(cell.at(_best(cell, on_test[model, method][task])))
        elif (model, method) in on_validation:
            chosen.append(cell.at(_best(cell, on_validation[model, method][ALL])))
        else:
            raise ValueError(
                f"{model}/{method} has no validation documents to choose alpha on: raise "
                "validation.count, or take the method out of evaluate.methods"
            )
    return chosen


def alpha_rows(
    cells: list[Cell], validation: list[Cell], chosen: list[Cell], run: str
) -> Iterator[dict[str, Any]]:
    """The grid: a row for each alpha, on validation and test documents; and which was chosen."""
    alpha_of = {cell.name: cell.alphas[0] for cell in chosen}
    for documents, read in (("val", validation), ("test", cells)):
        mixed = [cell for cell in read if not np.isnan(cell.alphas).any()]
        for (model, method), tasks in _bits(mixed).items():
            same = [cell for cell in mixed if cell.name[:2] == (model, method)]
            first, used = same[0], {alpha_of.get(cell.name) for cell in same}
            for task, value in tasks.items():
                best = used if task == ALL else {alpha_of.get(Name(model, method, task))}
                for k, point in enumerate(first.points):
                    for a, alpha in enumerate(first.alphas):
                        yield {
                            "run": run,
                            "model": model,
                            "method": method,
                            "documents_kind": documents,
                            "task": task,
                            "num_neighbors": point,
                            "alpha": alpha,
                            "bits_per_byte": value[k, a],
                            "chosen": alpha in best,
                        }
