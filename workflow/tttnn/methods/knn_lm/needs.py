"""What kNN-LM takes."""

from __future__ import annotations

from tttnn.methods.knn_lm.settings import KnnLm
from tttnn.needs.kinds import Passes


def passes(recipe: KnnLm) -> Passes:
    """The document for its predictions and for its states, and the states of every neighbour."""
    return Passes(0, 2 + recipe.num_neighbors, 1)
